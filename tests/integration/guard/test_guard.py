"""The chart's guard in a real API server, and nothing else of Evenload: no operator runs here."""

from __future__ import annotations

import asyncio
import copy
import json
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import partial
from typing import Any

import pytest

from evenload.drivers import DRIVERS
from evenload.drivers.base import Driver
from evenload.errors import Refused
from evenload.guard.policies import AUDIT_KEY
from evenload.guard.verdict import verdict
from evenload.kube.client import Client
from evenload.kube.config import Connection
from evenload.kube.resources import BALANCERS, HTTPROUTES, NAMESPACES, Manifest
from evenload.model.spec import TargetRef
from lab import state
from tests.support.chart import rendered
from tests.support.guardcases import CASES, KINDS, Case, drawn, made, of_each_kind, reason, reference
from tests.support.kinds import install, install_istio, install_traefik
from tests.support.kubectl import Kubectl, apply_cluster_wide
from tests.support.namespaces import create_namespace
from tests.support.rights import whole_lines
from tests.support.wait import until

LABEL = "evenload-test-guard"
BAD = next(case for case in CASES if case.name == "nearly-all-to-one")


@pytest.fixture(scope="module")
def guard(connection: Connection) -> Iterator[str]:
    """The chart's policies under names of their own, for namespaces of that label: other tests write as they like."""
    release = f"guard-{uuid.uuid4().hex[:8]}"
    manifests = rendered("--show-only=templates/guard.yaml", release=release, namespace="default")
    for manifest in manifests:
        if manifest["kind"] == "ValidatingAdmissionPolicyBinding":
            manifest["spec"]["matchResources"] = {"namespaceSelector": {"matchLabels": {LABEL: release}}}
    apply_cluster_wide(manifests)
    yield release
    Kubectl(namespace="default")("delete", *(f"{each['kind']}/{each['metadata']['name']}" for each in manifests))


@pytest.fixture
async def guarded(guard: str, client: Client) -> AsyncIterator[str]:
    """A namespace under the guard."""
    await install(client)
    await install_traefik(client)
    await install_istio(client)
    name = f"test-{uuid.uuid4().hex[:10]}"
    await create_namespace(client, name, {LABEL: guard})
    yield name
    await client.delete(NAMESPACES, None, name)


async def balanced(client: Client, balancer: Manifest) -> Manifest:
    """Create a Balancer, with the status that it comes with."""
    namespace, name = balancer["metadata"]["namespace"], balancer["metadata"]["name"]
    stored = await client.create(BALANCERS, namespace, balancer)
    if "status" in balancer:
        change = {"status": balancer["status"]}
        stored = await client.patch_merge(BALANCERS, namespace, name, change, subresource="status")
    return stored


async def in_force(client: Client, namespace: str, kinds: Iterable[str] = KINDS) -> None:
    """The API server takes a moment to learn of policies, and of Balancers, in the order they are made."""
    for kind in kinds:
        name = f"probe-{uuid.uuid4().hex[:6]}"
        before, after = BAD.objects(kind, namespace, name)
        await client.create(BALANCERS, namespace, BAD.balancer(kind, namespace, name))
        await client.create(KINDS[kind].resource, namespace, before)
        await until(partial(_refuses, client, KINDS[kind], before, after), pause=0.05)


async def _refuses(client: Client, driver: Driver, before: Manifest, after: Manifest) -> bool:
    """Whether the guard sees a bad update; what it did not see is put back."""
    name, namespace = before["metadata"]["name"], before["metadata"]["namespace"]
    if await updated(client, driver, await client.get(driver.resource, namespace, name), after):
        return True
    assert not await updated(client, driver, await client.get(driver.resource, namespace, name), before)
    return False


async def updated(client: Client, driver: Driver, stored: Manifest, after: Manifest) -> str:
    """Replace what is stored; what the guard said, where it refused."""
    metadata = {**after["metadata"], "resourceVersion": stored["metadata"]["resourceVersion"]}
    name, namespace = metadata["name"], metadata["namespace"]
    try:
        await client.replace(driver.resource, namespace, name, {**after, "metadata": metadata})
    except Refused as error:
        return str(error).partition("denied request: ")[2] or f"not refused by the guard: {error}"
    return ""


async def judged(client: Client, namespace: str, cases: list[tuple[Case, str]]) -> dict[str, tuple[str, str]]:
    """What the API server says of each update, and what Python says of the very objects."""
    stored = []
    for number, (case, kind) in enumerate(cases):
        name = f"shop-{number}"
        balancer = case.balancer(kind, namespace, name)
        if case.target.get("name"):
            balancer["spec"]["targetRef"]["name"] = case.target["name"]
        before, after = case.objects(kind, namespace, name)
        stored.append(
            (
                f"{case.name}-{kind}",
                KINDS[kind],
                await balanced(client, balancer),
                await client.create(KINDS[kind].resource, namespace, before),
                after,
            )
        )
    await in_force(client, namespace)
    answers = {}
    for name, driver, balancer, before, after in stored:
        python = verdict(before, {**after, "metadata": {**before["metadata"], **_own(after)}}, balancer)
        answers[name] = (await updated(client, driver, before, after), python.sentence if python.refused else "")
    return answers


