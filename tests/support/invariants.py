"""What must hold of every write to traffic or pods, whatever a test does: looked at in the API proxy, before it passes.

    invariants = Invariants(client)          # `client` reaches the API server directly
    proxy.inspect(invariants.look)
    ...
    assert invariants.broken == []

Each write is compared with what the API server holds at that moment, not with what the operator believes. One thing
nobody can rule out: that the Balancer changes between the operator's last look at it, just before the write, and the
write itself. So a Balancer that forbids the write must have forbidden it at that look, too; without a look of its own
each write is judged by the moment alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from evenload.api.v1alpha1 import ISOLATED_ANNOTATION, PAUSED_ANNOTATION, UNDO_ANNOTATION
from evenload.clock import from_rfc3339
from evenload.errors import NotFound
from evenload.kube.resources import (
    BALANCERS,
    ENDPOINTSLICES,
    HTTPROUTES,
    REMEDIATIONS,
    VIRTUALSERVICES,
    Manifest,
    Resource,
)
from evenload.model.plan import POD_ACTIONS
from evenload.model.policy import Policy
from evenload.model.spec import BalancerSpec, Mode
from tests.support.apiproxy import Seen

LARGEST_WEIGHT = 1_000_000  # the Gateway API's
HOUR_SECONDS = 3600.0
PRECONDITION_FAILED = (409, 422)  # another version of the object; a JSON patch whose test does not hold
_BALANCER = re.compile(rf"^/apis/{re.escape(BALANCERS.api_version)}/namespaces/([^/]+)/{BALANCERS.plural}/([^/]+)$")
_POD = re.compile(r"^/api/v1/namespaces/([^/]+)/pods/([^/]+)$")
_EVICTION = re.compile(r"^/api/v1/namespaces/([^/]+)/pods/([^/]+)/eviction$")
_ROUTES = {each.plural: each for each in (HTTPROUTES, VIRTUALSERVICES)}
_ROUTE = re.compile(rf"^/apis/[^/]+/[^/]+/namespaces/([^/]+)/({'|'.join(_ROUTES)})/([^/]+)$")
_WEIGHT = re.compile(r"^/spec/(?:rules|http)/(\d+)/(?:backendRefs|route)/(\d+)/weight$")


class Reads(Protocol):
    """What is asked of the API server: evenload.kube.client.Client, or the one in memory."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest: ...

    async def list(self, resource: Resource, namespace: str | None = None) -> tuple[list[Manifest], str]: ...


class Plan(NamedTuple):
    """A step that stands as Planned, and whose it is."""

    step: Mapping[str, Any]
    remediation: Manifest


