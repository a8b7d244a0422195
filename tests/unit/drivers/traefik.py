"""TraefikServices and IngressRoutes for tests: generated ones, and small ones by hand."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

from evenload.model.spec import TargetRef

SHOP = TargetRef(kind="TraefikService", name="shop")
ROUTED = TargetRef(kind="IngressRoute", name="shop")


def weighted(*services: dict[str, Any], **rest: Any) -> dict[str, Any]:
    """A TraefikService as the API server would answer it; `rest` stands beside `weighted.services`."""
    return traefik_service(weighted={"services": list(services), **rest})


def traefik_service(**spec: Any) -> dict[str, Any]:
    return _manifest("TraefikService", spec)


def ingress_route(*routes: list[dict[str, Any]], **spec: Any) -> dict[str, Any]:
    """The same of an IngressRoute: the services of each route."""
    match = {"kind": "Rule", "match": "Host(`shop.example`)"}
    return _manifest("IngressRoute", {"routes": [{**match, "services": services} for services in routes], **spec})


def _manifest(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": "shop", "namespace": "shop", "uid": "u-1", "resourceVersion": "41", "generation": 3},
        "spec": spec,
    }


def service(name: str, weight: int | None = None, **rest: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "port": 80, **rest}
    return found if weight is None else {**found, "weight": weight}


def written_by(manifest: dict[str, Any], manager: str, time: str) -> dict[str, Any]:
    """`manifest` with `manager` as another owner of its weights."""
    changed = copy.deepcopy(manifest)
    fields: dict[str, Any] = {"f:spec": {"f:weighted" if manifest["kind"] == "TraefikService" else "f:routes": {}}}
    entry = {"manager": manager, "operation": "Update", "time": time, "fieldsV1": fields}
    changed["metadata"].setdefault("managedFields", []).append(entry)
    return changed


def without_managed_weights(manifest: dict[str, Any], _: TargetRef) -> dict[str, Any]:
    """`manifest` without the weights of Services that share traffic."""
    stripped = copy.deepcopy(manifest)
    for split in stripped["spec"].get("routes", [stripped["spec"].get("weighted")]):
        services = [each for each in split["services"] if each.get("kind", "Service") == "Service"]
        for each in services if len(services) > 1 else ():
            each.pop("weight", None)
    return stripped


@st.composite
def balanceable(draw: st.DrawFn) -> tuple[dict[str, Any], TargetRef]:
    """Two Services or more, among other TraefikServices without weight."""
    rest = draw(st.sampled_from([{}, {"sticky": {"cookie": {"name": "lb"}}}]))
    return weighted(*draw(_services()), **rest), SHOP


@st.composite
def routed(draw: st.DrawFn) -> tuple[dict[str, Any], TargetRef]:
    """An IngressRoute with one set of weights in one or more routes, among others of which none splits."""
    services = draw(_services())
    splits = [draw(st.permutations(copy.deepcopy(services))) for _ in range(draw(st.integers(1, 3)))]
    single = st.sampled_from([[service("admin", 7)], [service("other", 9, kind="TraefikService")], []])
    others = draw(st.lists(single.map(copy.deepcopy), max_size=2))
    rest = draw(st.sampled_from([{}, {"entryPoints": ["web"], "tls": {"secretName": "shop"}}]))
    return ingress_route(*draw(st.permutations([*splits, *others])), **rest), ROUTED


@st.composite
def _services(draw: st.DrawFn) -> list[dict[str, Any]]:
    names = draw(st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=2, unique=True))
    trimmings = st.sampled_from([{}, {"kind": "Service"}, {"namespace": "shop"}, {"scheme": "h2c"}])
    services = [service(name, draw(st.none() | st.integers(0, 1_000_000)), **draw(trimmings)) for name in names]
    spectators = draw(st.sampled_from([[], [service("other", 0, kind="TraefikService")]]))
    return draw(st.permutations([*services, *spectators]))
