"""Whether anybody looks after the Balancers: a status is written when it changes, so it stays when nobody does.

Who may see neither the operator's Deployment nor its Lease is told nothing: what cannot be seen is not claimed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from evenload import clock
from evenload.api.v1alpha1 import Balancer, ConditionStatus, ConditionType
from evenload.cli.cluster import Cluster
from evenload.cli.commands import evenload, kubectl
from evenload.cli.findings import Answer, Result, fail, ok, unknown
from evenload.cli.objects import Item
from evenload.errors import KubeError, NotFound, Refused
from evenload.kube.resources import DEPLOYMENTS, LEASES, Manifest

REASON: Final = "OperatorDown"
LEASE_GRACE: Final = 2.0
"""A lease is taken as lost after this many of its durations: two clocks are never quite the same."""

_SPOKEN_FOR = (ConditionType.Ready, ConditionType.Balanced)


def as_attended(
    cluster: Cluster, items: Sequence[Item[Balancer]], tell: Callable[[str], None] = lambda line: None
) -> list[Item[Balancer]]:
    """The same Balancers; those that nobody looks after are Unknown, as nobody knows how they are, and that is told."""
    seen = _operators_seen(cluster) if items else []
    absent = {item.namespace: _absent(seen, item.namespace) for item in items}
    for why in dict.fromkeys(filter(None, absent.values())):
        tell(f"warning: nobody is looking: {why}. What is shown is from before. Run: {evenload('check')}")
    return [_unknown(item, absent[item.namespace]) if absent[item.namespace] else item for item in items]


def _operators_seen(cluster: Cluster) -> list[tuple[frozenset[str], str]]:
    """Of each operator: the namespaces it watches (none: all) and why it does not look; "" where it does."""
    try:
        return [(_watched(each), _failure(cluster, each)) for each in operators(cluster)]
    except KubeError:
        return []


def _absent(seen: Sequence[tuple[frozenset[str], str]], namespace: str) -> str:
    failures = [why for watched, why in seen if not watched or namespace in watched]
    return failures[0] if failures and all(failures) else ""


def _watched(deployment: Manifest) -> frozenset[str]:
    names = environment_of(deployment).get("EVENLOAD_WATCH_NAMESPACES", "").split(",")
    return frozenset(name for name in names if name)


def _failure(cluster: Cluster, deployment: Manifest) -> str:
    replicas = replicas_of(deployment)
    if not deployment.get("status", {}).get("readyReplicas"):
        return replicas.what
    lease = lease_of(cluster, deployment)
    return lease.what if lease.answer is Answer.fail else ""


def _unknown(item: Item[Balancer], why: str) -> Item[Balancer]:
    status = item.object.status
    conditions = tuple(
        replace(each, status=ConditionStatus.UNKNOWN, reason=REASON, message=f"nobody is looking: {why}")
        if each.type in _SPOKEN_FOR
        else each
        for each in status.conditions
    )
    return Item(item.manifest, replace(item.object, status=replace(status, conditions=conditions)))


def operators(cluster: Cluster) -> list[Manifest]:
    """Everywhere if this person may look everywhere, else in the namespace at hand. Raises Refused where neither."""
    try:
        return cluster.every(DEPLOYMENTS, everywhere=True, selector=OPERATOR)
    except Refused:
        return cluster.every(DEPLOYMENTS, selector=OPERATOR)


OPERATOR: Final = "app.kubernetes.io/name=evenload"


def replicas_of(deployment: Manifest) -> Result:
    name = f"{deployment['metadata']['namespace']}/{deployment['metadata']['name']}"
    wanted = deployment["spec"].get("replicas", 1)
    ready = deployment.get("status", {}).get("readyReplicas", 0)
    what = f"the operator {name} has {ready} of {wanted} replicas ready"
    if ready and ready >= wanted:
        return ok("operator", what)
    namespace = deployment["metadata"]["namespace"]
    if not wanted:
        hint = kubectl("scale", "deployment", deployment["metadata"]["name"], "--replicas=1", namespace=namespace)
    else:
        hint = f"{kubectl('describe', 'pods', '-l', OPERATOR, namespace=namespace)}; kubectl logs likewise"
    return fail("operator", what, hint)


def lease_of(cluster: Cluster, deployment: Manifest) -> Result:
    environment = environment_of(deployment)
    if environment.get("EVENLOAD_LEADER_ELECTION", "true").lower() == "false":
        return Result(topic="lease", answer=Answer.skipped, what="leader election is switched off")
    name, namespace = environment.get("EVENLOAD_LEASE_NAME", "evenload"), deployment["metadata"]["namespace"]
    try:
        lease = cluster.get(LEASES, name, namespace)["spec"]
    except NotFound:
        return fail(
            "lease", f"there is no lease {namespace}/{name}", "no replica has become the leader: look at its logs"
        )
    except KubeError as error:
        return unknown("lease", f"the lease {namespace}/{name} cannot be read", str(error))
    return _fresh(f"{namespace}/{name}", lease)


def _fresh(name: str, lease: Manifest) -> Result:
    holder, renewed = lease.get("holderIdentity"), lease.get("renewTime")
    if not holder or not renewed:
        return fail("lease", f"the lease {name} is held by nobody", "no replica leads: look at the operator's logs")
    seconds = clock.now() - (clock.from_rfc3339(renewed) or 0.0)
    what = f"the lease {name} is held by {holder}, renewed {max(0.0, seconds):.0f} s ago"
    if seconds > LEASE_GRACE * lease.get("leaseDurationSeconds", 15):
        return fail("lease", what, "the leader is gone or cut off: look at the operator's pods and logs")
    return ok("lease", what)


def environment_of(deployment: Manifest) -> dict[str, str]:
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each.get("value", "") for container in containers for each in container.get("env", [])}
