"""TraefikServices for tests: generated ones, and small ones by hand."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

from evenload.model.spec import TargetRef

SHOP = TargetRef(kind="TraefikService", name="shop")


def weighted(*services: dict[str, Any], **rest: Any) -> dict[str, Any]:
    """A TraefikService as the API server would answer it; `rest` stands beside `weighted.services`."""
    return traefik_service(weighted={"services": list(services), **rest})


def traefik_service(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "TraefikService",
        "metadata": {"name": "shop", "namespace": "shop", "uid": "u-1", "resourceVersion": "41", "generation": 3},
        "spec": spec,
    }


def service(name: str, weight: int | None = None, **rest: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "port": 80, **rest}
    return found if weight is None else {**found, "weight": weight}


def written_by(manifest: dict[str, Any], manager: str, time: str) -> dict[str, Any]:
    """`manifest` with `manager` as another owner of its weights."""
    changed = copy.deepcopy(manifest)
    entry = {"manager": manager, "operation": "Update", "time": time, "fieldsV1": {"f:spec": {"f:weighted": {}}}}
    changed["metadata"].setdefault("managedFields", []).append(entry)
    return changed


def without_managed_weights(manifest: dict[str, Any], _: TargetRef) -> dict[str, Any]:
    """`manifest` without the weights of Services."""
    stripped = copy.deepcopy(manifest)
    for each in stripped["spec"]["weighted"]["services"]:
        if each.get("kind", "Service") == "Service":
            each.pop("weight", None)
    return stripped


@st.composite
def balanceable(draw: st.DrawFn) -> tuple[dict[str, Any], TargetRef]:
    """Two Services or more, among other TraefikServices without weight."""
    names = draw(st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=2, unique=True))
    trimmings = st.sampled_from([{}, {"kind": "Service"}, {"namespace": "shop"}, {"scheme": "h2c"}])
    services = [service(name, draw(st.none() | st.integers(0, 1_000_000)), **draw(trimmings)) for name in names]
    spectators = draw(st.sampled_from([[], [service("other", 0, kind="TraefikService")]]))
    rest = draw(st.sampled_from([{}, {"sticky": {"cookie": {"name": "lb"}}}]))
    return weighted(*draw(st.permutations([*services, *spectators])), **rest), SHOP