def _own(manifest: Manifest) -> dict[str, Any]:
    return {key: manifest["metadata"].get(key) or {} for key in ("annotations", "labels")}


@pytest.mark.timeout(600)
async def test_each_update_of_the_table_is_judged_as_in_python(client: Client, guarded: str) -> None:
    answers = await judged(client, guarded, list(of_each_kind()))
    assert {name: real for name, (real, _) in answers.items()} == {name: model for name, (_, model) in answers.items()}
    refused = {f"{case.name}-{kind}" for case, kind in of_each_kind() if case.said and not case.override}
    assert {name for name, (real, _) in answers.items() if real} == refused


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2])
async def test_drawn_updates_are_judged_as_in_python(client: Client, guarded: str, seed: int) -> None:
    answers = await judged(client, guarded, drawn(seed, 120))
    assert {name: real for name, (real, _) in answers.items()} == {name: model for name, (_, model) in answers.items()}
    assert 20 < sum(bool(real) for real, _ in answers.values()) < 110


async def shop(client: Client, namespace: str, mode: str = "Deny", **spec: Any) -> Manifest:
    """An even route with its Balancer, in force. As stored."""
    balancer = BAD.balancer("HTTPRoute", namespace, mode=mode)
    await client.create(BALANCERS, namespace, {**balancer, "spec": {**balancer["spec"], **spec}})
    stored = await client.create(HTTPROUTES, namespace, BAD.objects("HTTPRoute", namespace)[0])
    await in_force(client, namespace, ["HTTPRoute"])
    return stored


def bad(namespace: str, **metadata: Any) -> Manifest:
    after = BAD.objects("HTTPRoute", namespace)[1]
    return {**after, "metadata": {**after["metadata"], **metadata}}


HTTP = DRIVERS["HTTPRoute"]


async def test_a_hundred_of_a_hundred_bad_updates_are_refused(client: Client, guarded: str) -> None:
    stored = await shop(client, guarded)
    answers = await asyncio.gather(*(updated(client, HTTP, stored, bad(guarded)) for _ in range(100)))
    assert sum("gives Service a 99.3%" in answer for answer in answers) == 100
    assert (await client.get(HTTPROUTES, guarded, "shop"))["spec"] == stored["spec"]


async def test_a_reason_lets_its_own_update_pass_and_stands_in_the_audit_log(client: Client, guarded: str) -> None:
    stored = await shop(client, guarded)
    why = f"load test {uuid.uuid4().hex}"
    assert await updated(client, HTTP, stored, bad(guarded, **reason(why))) == ""
    stored = await client.get(HTTPROUTES, guarded, "shop")
    even = {**BAD.objects("HTTPRoute", guarded)[0]["metadata"], **reason(why)}
    put_back = {**BAD.objects("HTTPRoute", guarded)[0], "metadata": even}
    assert await updated(client, HTTP, stored, put_back) == ""
    stored = await client.get(HTTPROUTES, guarded, "shop")
    assert "gives Service a 99.3%" in await updated(client, HTTP, stored, bad(guarded, **reason(why)))
    await until(lambda: recorded(why), what="the audit log")
    (text,) = recorded(why)
    assert text.startswith("Balancer shop: this update gives Service a 99.3% (at most 50.0%)")


def recorded(why: str) -> list[str]:
    """What the audit log keeps of updates that passed by this reason."""
    log = state.load().audit_log
    assert log is not None
    entries = (json.loads(line) for line in whole_lines(log) if why in line)
    notes = (note for entry in entries for note in entry["annotations"].items())
    return [text for key, text in notes if key.endswith(f"/{AUDIT_KEY}")]


def _replaced(namespace: str) -> subprocess.CompletedProcess[str]:
    """By kubectl, which prints warnings beside what was done."""
    return subprocess.run(
        ["kubectl", f"--namespace={namespace}", "replace", "--filename=-"],
        input=json.dumps(bad(namespace)),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )


async def test_a_guard_that_warns_lets_the_update_pass_and_says_why(client: Client, guarded: str) -> None:
    await shop(client, guarded, "Warn")
    done = await asyncio.to_thread(_replaced, guarded)
    assert "Warning: " in done.stderr
    assert "gives Service a 99.3% (at most 50.0%) of the traffic" in done.stderr
    assert (await client.get(HTTPROUTES, guarded, "shop"))["spec"]["rules"][0]["backendRefs"][0]["weight"] == 250


