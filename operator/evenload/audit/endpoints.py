"""EndpointSlices: who really stands behind a Service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from evenload.audit.field import Field
from evenload.audit.finding import Hit, Rule, Severity
from evenload.audit.world import SERVICE_NAME, Object, World
from evenload.model.wording import listing

MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"
CONTROLLER: Final = "endpointslice-controller.k8s.io"
UNEVEN_RATIO: Final = 2.0
"""Endpoints of the fullest zone to those of the emptiest: from here on a pod of the one gets half of a pod of the
other."""


def endpoints_of(world: World, service: Object) -> Iterator[Field]:
    for each in world.slices(service):
        yield from each.root["endpoints"].each()


def is_ready(endpoint: Field) -> bool:
    """Unknown counts as ready, as the API says."""
    return endpoint["conditions"]["ready"].value is not False


def ready_endpoints(world: World, service: Object) -> list[Field]:
    return [each for each in endpoints_of(world, service) if is_ready(each)]


def uneven(places: Counter[str]) -> bool:
    return len(places) > 1 and max(places.values()) >= UNEVEN_RATIO * min(places.values())


def by_place(places: Counter[str]) -> str:
    """ "3 in a, 1 in b"."""
    return listing([f"{count} in {place}" for place, count in sorted(places.items())], most=6)


def _fewer(service: Object, world: World) -> Iterator[Hit]:
    namespace, selector = service.namespace, world.selector(service)
    if selector is None or not (world.complete("Pod", namespace) and world.complete("EndpointSlice", namespace)):
        return
    there = {each["targetRef"]["name"].text for each in ready_endpoints(world, service)}
    missing = [pod.name for pod in world.pods(namespace, selector) if pod_is_ready(pod) and pod.name not in there]
    if missing:
        yield Hit(service.spec["selector"], f"ready and selected, but in no EndpointSlice: {listing(missing)}")


def pod_is_ready(pod: Object) -> bool:
    return not pod.root["metadata"]["deletionTimestamp"].given and any(
        each["type"].text == "Ready" and each["status"].text == "True"
        for each in pod.root["status"]["conditions"].each()
    )


def _service_of(slice_: Object, world: World) -> Object | None:
    return world.get("Service", slice_.namespace, slice_.labels.get(SERVICE_NAME, ""))


def _foreign(slice_: Object, world: World) -> Iterator[Hit]:
    service, manager = _service_of(slice_, world), slice_.labels.get(MANAGED_BY)
    if service is not None and world.selector(service) is not None and manager != CONTROLLER:
        who = f"{manager} manages it" if manager else f"it has no label {MANAGED_BY}"
        yield Hit(slice_.root["metadata"]["labels"], f"Service {service.name} has a selector, and {who}")


def _dead(slice_: Object, world: World) -> Iterator[Hit]:
    if not world.complete("Pod", slice_.namespace):
        return
    for each in slice_.root["endpoints"].each():
        target = each["targetRef"]
        name, uid = target["name"].text, target["uid"].text
        if target["kind"].text != "Pod" or not name or not is_ready(each):
            continue
        pod = world.get("Pod", target["namespace"].text or slice_.namespace, name)
        if pod is None:
            yield Hit(target, f"there is no Pod {name}, and its address is a ready endpoint")
        elif uid and uid != pod.root["metadata"]["uid"].text:
            yield Hit(target, f"Pod {name} is another one now (UID {uid} is gone), and the old address is ready")


def _hints(slice_: Object, world: World) -> Iterator[Hit]:
    service = _service_of(slice_, world)
    if service is not None and steers_by_place(service):
        return  # asked for on the Service, and said there
    zones = Counter(
        zone["name"].text
        for each in slice_.root["endpoints"].each()
        if is_ready(each)
        for zone in each["hints"]["forZones"].each()
    )
    if uneven(zones):
        yield Hit(slice_.root["endpoints"], f"hints give each zone its own endpoints, and they are {by_place(zones)}")


def steers_by_place(service: Object) -> Field | None:
    """The field or annotation that keeps traffic within a zone or node."""
    distribution = service.spec["trafficDistribution"]
    mode = service.annotations["service.kubernetes.io/topology-mode"]
    if distribution.text:
        return distribution
    return mode if mode.text not in ("", "Disabled", "disabled") else None


RULES = (
    Rule(
        "service-pods-not-in-slices",
        Severity.warning,
        ("Service",),
        "Ready pods that the Service selects are in none of its EndpointSlices: they get nothing.",
        "Wait a moment; if it stays so, look at the endpointslice controller and for labels of the slices.",
        _fewer,
        needs=("Pod", "EndpointSlice"),
    ),
    Rule(
        "slice-foreign",
        Severity.warning,
        ("EndpointSlice",),
        "A slice that Kubernetes' controller does not manage belongs to a Service with a selector: its endpoints are "
        "not those the selector says.",
        "Delete the slice, or remove the Service's selector if the slices are meant to be made otherwise.",
        _foreign,
        needs=("Service",),
    ),
    Rule(
        "slice-dead-pod",
        Severity.warning,
        ("EndpointSlice",),
        "A ready endpoint leads to a pod that is gone, or to an earlier pod of that name.",
        "Wait a moment; if it stays so, find out who writes the slice, and delete it.",
        _dead,
        needs=("Pod",),
    ),
    Rule(
        "slice-hints-uneven",
        Severity.warning,
        ("EndpointSlice",),
        "Hints keep each zone to its own endpoints, which are uneven, though the Service does not ask for it.",
        "Find out who writes the hints; spread the pods evenly over the zones.",
        _hints,
    ),
)
