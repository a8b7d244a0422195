"""`evenload diff` against a fake API server; what the operator would see is made up (`look`), and printed for real."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace
from typer.testing import Result

from evenload.api.v1alpha1 import GUARD_OVERRIDE_ANNOTATION
from evenload.cli import diff as diff_module
from evenload.cli.foreseeing import Question
from evenload.foresight import Sighting
from evenload.guard.verdict import WAYS_OUT
from evenload.kube.resources import ENDPOINTSLICES, HTTPROUTES, SERVICES, Manifest
from evenload.model.snapshot import Backend, Pod, Signal, SignalState, Snapshot
from tests.support.golden import check_golden
from tests.unit.cli import objects
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_api import GROUP, FakeApi

BACKENDS = ("shop-a", "shop-b", "shop-c", "shop-d")
EVEN = dict.fromkeys(BACKENDS, 250)
BAD = {"shop-a": 10, "shop-b": 10, "shop-c": 10, "shop-d": 970}
SHOP = HTTPROUTES.path("shop", "shop")
FRESH = {name: Signal() for name in ("requests", "errors", "cpu")}

Diff = Callable[..., Result]


def route(weights: Mapping[str, int], name: str = "shop", **metadata: Any) -> Manifest:
    references = [{"name": each, "port": 80, "weight": weight} for each, weight in weights.items()]
    return {
        "apiVersion": HTTPROUTES.api_version,
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "shop", **metadata},
        "spec": {"parentRefs": [{"name": "public"}], "rules": [{"backendRefs": references}]},
    }


def live(weights: Mapping[str, int]) -> Manifest:
    """As the API server has it."""
    made = route(
        weights, uid="u1", generation=3, managedFields=[{"manager": "argocd-controller", "operation": "Apply"}]
    )
    return {**made, "status": {"parents": []}}


def service(name: str) -> Manifest:
    spec = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"}, "spec": spec}


def slice_(name: str, ready: int = 1) -> Manifest:
    endpoints = [
        {
            "addresses": [f"10.0.0.{at}"],
            "conditions": {"ready": True},
            "targetRef": {"kind": "Pod", "name": f"{name}-{at}"},
        }
        for at in range(ready)
    ]
    return {
        "apiVersion": ENDPOINTSLICES.api_version,
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "shop", "labels": {"kubernetes.io/service-name": name}},
        "endpoints": endpoints,
    }


def pod(use: float = 0.5, rps: float = 50.0, errors: float = 0.0) -> Pod:
    return Pod(ready=True, requests=30 * rps, errors=30 * errors, cpu=use, cpu_limit=1.0)


def snapshot(weights: Mapping[str, int], **pods: Pod) -> Snapshot:
    backends = {
        name: Backend(weight=weight, pods={f"{name}-0": pods.get(name.replace("-", "_"), pod())})
        for name, weight in weights.items()
    }
    return Snapshot(time=objects.NOW, window=30.0, backends=backends, signals=FRESH)


@pytest.fixture
def shop(api: FakeApi) -> FakeApi:
    """Four backends with a ready endpoint each, a route over them, and a Balancer whose guard denies."""
    api.served |= {"services", "endpointslices", "httproutes"}
    for name in BACKENDS:
        api.put(SERVICES.path("shop", name), service(name))
        api.put(ENDPOINTSLICES.path("shop", name), slice_(name))
    api.put(SHOP, live(EVEN))
    balancer = objects.healthy()
    balancer["spec"]["guard"] = {"mode": "Deny"}
    api.put_balancer(balancer)
    return api


@pytest.fixture
def diff(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Diff:
    """Of these manifests, in one file that is named shop.yaml."""
    monkeypatch.chdir(tmp_path)

    def call(*manifests: Any, more: tuple[str, ...] = ()) -> Result:
        Path("shop.yaml").write_text(yaml.safe_dump_all(manifests, sort_keys=False))
        return run("diff", "-f", "shop.yaml", *more)

    return call


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Question]:
    """What the operator would see: even traffic, half of the CPU used. And who asked for it."""
    asked: list[Question] = []

    def look(access: Any, prometheus: Any, scrape: float, questions: list[Question]) -> list[Sighting]:
        asked.extend(questions)
        return [_sighting(each) for each in questions]

    monkeypatch.setattr(diff_module, "look", look)
    return asked


def _sighting(question: Question) -> Sighting:
    weights = {each["name"]: each["weight"] for each in question.change.after["spec"]["rules"][0]["backendRefs"]}
    before = snapshot(EVEN, shop_a=pod(errors=0.5))
    after = {name: snapshot(EVEN).backends.get(name, Backend(weight=1)) for name in weights}
    return Sighting(policy=question.policy, before=before, after=replace(before, backends=after))


def machine(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def findings(result: Result) -> list[tuple[str, str]]:
    found = machine(result)
    every = [*(each for one in found["objects"] for each in one["findings"]), *found["elsewhere"]]
    return [(each["severity"], each["rule"]) for each in every]


AS_JSON = ("-o", "json")


@pytest.mark.parametrize(("output", "ending"), [("text", "txt"), ("markdown", "md"), ("json", "json")])
def test_a_bad_update_is_told_with_shares_predictions_and_all_that_speaks_against_it(
    shop: FakeApi, diff: Diff, seen: list[Question], output: str, ending: str
) -> None:
    changed = route({**BAD, "shop-x": 100})
    changed["spec"]["rules"][0]["timeouts"] = {"request": "1s"}
    result = diff(changed, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}, more=("-o", output))
    assert result.exit_code == 1
    check_golden(f"cli/diff.{ending}", result.stdout)


def test_nothing_is_stored(shop: FakeApi, diff: Diff, seen: list[Question]) -> None:
    before = json.dumps(shop.objects)
    diff(route(BAD))
    assert json.dumps(shop.objects) == before
    assert [query["dryRun"] for query in shop.applied] == [["All"]]
    assert shop.writes() == [("PATCH", SHOP)]


def test_a_file_that_is_the_live_object_changes_nothing(shop: FakeApi, diff: Diff, seen: list[Question]) -> None:
    result = diff(live(EVEN))
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "no change: HTTPRoute shop/shop"
    assert result.stdout.splitlines()[-1] == "No change."
    assert seen == []


def test_who_applied_the_object_last_is_whose_name_the_dry_run_has(
    shop: FakeApi, diff: Diff, seen: list[Question]
) -> None:
    diff(route(EVEN))
    diff(route(EVEN), more=("--field-manager", "ci"))
    diff(route(EVEN, name="other"))
    assert [query["fieldManager"] for query in shop.applied] == [["argocd-controller"], ["ci"], ["kubectl"]]


@pytest.mark.parametrize(("fail_on", "code"), [("error", 0), ("warning", 1), ("info", 1), ("never", 0)])
def test_the_exit_code_says_whether_anything_is_as_bad_as_fail_on(
    shop: FakeApi, diff: Diff, seen: list[Question], fail_on: str, code: int
) -> None:
    balancer = objects.healthy()
    balancer["spec"]["guard"] = {"mode": "Warn", "maxSharePercent": 26}
    shop.put_balancer(balancer)
    result = diff(route({**EVEN, "shop-d": 300}), more=("--fail-on", fail_on, *AS_JSON))
    assert findings(result) == [("warning", "guard")]
    assert result.exit_code == code


def test_a_backend_over_its_limit_is_an_error_and_one_that_was_over_it_before_is_none(
    shop: FakeApi, diff: Diff, seen: list[Question], monkeypatch: pytest.MonkeyPatch
) -> None:
    balancer = objects.healthy()
    balancer["spec"]["guard"] = {"mode": "Off"}
    shop.put_balancer(balancer)
    assert findings(diff(route({**EVEN, "shop-d": 600}), more=AS_JSON)) == [("error", "overload")]

    def busy(access: Any, prometheus: Any, scrape: float, questions: list[Question]) -> list[Sighting]:
        return [replace(_sighting(each), before=snapshot(EVEN, shop_d=pod(use=0.95))) for each in questions]

    monkeypatch.setattr(diff_module, "look", busy)
    assert findings(diff(route({**EVEN, "shop-d": 240}), more=AS_JSON)) == []


def test_an_override_with_a_reason_lets_the_guard_pass(shop: FakeApi, diff: Diff, seen: list[Question]) -> None:
    reason = {GUARD_OVERRIDE_ANNOTATION: "load test"}
    result = diff(route({**EVEN, "shop-d": 0, "shop-c": 0}, annotations=reason), more=AS_JSON)
    assert ("info", "guard") in findings(result)
    assert "/metadata/annotations/evenload.dev~1guard-override" in machine(result)["objects"][0]["changes"]


def test_the_refusal_of_the_api_server_is_an_error_and_says_it_once(
    shop: FakeApi, diff: Diff, seen: list[Question]
) -> None:
    accepted = machine(diff(route(BAD), more=AS_JSON))["objects"][0]["findings"]
    (guard,) = [each["message"] for each in accepted if each["rule"] == "guard"]
    assert "the guard's policies are not in force here" in guard
    said = f"{guard.partition('; yet')[0]}. {WAYS_OUT}"
    shop.refuse("PATCH", SHOP, 403, f'httproutes "shop" is forbidden: ValidatingAdmissionPolicy denied request: {said}')
    rules = [rule for _, rule in findings(diff(route(BAD), more=AS_JSON))]
    assert rules.count("api-server") == 1
    assert rules.count("guard") == 0


def test_whoever_may_not_rehearse_is_told_so_and_gets_the_rest(shop: FakeApi, diff: Diff, seen: list[Question]) -> None:
    shop.refuse("PATCH", SHOP, 403, 'httproutes "shop" is forbidden: User "jane" cannot patch resource "httproutes"')
    result = diff(route({**EVEN, "shop-d": 260}))
    assert result.exit_code == 0
    assert "API server: not asked, so defaults and admission are unknown: not allowed: " in result.stdout
    assert "250 -> 260" in result.stdout


@pytest.mark.parametrize(
    ("status", "message", "code", "says"),
    [
        (500, ".spec.rules[0].backendRef: field not declared in schema", 1, "the API server would not take it: .spec"),
        (500, "etcdserver: request timed out", 3, "error: the API server failed: etcdserver"),
        (429, "too many requests", 3, "error: the API server is busy: "),
    ],
)
def test_a_field_that_does_not_exist_is_a_refusal_and_a_server_that_fails_is_none(
    shop: FakeApi, diff: Diff, seen: list[Question], status: int, message: str, code: int, says: str
) -> None:
    shop.refuse("PATCH", SHOP, status, message)
    result = diff(route(EVEN))
    assert result.exit_code == code
    assert says in result.stdout + result.stderr


def test_an_answer_that_never_comes_is_not_taken_for_a_change_that_may_have_landed(
    shop: FakeApi, diff: Diff, seen: list[Question]
) -> None:
    shop.cut_after = "PATCH"
    result = diff(route(BAD))
    assert result.exit_code == 3
    assert "a dry run was sent" in result.stderr
    assert "may have" not in result.stderr


def test_a_webhook_that_takes_no_dry_runs_is_no_refusal(shop: FakeApi, diff: Diff, seen: list[Question]) -> None:
    shop.refuse("PATCH", SHOP, 400, 'admission webhook "x.example" does not support dry run')
    result = diff(route({**EVEN, "shop-d": 260}))
    assert result.exit_code == 0
    assert "API server: not asked, so defaults and admission are unknown: " in result.stdout


def test_without_the_right_to_rehearse_an_equal_file_is_no_change_either(
    shop: FakeApi, diff: Diff, seen: list[Question]
) -> None:
    stored = live(EVEN)
    stored["spec"]["rules"][0]["matches"] = [{"path": {"type": "PathPrefix", "value": "/"}}]
    for each in stored["spec"]["rules"][0]["backendRefs"]:
        each |= {"group": "", "kind": "Service"}
    shop.put(SHOP, stored)
    shop.refuse("PATCH", SHOP, 403, 'httproutes "shop" is forbidden: User "jane" cannot patch resource "httproutes"')
    assert machine(diff(route(EVEN), more=AS_JSON))["objects"][0]["state"] == "unchanged"


@pytest.mark.parametrize(
    "spoilt",
    [
        {"rules": "none"},
        {"rules": [{"backendRefs": [3]}]},
        {"rules": [{"backendRefs": [{"weight": "much"}]}]},
        None,
        [],
    ],
)
@pytest.mark.parametrize("status", [403, 422])
def test_whatever_shape_a_refused_or_unseen_object_has_is_a_finding_and_no_crash(
    shop: FakeApi, diff: Diff, seen: list[Question], monkeypatch: pytest.MonkeyPatch, spoilt: Any, status: int
) -> None:
    monkeypatch.setattr(diff_module, "look", lambda a, p, s, questions: [Sighting(policy=q.policy) for q in questions])
    words = 'User "x" cannot patch resource "httproutes"' if status == 403 else "spec: wrong"
    shop.refuse("PATCH", SHOP, status, words)
    given = {**route(EVEN), "spec": spoilt}
    given["metadata"]["annotations"] = None
    result = diff(given, more=AS_JSON)
    assert result.exit_code == (1 if status == 422 else 0)
    assert ("warning", "balancer-unable") in findings(result)


def test_all_weights_at_zero_are_told_by_their_shares(shop: FakeApi, diff: Diff, seen: list[Question]) -> None:
    result = diff(route(dict.fromkeys(BACKENDS, 0)))
    assert "25% -> 0%" in result.stdout
    assert result.exit_code == 1
    shop.put(SHOP, live(dict.fromkeys(BACKENDS, 0)))
    assert "0 -> 250" in diff(route(EVEN)).stdout


def test_warnings_of_the_api_server_are_shown(shop: FakeApi, diff: Diff, seen: list[Question]) -> None:
    shop.warnings = [r"spec.x is deprecated: use \"y\"", "another"]
    out = diff(route({**EVEN, "shop-d": 260})).stdout
    assert 'API server warns: spec.x is deprecated: use "y"' in out
    assert "API server warns: another" in out


def test_a_service_without_ready_endpoints_that_gets_more_is_an_error(
    shop: FakeApi, diff: Diff, seen: list[Question]
) -> None:
    shop.put_balancer(objects.healthy())
    shop.put(ENDPOINTSLICES.path("shop", "shop-d"), slice_("shop-d", ready=0))
    stored = live({**EVEN, "shop-d": 0})
    shop.put(SHOP, stored)
    assert findings(diff(route(EVEN), more=AS_JSON)) == [("error", "route-weight-on-empty-service")]


def test_findings_that_are_there_already_are_counted_only(shop: FakeApi, diff: Diff, seen: list[Question]) -> None:
    shop.put_balancer(objects.healthy())
    shop.put(ENDPOINTSLICES.path("shop", "shop-d"), slice_("shop-d", ready=0))
    result = diff(route({**EVEN, "shop-a": 260}), more=AS_JSON)
    assert (result.exit_code, findings(result)) == (0, [])
    assert machine(result)["summary"]["known"] > 0


def test_a_changed_service_is_read_for_the_audit(shop: FakeApi, diff: Diff, seen: list[Question]) -> None:
    sticky = service("shop-a")
    sticky["spec"]["sessionAffinity"] = "ClientIP"
    result = diff(sticky, more=AS_JSON)
    assert findings(result) == [("warning", "service-session-affinity")]
    assert machine(result)["objects"][0]["changes"] == ["/spec/sessionAffinity"]


def test_without_a_balancer_there_are_shares_and_the_audit(shop: FakeApi, diff: Diff, seen: list[Question]) -> None:
    shop.objects = {path: each for path, each in shop.objects.items() if not path.startswith(GROUP)}
    result = diff(route(BAD))
    assert (result.exit_code, seen) == (0, [])
    assert "25% -> 97%" in result.stdout
    assert "no Balancer looks after it: shares and the audit alone" in result.stdout


def test_rules_that_split_differently_are_shown_one_by_one(shop: FakeApi, diff: Diff, seen: list[Question]) -> None:
    shop.objects = {path: each for path, each in shop.objects.items() if not path.startswith(GROUP)}
    stored, changed = live(EVEN), route(EVEN)
    for each, weight in ((stored, 1), (changed, 3)):
        references = [{"name": "shop-a", "port": 80, "weight": weight}, {"name": "shop-b", "port": 80, "weight": 1}]
        each["spec"]["rules"].append({"backendRefs": references})
    shop.put(SHOP, stored)
    out = diff(changed).stdout
    assert "Shares (rule 2)" in out
    assert "50% -> 75%" in out
    assert "also changes" not in out


def test_a_new_route_is_shown_as_it_would_be(shop: FakeApi, diff: Diff, seen: list[Question]) -> None:
    result = diff(route({"shop-a": 3, "shop-b": 1}, name="other"), more=AS_JSON)
    (found,) = machine(result)["objects"]
    assert (result.exit_code, found["state"], found["changes"]) == (0, "new", [])
    assert [each["share"]["after"] for each in found["outlooks"][0]["backends"]] == [0.75, 0.25]


def test_a_balancer_in_the_files_looks_after_the_route_in_them(shop: FakeApi, diff: Diff, seen: list[Question]) -> None:
    shares = [{"backend": "shop-a", "weight": 1}, {"backend": "shop-b", "weight": 1}]
    given = objects.healthy()
    spec = {"targetRef": {"name": "shop"}, "desired": {"type": "Explicit", "shares": shares}}
    made = {"apiVersion": given["apiVersion"], "kind": "Balancer", "metadata": {"name": "shop"}, "spec": spec}
    result = diff(made, route({**EVEN, "shop-d": 260}), more=AS_JSON)
    assert [(each.balancer["metadata"]["name"], each.applied) for each in seen] == [("shop", False)]
    assert ("warning", "balancer-unable") in findings(result)


def test_only_the_balancer_that_is_named_is_asked(shop: FakeApi, diff: Diff, seen: list[Question]) -> None:
    other = objects.healthy(name="second")
    other["spec"]["targetRef"]["name"] = "shop"
    shop.put_balancer(other)
    diff(route(BAD), more=("--balancer", "second"))
    assert [each.balancer["metadata"]["name"] for each in seen] == ["second"]
    result = diff(route(BAD), more=("--balancer", "third"))
    assert (result.exit_code, "--balancer third: " in result.stderr) == (2, True)


def test_a_kind_that_may_not_be_listed_means_that_not_all_could_be_told(
    shop: FakeApi, diff: Diff, seen: list[Question]
) -> None:
    shop.refuse("GET", SERVICES.path("shop"), 403, 'services is forbidden: User "jane" cannot list resource "services"')
    result = diff(route({**EVEN, "shop-d": 260}))
    assert result.exit_code == 3
    assert "not audited: Service: not allowed: " in result.stdout
    assert result.stdout.splitlines()[-1].startswith("Could not tell: ")


@pytest.mark.parametrize(("given", "code"), [((), 0), (("--prometheus", "http://127.0.0.1:9"), 3)])
def test_predictions_that_were_asked_for_and_cannot_be_made_are_not_passed_over(
    shop: FakeApi, diff: Diff, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], code: int
) -> None:
    def look(access: Any, prometheus: Any, scrape: float, questions: list[Question]) -> list[Sighting]:
        return [Sighting(policy=each.policy, missing=("Prometheus did not answer",)) for each in questions]

    monkeypatch.setattr(diff_module, "look", look)
    result = diff(route({**EVEN, "shop-d": 260}), more=given)
    assert "CPU and errors are not predicted: Prometheus did not answer" in result.stdout
    assert result.exit_code == code


def test_signals_that_lack_are_named(
    shop: FakeApi, diff: Diff, seen: list[Question], monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(access: Any, prometheus: Any, scrape: float, questions: list[Question]) -> list[Sighting]:
        lacking = {**FRESH, "cpu": Signal(state=SignalState.Missing, detail="no series")}
        return [
            replace(found, before=replace(found.before, signals=lacking))
            for found in map(_sighting, questions)
            if found.before is not None
        ]

    monkeypatch.setattr(diff_module, "look", look)
    assert "predicted: cpu: Missing: no series" in diff(route({**EVEN, "shop-d": 260})).stdout


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "shop.yaml: holds no object"),
        ("- 1\n", "shop.yaml:1: is no object"),
        ("a: [", "shop.yaml: not YAML: line 2"),
        ("apiVersion: v1\n", "shop.yaml:1: kind is missing"),
        ("apiVersion: v1\nkind: 3\n", "shop.yaml:2: kind is 3, which is no name"),
        ("apiVersion: v1\nkind: Service\n", "shop.yaml:1: metadata: must have fields (name, namespace)"),
        ("apiVersion: v1\nkind: Service\nmetadata:\n  name: 5\n", "shop.yaml:4: metadata.name is 5"),
        (
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: ..\n",
            'shop.yaml:3: metadata: ".." is no name of an object',
        ),
        (
            "apiVersion: evenload.dev/v1alpha1\nkind: Balancer\nmetadata:\n  name: x\nspec: {}\n",
            'shop.yaml:5: Balancer "x": ',
        ),
        (
            "---\n".join(2 * ["apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"]),
            "shop.yaml:5: Service shop/a stands in shop.yaml:1 already",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_line_and_field_before_anything_is_asked(
    run: Run, api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shop.yaml").write_text(text)
    result = run("diff", "-f", "shop.yaml")
    assert result.exit_code == 2
    assert says in result.stderr
    assert api.requests == []


def test_text_of_an_object_commands_neither_a_terminal_nor_a_page(
    shop: FakeApi, diff: Diff, seen: list[Question]
) -> None:
    shop.refuse("PATCH", SHOP, 422, "\x1b[31m<script>|*evil*")
    assert "\x1b" not in diff(route(BAD)).stdout
    page = diff(route(BAD), more=("-o", "markdown")).stdout
    assert r"\<script\>\|\*evil\*" in page


def test_an_unreadable_balancer_of_the_cluster_stops_nothing(shop: FakeApi, diff: Diff, seen: list[Question]) -> None:
    broken = objects.healthy(name="broken")
    broken["spec"] = {"targetRef": {"name": "shop"}, "mode": "Someday"}
    shop.put_balancer(broken)
    result = diff(route({**EVEN, "shop-d": 260}))
    assert result.exit_code == 0
    assert 'Balancers: this version of Evenload cannot read one: Balancer "broken": ' in result.stdout


def test_a_wrong_scrape_interval_is_said_by_its_flag(shop: FakeApi, diff: Diff) -> None:
    result = diff(route(BAD), more=("--scrape", "soon"))
    assert (result.exit_code, "--scrape" in result.stderr) == (2, True)
