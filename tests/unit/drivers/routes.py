"""HTTPRoutes for tests: generated ones, and small ones by hand."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

from evenload.model.spec import TargetRef

NAMES = ("shop-a", "shop-b", "shop-c", "shop-d", "cart")
FILTERS = ({"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x", "value": "1"}]}},)


def route(*rules: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """An HTTPRoute as the API server would answer it."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": "shop",
            "namespace": "shop",
            "uid": "u-1",
            "resourceVersion": "41",
            "generation": 3,
            **metadata,
        },
        "spec": {"parentRefs": [{"name": "web"}], "hostnames": ["shop.example"], "rules": list(rules)},
    }


def as_grpc(manifest: dict[str, Any]) -> dict[str, Any]:
    """The same split, of a GRPCRoute."""
    return {**manifest, "kind": "GRPCRoute"}


def rule(*refs: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {**rest, "backendRefs": list(refs)}


def ref(name: str, weight: int | None = None, **rest: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "port": 80, **rest}
    return found if weight is None else {**found, "weight": weight}


def written_by(manifest: dict[str, Any], manager: str, time: str) -> dict[str, Any]:
    """`manifest` with `manager` as another owner of its rules."""
    changed = copy.deepcopy(manifest)
    entry = {
        "manager": manager,
        "operation": "Update",
        "apiVersion": "gateway.networking.k8s.io/v1",
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:rules": {}}},
    }
    changed["metadata"].setdefault("managedFields", []).append(entry)
    return changed


def without_managed_weights(manifest: dict[str, Any], target: TargetRef) -> dict[str, Any]:
    """`manifest` without the weights of Services in the rules that `target` means."""
    stripped = copy.deepcopy(manifest)
    for one in stripped["spec"]["rules"]:
        services = [reference for reference in one.get("backendRefs", []) if is_service(reference)]
        if len(services) > 1 and target.rule_name in (None, one.get("name")):
            for reference in services:
                reference.pop("weight", None)
    return stripped


def is_service(reference: dict[str, Any]) -> bool:
    return bool(reference.get("kind", "Service") == "Service" and reference.get("group", "") == "")


@st.composite
def balanceable(draw: st.DrawFn) -> tuple[dict[str, Any], TargetRef]:
    """A route with one set of weights in one or more rules, among single-backend, redirect and unrelated rules."""
    chosen = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=5, unique=True))
    elsewhere = draw(st.sampled_from([None, "other"]))
    references = [draw(_reference(name, elsewhere if name == "cart" else None)) for name in chosen]
    named = draw(st.booleans())
    rules: list[dict[str, Any]] = []
    for _ in range(1 if named else draw(st.integers(1, 3))):
        order = draw(st.permutations(references))
        spectators = draw(st.lists(_spectator(), max_size=1))
        rules.append({**draw(_trimmings()), "backendRefs": copy.deepcopy([*order, *spectators])})
    if named:
        rules[0]["name"] = "main"
    others = draw(st.lists(_other_rule(splitting=named), max_size=3))
    manifest = route(*draw(st.permutations([*rules, *others])))
    return manifest, TargetRef(name="shop", rule_name="main" if named else None)


@st.composite
def _reference(draw: st.DrawFn, name: str, namespace: str | None) -> dict[str, Any]:
    made = ref(name, draw(st.none() | st.integers(0, 1_000_000)))
    made.update(draw(st.sampled_from([{}, {"kind": "Service", "group": ""}, {"filters": list(FILTERS)}])))
    return made | ({"namespace": namespace} if namespace else draw(st.sampled_from([{}, {"namespace": "shop"}])))


def _spectator() -> st.SearchStrategy[dict[str, Any]]:
    return st.sampled_from([ref("mirror", 0, kind="ServiceImport", group="multicluster.x-k8s.io")])


def _trimmings() -> st.SearchStrategy[dict[str, Any]]:
    return st.sampled_from(
        [
            {},
            {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "timeouts": {"request": "10s"}},
            {"filters": list(FILTERS), "retry": {"attempts": 2}},
        ]
    )


def _other_rule(*, splitting: bool) -> st.SearchStrategy[dict[str, Any]]:
    single = [
        rule(ref("admin", 7), matches=[{"path": {"type": "Exact", "value": "/admin"}}]),
        rule(filters=[{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]),
        rule(ref("admin", 3), ref("x", 9, kind="TraefikService", group="traefik.io")),
    ]
    return st.sampled_from([*single, rule(ref("blue", 9), ref("green", 1), name="canary")] if splitting else single)
