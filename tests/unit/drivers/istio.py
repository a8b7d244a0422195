"""VirtualServices and DestinationRules for tests: generated ones, and small ones by hand."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

from evenload.model.spec import TargetRef

SHOP = TargetRef(kind="VirtualService", name="shop")

HEADERS: st.SearchStrategy[dict[str, Any]] = st.sampled_from([{}, {"headers": {"request": {"set": {"x": "1"}}}}])
TRIMMINGS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}, {"timeout": "3s"}, {"match": [{"uri": {"prefix": "/"}}]}]
)


def virtual_service(*rules: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """As the API server would answer it; `spec` stands beside `http`."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "shop", "namespace": "shop", "uid": "u-1", "resourceVersion": "41", "generation": 3},
        "spec": {"hosts": ["shop.example"], **({"http": list(rules)} if rules else {}), **spec},
    }


def rule(*route: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"route": list(route), **rest}


def split(**weights: int) -> dict[str, Any]:
    """A VirtualService of one rule over whole Services."""
    return virtual_service(rule(*(to(name, weight) for name, weight in weights.items())))


def to(host: str, weight: int | None = None, *, subset: str | None = None, **rest: Any) -> dict[str, Any]:
    destination = {"host": host, **({} if subset is None else {"subset": subset})}
    return {"destination": destination, **({} if weight is None else {"weight": weight}), **rest}


def destination_rule(
    host: str = "web", subsets: dict[str, dict[str, str]] | None = None, name: str = "web", **spec: Any
) -> dict[str, Any]:
    described = [{"name": subset, "labels": labels} for subset, labels in (subsets or {}).items()]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"host": host, "subsets": described, **spec},
    }


def written_by(manifest: dict[str, Any], manager: str, time: str) -> dict[str, Any]:
    """`manifest` with `manager` as another owner of its weights."""
    changed = copy.deepcopy(manifest)
    entry = {"manager": manager, "operation": "Update", "time": time, "fieldsV1": {"f:spec": {"f:http": {}}}}
    changed["metadata"].setdefault("managedFields", []).append(entry)
    return changed


def without_managed_weights(manifest: dict[str, Any], _: TargetRef) -> dict[str, Any]:
    """`manifest` without the weights of what is split over destinations of its own namespace."""
    stripped = copy.deepcopy(manifest)
    for each in stripped["spec"]["http"]:
        for destination in each["route"] if len(each["route"]) > 1 else ():
            if destination["destination"]["host"] != "api.example.com":
                destination.pop("weight", None)
    return stripped


@st.composite
def balanceable(draw: st.DrawFn) -> tuple[dict[str, Any], TargetRef]:
    """One rule or two that split alike over Services and subsets, among others that do not split."""
    hosts = st.sampled_from(["web", "web.shop.svc.cluster.local", "cart"])
    places = draw(
        st.lists(
            st.tuples(hosts, st.sampled_from([None, "", "v1", "v2"])),
            min_size=2,
            max_size=6,
            unique_by=lambda place: (place[0].partition(".")[0], place[1] or ""),
        )
    )
    weights = [draw(st.none() | st.integers(0, 100)) for _ in places]
    spectators = draw(st.sampled_from([[], [to("api.example.com", 0)], [to("api.example.com")]]))

    def one() -> dict[str, Any]:
        headers = [draw(HEADERS) for _ in places]
        refs: list[dict[str, Any]] = [
            {**to(host, weight, subset=subset), **more}
            for (host, subset), weight, more in zip(places, weights, headers, strict=True)
        ]
        return rule(*draw(st.permutations([*refs, *spectators])), **draw(TRIMMINGS))

    rules = [one() for _ in range(draw(st.integers(1, 2)))]
    others = draw(st.sampled_from([[], [rule(to("other", 7))], [{"redirect": {"uri": "/"}, "route": []}]]))
    return virtual_service(*draw(st.permutations([*rules, *others]))), SHOP