class Invariants:
    """See the module."""

    def __init__(self, client: Reads) -> None:
        self.looked_at = 0
        self._client = client
        self._objections: list[tuple[Seen, str]] = []
        self._looks: dict[tuple[str, str], Manifest | None] = {}  # at Balancers, since the last write for each

    @property
    def broken(self) -> list[str]:
        """A sentence for each write that should not have been made.

        Of one whose precondition did not hold nothing came: two operators may both try, and one is to win.
        """
        return [
            f"{seen.method} {seen.path}: {reason}"
            for seen, reason in self._objections
            if seen.status not in PRECONDITION_FAILED
        ]

    async def look(self, seen: Seen) -> None:
        """Judge a write, and remember it; remember a look at a Balancer."""
        if seen.method == "GET" and (match := _BALANCER.match(seen.path)):
            namespace, name = match.groups()
            self._looks[namespace, name] = await self._balancer(namespace, name)
        elif (match := _EVICTION.match(seen.path)) and seen.is_write:
            await self._judge_eviction(seen, *match.groups())
        elif (match := _POD.match(seen.path)) and seen.is_write:
            await self._judge_labels(seen, *match.groups())
        elif (match := _ROUTE.match(seen.path)) and seen.is_write:
            await self._judge_weights(seen, *match.groups())

    async def _judge_eviction(self, seen: Seen, namespace: str, pod: str) -> None:
        uid = json.loads(seen.body).get("deleteOptions", {}).get("preconditions", {}).get("uid", "")
        plan = await self._planned(
            namespace, lambda step: step["action"] == "RestartPod" and (step["pod"], step["uid"]) == (pod, uid)
        )
        self.looked_at += 1
        if plan is None:
            self._break(seen, f"no Planned step of a Remediation of {namespace} is the eviction of {pod} ({uid})")
            return
        await self._judge_taking(seen, namespace, plan, pod, uid)

    async def _judge_taking(self, seen: Seen, namespace: str, plan: Plan, pod: str, uid: str) -> None:
        """A pod is taken from its siblings."""
        policy = await self._permitted(seen, namespace, plan, restart=True)
        if policy is not None:
            await self._count(seen, namespace, plan.step, policy)
        if not await self._others_ready(namespace, uid):
            self._break(seen, f"{pod} is the last ready pod of {namespace}")

    async def _judge_labels(self, seen: Seen, namespace: str, pod: str) -> None:
        """A label taken off as a Planned step says, or put back as a stored one says; nothing else of a pod."""
        self.looked_at += 1
        operations = json.loads(seen.body)
        tests = {each["path"]: each["value"] for each in operations if each["op"] == "test"}
        changed = [each for each in operations if each["op"] != "test"]
        uid, off = tests.get("/metadata/uid"), [each for each in changed if each["op"] == "remove" and _is_label(each)]
        if seen.method != "PATCH" or uid is None or "/metadata/resourceVersion" not in tests:
            self._break(seen, "it is not bound to a version of that very pod")
            return
        if not all(_is_label(each) or _is_mark(each) for each in changed):
            self._break(seen, "it changes something else than one label and our annotation")
            return
        if not off:
            if await self._isolated(namespace, pod, uid, changed) is None:
                self._break(seen, f"no step of a Remediation of {namespace} isolated {pod} ({uid}) by that label")
            return
        key = _unescaped(off[0]["path"].removeprefix("/metadata/labels/"))
        label = f"{key}={tests.get(off[0]['path'])}"
        plan = await self._planned(
            namespace,
            lambda step: (
                step["action"] == "Isolate" and (step["pod"], step["uid"], step.get("label")) == (pod, uid, label)
            ),
        )
        if plan is None:
            self._break(seen, f"no Planned step of a Remediation of {namespace} is the isolation of {pod} ({uid})")
            return
        await self._judge_taking(seen, namespace, plan, pod, uid)

    async def _isolated(
        self, namespace: str, pod: str, uid: str, changed: list[Mapping[str, Any]]
    ) -> Mapping[str, Any] | None:
        """The stored step that took off what these operations put back."""
        back = [f"{_unescaped(each['path'].split('/')[-1])}={each['value']}" for each in changed if _is_label(each)]
        found, _ = await self._client.list(REMEDIATIONS, namespace)
        steps = (step for remediation in found for step in remediation.get("status", {}).get("steps", ()))
        mine = (step for step in steps if step["action"] == "Isolate" and (step["pod"], step["uid"]) == (pod, uid))
        return next((step for step in mine if back in ([], [step["label"]])), None)

    async def _judge_weights(self, seen: Seen, namespace: str, plural: str, name: str) -> None:
        self.looked_at += 1
        after = written(await self._client.get(_ROUTES[plural], namespace, name), json.loads(seen.body), namespace)
        if after is None:
            self._break(seen, "it changes something else than weights")
            return
        if not any(after.values()) or not all(0 <= weight <= LARGEST_WEIGHT for weight in after.values()):
            self._break(seen, f"these are no weights: {after}")
        plan = await self._planned(namespace, lambda step: step.get("after") == after)
        if plan is None:
            self._break(seen, f"no Planned step of a Remediation of {namespace} asks for {after}")
            return
        await self._permitted(seen, namespace, plan, restart=False)

    async def _planned(self, namespace: str, wanted: Callable[[Mapping[str, Any]], bool]) -> Plan | None:
        """Of Remediations of that very namespace, whose Balancer is there, too."""
        found, _ = await self._client.list(REMEDIATIONS, namespace)
        for remediation in found:
            for step in remediation.get("status", {}).get("steps", ()):
                if step["state"] == "Planned" and wanted(step):
                    return Plan(step, remediation)
        return None

    async def _permitted(self, seen: Seen, namespace: str, plan: Plan, *, restart: bool) -> Policy | None:
        """The Policy of its Balancer, if that is there and lets it be done."""
        name = plan.remediation["spec"]["balancerRef"]["name"]
        balancer = await self._balancer(namespace, name)
        looked_at = self._looks.pop((namespace, name), balancer)
        now, then = (list(_objections(each, plan, restart=restart)) for each in (balancer, looked_at))
        for reason in now if then else ():
            self._break(seen, reason)
        return None if balancer is None else Policy.of(msgspec.convert(balancer["spec"], BalancerSpec))

    async def _balancer(self, namespace: str, name: str) -> Manifest | None:
        try:
            return await self._client.get(BALANCERS, namespace, name)
        except NotFound:
            return None

    async def _count(self, seen: Seen, namespace: str, step: Mapping[str, Any], policy: Policy) -> None:
        """Restarts of its workload within an hour, this one too: all that the records of that namespace know."""
        remediations, _ = await self._client.list(REMEDIATIONS, namespace)
        planned_at = from_rfc3339(step["plannedAt"]) or 0.0
        recent = {
            each["uid"]
            for remediation in remediations
            for each in remediation.get("status", {}).get("steps", ())
            if each["action"] in POD_ACTIONS
            and each["state"] != "Abandoned"
            and each.get("workload") == step.get("workload")
            and planned_at - HOUR_SECONDS < (from_rfc3339(each["plannedAt"]) or 0.0) <= planned_at
        }
        if len(recent) > policy.restarts_per_hour:
            self._break(seen, f"restart {len(recent)} of {step.get('workload')} within an hour")

    async def _others_ready(self, namespace: str, uid: str) -> bool:
        slices, _ = await self._client.list(ENDPOINTSLICES, namespace)
        return any(
            (endpoint.get("targetRef") or {}).get("uid") != uid and (endpoint.get("conditions") or {}).get("ready")
            for each in slices
            for endpoint in each.get("endpoints") or ()
        )

    def _break(self, seen: Seen, reason: str) -> None:
        self._objections.append((seen, reason))