async def test_a_route_without_a_balancer_is_untouched(client: Client, guarded: str) -> None:
    await shop(client, guarded)
    before, after = BAD.objects("HTTPRoute", guarded, "free")
    stored = await client.create(HTTPROUTES, guarded, before)
    assert await updated(client, HTTP, stored, after) == ""


async def test_a_balancer_of_another_namespace_has_no_say(client: Client, guarded: str, namespace: str) -> None:
    kinder = BAD.balancer("HTTPRoute", guarded, mode="Off")
    await client.create(BALANCERS, guarded, kinder)
    await client.create(BALANCERS, namespace, BAD.balancer("HTTPRoute", namespace))
    stored = await client.create(HTTPROUTES, guarded, BAD.objects("HTTPRoute", guarded)[0])
    await in_force(client, guarded, ["HTTPRoute"])
    assert await updated(client, HTTP, stored, bad(guarded)) == ""


async def test_a_canary_controller_writes_as_it_likes(client: Client, guarded: str, connection: Connection) -> None:
    await shop(client, guarded)
    async with Client(connection, field_manager="flagger") as flagger:
        stored = await flagger.get(HTTPROUTES, guarded, "shop")
        assert await updated(flagger, HTTP, stored, bad(guarded)) == ""


BROKEN: list[dict[str, Any]] = [
    {"targetRef": {"kind": "Service", "name": "shop"}},
    {"targetRef": {"kind": "GRPCRoute", "name": "shop", "ruleName": "none"}},
    {"targetRef": {"name": "shop", "ruleName": "none"}},
    {"targetRef": {"name": "shop", "namespace": "elsewhere"}},
    {"targetRef": {"name": "no-such-route"}},
]


async def test_balancers_that_are_broken_lock_nobody_out(client: Client, guarded: str) -> None:
    for number, spec in enumerate(BROKEN):
        broken = BAD.balancer("HTTPRoute", guarded, f"broken-{number}")
        await client.create(BALANCERS, guarded, {**broken, "spec": {**spec, "guard": {"mode": "Deny"}}})
    stored = await client.create(HTTPROUTES, guarded, BAD.objects("HTTPRoute", guarded)[0])
    await in_force(client, guarded, ["HTTPRoute"])
    assert await updated(client, HTTP, stored, bad(guarded)) == ""


async def test_what_evenload_writes_passes(client: Client, guarded: str) -> None:
    """Out of a bad update, and one of three backends drained: through the driver's own patch."""
    before = {**BAD.objects("HTTPRoute", guarded)[0], "spec": bad(guarded)["spec"]}
    await client.create(BALANCERS, guarded, BAD.balancer("HTTPRoute", guarded))
    stored = await client.create(HTTPROUTES, guarded, before)
    await in_force(client, guarded, ["HTTPRoute"])
    target = TargetRef(name="shop")
    for weights in ({"a": 1000, "b": 1000, "c": 1000}, {"a": 0, "b": 1000, "c": 1000}, {"a": 50, "b": 1000, "c": 1000}):
        stored = await client.patch_json(HTTPROUTES, guarded, "shop", HTTP.patch(stored, target, weights))
        assert HTTP.backends(stored, target).weights == weights


@pytest.mark.parametrize(
    ("kind", "rules", "services"), [("HTTPRoute", 16, 16), ("TraefikService", 1, 64), ("IngressRoute", 16, 16)]
)
@pytest.mark.parametrize("explicit", [False, True])
async def test_the_largest_balancers_are_within_what_the_api_server_reckons(
    client: Client, guarded: str, kind: str, rules: int, services: int, explicit: bool
) -> None:
    """All that can be wrong is wrong in each rule: over its budget the policy would be ignored."""
    names = [f"a-service-with-quite-a-long-name-{number:03}" for number in range(services)]
    shares = [{"backend": name, "weight": 1} for name in names]
    spec = {"desired": {"type": "Explicit", "shares": shares}} if explicit else {}
    targets = dict.fromkeys(names, 10)
    case = Case("large", [], [], spec=spec, targets=targets)
    await balanced(client, case.balancer(kind, guarded, "large"))
    before = [[reference(name, 1) for name in names] for _ in range(rules)]
    after = copy.deepcopy(before)
    for rule in after:
        for each in rule[: services // 4]:
            each["weight"] = 1000
        rule[-1] = {**rule[-2], "port": 81}
    objects = [made(KINDS[kind], guarded, "large", each, {}) for each in (before, after)]
    stored = await client.create(KINDS[kind].resource, guarded, objects[0])
    await in_force(client, guarded, [kind])
    said = await updated(client, KINDS[kind], stored, objects[1])
    assert "gives Service a-service" in said
    assert "twice in one rule" in said
    assert f"drops Service {names[-1]}" in said
