"""Services: whom they select, and what makes them spread unevenly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from evenload.audit.endpoints import by_place, ready_endpoints, steers_by_place, uneven
from evenload.audit.field import Field
from evenload.audit.finding import Hit, Rule, Severity
from evenload.audit.world import WORKLOADS, Object, World
from evenload.model.wording import listing

ONE_POD: Final = ("statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index")
REVISION: Final = "pod-template-hash"
OF_ROLLOUTS: Final = "rollouts-pod-template-hash"
"""Argo Rollouts sets it on the Services of its canaries: meant."""


def _affinity(service: Object, world: World) -> Iterator[Hit]:
    field = service.spec["sessionAffinity"]
    if field.text == "ClientIP":
        seconds = service.spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].number or 10800
        yield Hit(field, f"a client stays with one pod until it is silent for {seconds} s")


def _internal_local(service: Object, world: World) -> Iterator[Hit]:
    field = service.spec["internalTrafficPolicy"]
    if field.text == "Local":
        yield Hit(field, "a client reaches only the pods of its own node, and none if there is none")


def _external_local(service: Object, world: World) -> Iterator[Hit]:
    field = service.spec["externalTrafficPolicy"]
    if field.text == "Local" and service.spec["type"].text in ("NodePort", "LoadBalancer"):
        yield Hit(field, "each node gets the same share, however many pods it has")


def _uneven_places(service: Object, world: World) -> Iterator[Hit]:
    field = steers_by_place(service)
    if field is None:
        return
    by = "nodeName" if field.text == "PreferSameNode" else "zone"
    places = Counter(each[by].text for each in ready_endpoints(world, service) if each[by].text)
    if uneven(places):
        yield Hit(field, f"{field.text} keeps traffic near, and the ready endpoints are {by_place(places)}")


def _not_ready(service: Object, world: World) -> Iterator[Hit]:
    field = service.spec["publishNotReadyAddresses"]
    if field.true and service.spec["clusterIP"].text != "None":
        yield Hit(field, "pods get requests before they are ready, and after they failed their readiness probe")


def _selects_revision(service: Object, world: World) -> Iterator[Hit]:
    selector = service.spec["selector"]
    if selector[REVISION].given and not selector[OF_ROLLOUTS].given:
        yield Hit(selector[REVISION], f"only pods of revision {selector[REVISION].text} are selected")


def _selects_one(service: Object, world: World) -> Iterator[Hit]:
    for label in ONE_POD:
        field = service.spec["selector"][label]
        if field.given:
            yield Hit(field, f"only the pod with {label}={field.text} is selected")


def _selects_part(service: Object, world: World) -> Iterator[Hit]:
    selector = world.selector(service)
    if selector is None or any(label in selector.equal for label in (*ONE_POD, REVISION, OF_ROLLOUTS)):
        return
    for owner, (chosen, all_) in world.crews(service.namespace, world.pods(service.namespace, selector)).items():
        if chosen < all_:
            yield Hit(service.spec["selector"], f"{chosen} of {all_} pods of {owner} are selected")


def _selects_nothing(service: Object, world: World) -> Iterator[Hit]:
    selector = world.selector(service)
    if selector is None or not world.complete("Pod", service.namespace):
        return
    if not world.pods(service.namespace, selector):
        labels = listing([f"{key}={value}" for key, value in selector.equal.items()], most=6)
        yield Hit(service.spec["selector"], f"no pod has the labels {labels}")


def _selects_several(service: Object, world: World) -> Iterator[Hit]:
    names = [str(each) for each in world.workloads(service.namespace, world.selector(service))]
    if len(names) > 1:
        yield Hit(service.spec["selector"], f"it selects the pods of {listing(names)}")


# Ports.


def _ports(pod: Field) -> Iterator[Field]:
    """Of containers, and of init containers that go on running beside them."""
    for each in pod["spec"]["containers"].each():
        yield from each["ports"].each()
    for each in pod["spec"]["initContainers"].each():
        if each["restartPolicy"].text == "Always":
            yield from each["ports"].each()


def _named_port(service: Object, world: World) -> Iterator[Hit]:
    behind = world.backing(service)
    for port in service.spec["ports"].each():
        name = port["targetPort"].text
        if not name or not behind:
            continue
        protocol = port["protocol"].text or "TCP"
        lacking = [
            each
            for each in behind
            if not any(
                item["name"].text == name and (item["protocol"].text or "TCP") == protocol
                for item in _ports(each.template)
            )
        ]
        if lacking:
            who = "nobody it selects" if len(lacking) == len(behind) else f"not {lacking[0]}"
            yield Hit(
                port["targetPort"], f'a container port is to have the name "{name}" ({protocol}), and {who} has it'
            )


def _numbered_port(service: Object, world: World) -> Iterator[Hit]:
    behind = world.backing(service)
    for port in service.spec["ports"].each():
        field = port["targetPort"] if port["targetPort"].given else port["port"]
        number, known = field.number, set[int]()
        for each in behind if number is not None else ():
            known |= {item for item in (each["containerPort"].number for each in _ports(each.template)) if item}
        if known and number not in known:
            has = ", ".join(map(str, sorted(known)))
            yield Hit(field, f"the containers say that they listen on {has}, and not on {number}")


RULES = (
    Rule(
        "service-session-affinity",
        Severity.warning,
        ("Service",),
        "Clients stay with one pod (sessionAffinity: ClientIP): few busy clients, or many behind one address, load one "
        "pod.",
        "Set sessionAffinity to None, or keep sessions where all pods reach them.",
        _affinity,
    ),
    Rule(
        "service-internal-traffic-local",
        Severity.warning,
        ("Service",),
        "Clients reach only the pods of their own node (internalTrafficPolicy: Local): load follows where clients run.",
        "Set it to Cluster, or run as many pods on each node as its clients need (a DaemonSet).",
        _internal_local,
    ),
    Rule(
        "service-external-traffic-local",
        Severity.info,
        ("Service",),
        "What comes from outside stays on the node it reaches (externalTrafficPolicy: Local): pods share by node.",
        "Spread the pods evenly over the nodes (topologySpreadConstraints), or set it to Cluster if the clients' "
        "addresses are not needed.",
        _external_local,
    ),
    Rule(
        "service-zones-uneven",
        Severity.warning,
        ("Service",),
        "Traffic is kept near (trafficDistribution, topology-mode), and zones or nodes have twice the pods of others.",
        "Spread the pods evenly (topologySpreadConstraints), or remove the setting.",
        _uneven_places,
        needs=("EndpointSlice",),
    ),
    Rule(
        "service-publishes-not-ready",
        Severity.warning,
        ("Service",),
        "Pods that are not ready get requests, too (publishNotReadyAddresses). Headless Services may: their members "
        "find each other that way.",
        "Remove it; use a headless Service of its own for members that find each other.",
        _not_ready,
    ),
    Rule(
        "service-selects-one-revision",
        Severity.error,
        ("Service",),
        "The selector has pod-template-hash: with the next change of the Deployment the Service is empty. The label of "
        "Argo Rollouts (rollouts-pod-template-hash) is meant.",
        "Remove pod-template-hash from the selector.",
        _selects_revision,
    ),
    Rule(
        "service-selects-one-pod",
        Severity.info,
        ("Service",),
        "The selector names one pod of a StatefulSet: while it is away, its whole share fails.",
        "If a route splits over such Services, be ready to change weights when a pod leaves.",
        _selects_one,
    ),
    Rule(
        "service-selects-part",
        Severity.warning,
        ("Service",),
        "The selector matches some pods of a workload and not the others, which get nothing.",
        "Select by labels that all pods of the workload have, or give the pods their labels back.",
        _selects_part,
        needs=("Pod",),
    ),
    Rule(
        "service-selects-nothing",
        Severity.warning,
        ("Service",),
        "The selector matches no pod.",
        "Correct the selector or the pods' labels, or scale the workload up.",
        _selects_nothing,
        needs=("Pod",),
    ),
    Rule(
        "service-selects-several-workloads",
        Severity.info,
        ("Service",),
        "The Service selects the pods of several workloads: they share by their numbers of pods, not by weights.",
        "For shares that can be set, give each workload a Service and split over them by a route.",
        _selects_several,
        needs=WORKLOADS,
    ),
    Rule(
        "service-named-port-missing",
        Severity.error,
        ("Service",),
        "A named targetPort is no container port of the pods: they get nothing on this port.",
        "Name the container's port so (name and protocol), or use its number.",
        _named_port,
        needs=("Pod", *WORKLOADS),
    ),
    Rule(
        "service-port-not-declared",
        Severity.info,
        ("Service",),
        "A targetPort is none of the ports that the containers declare. They need not declare any, but a wrong number "
        "looks like this.",
        "Correct targetPort (it is port by default), or declare the container's port.",
        _numbered_port,
        needs=("Pod", *WORKLOADS),
    ),
)