def _is_label(operation: Mapping[str, Any]) -> bool:
    return str(operation["path"]).startswith("/metadata/labels/")


def _is_mark(operation: Mapping[str, Any]) -> bool:
    """Whether it is about our annotation alone."""
    path = operation["path"]
    if path == "/metadata/annotations":
        return bool(operation["op"] == "add" and operation["value"].keys() == {ISOLATED_ANNOTATION})
    return bool(_unescaped(path) == f"/metadata/annotations/{ISOLATED_ANNOTATION}")


def _unescaped(pointer: str) -> str:
    return pointer.replace("~1", "/").replace("~0", "~")


def _objections(balancer: Manifest | None, plan: Plan, *, restart: bool) -> Iterator[str]:
    """Why a Balancer as this one is does not let it be done; None: it is gone."""
    reference = plan.remediation["spec"]["balancerRef"]
    if balancer is None:
        yield f"its Balancer {reference['name']} is gone"
        return
    metadata, spec = balancer["metadata"], msgspec.convert(balancer["spec"], BalancerSpec)
    policy = Policy.of(spec)
    mode = policy.restart_mode if restart else policy.reweight_mode
    approval = plan.remediation["spec"].get("approval", {}).get("decision")
    undone = plan.remediation["metadata"].get("annotations", {}).get(UNDO_ANNOTATION)
    asked = (
        undone or plan.remediation["spec"].get("trigger") == "Undo" or plan.remediation["status"].get("undoRequested")
    )
    if reference.get("uid") != metadata["uid"]:
        yield f"its Balancer has the UID {metadata['uid']}, the Remediation is of {reference.get('uid')}"
    if "deletionTimestamp" in metadata:
        yield "its Balancer is being deleted"
    if spec.suspend:
        yield "its Balancer is suspended"
    if metadata.get("annotations", {}).get(PAUSED_ANNOTATION):
        yield "its Balancer is paused"
    if mode is Mode.Observe:
        yield "its Balancer is in Observe mode"
    if mode is Mode.Approve and approval != "Approved" and not asked:
        yield "its Balancer is in Approve mode, and nobody approved"


def written(route: Manifest, operations: list[Mapping[str, Any]], namespace: str) -> dict[str, int] | None:
    """Weights by backend after that JSON patch; None where it does anything else than test and set weights."""
    spec = route["spec"]
    rules = [
        [dict(ref) for ref in rule.get("backendRefs", rule.get("route", ()))]
        for rule in spec.get("rules", spec.get("http", ()))
    ]
    touched = set()
    for operation in operations:
        if operation["op"] == "test":
            continue
        place = _WEIGHT.match(operation["path"])
        if place is None or operation["op"] not in ("add", "replace"):
            return None
        rule, ref = int(place[1]), int(place[2])
        rules[rule][ref]["weight"] = operation["value"]
        touched.add(rule)
    return {_backend(ref, namespace): ref.get("weight", 1) for rule in sorted(touched) for ref in rules[rule]}


def _backend(ref: Mapping[str, Any], namespace: str) -> str:
    if "destination" in ref:
        return f"{ref['destination']['host']}/{ref['destination']['subset']}"
    foreign = ref.get("namespace", namespace) != namespace
    return f"{ref['namespace']}/{ref['name']}" if foreign else str(ref["name"])
