"""The questions of `check`, one function each. Only reads, and access reviews, which change nothing.

What this person may not see is "unknown", never "ok".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from evenload.api.v1alpha1 import API_VERSION, GROUP, VERSION, Condition, ConditionStatus, ConditionType
from evenload.cli.attendance import OPERATOR, as_attended, environment_of, lease_of, operators, replicas_of
from evenload.cli.cluster import Cluster
from evenload.cli.findings import Answer, Result, fail, ok, unknown
from evenload.cli.objects import balancers, condition
from evenload.drivers import DRIVERS, enabled
from evenload.drivers.base import Driver, Handle
from evenload.errors import InputError, NotFound, Refused, SignalsUnavailable
from evenload.kube.resources import Manifest
from evenload.model.spec import Mode
from evenload.settings import Settings

if TYPE_CHECKING:
    from evenload.observe.access import Access

Check = Callable[[Cluster], Iterable[Result]]

OLDEST_MINOR: Final = 30
"""Kubernetes 1.30: ValidatingAdmissionPolicy, which guards approvals, is stable since then."""
ANSWER_SECONDS: Final = 5.0


def api_server(cluster: Cluster) -> Iterator[Result]:
    """It answers, and is new enough."""
    version = cluster.read("/version")
    minor = int("".join(filter(str.isdigit, str(version.get("minor", "")))) or 0)
    text = f"the API server {cluster.server} answers: Kubernetes {version.get('gitVersion', 'of unknown version')}"
    if str(version.get("major")) == "1" and minor < OLDEST_MINOR:
        yield fail("api-server", text, f"Evenload needs Kubernetes 1.{OLDEST_MINOR} or newer")
    else:
        yield ok("api-server", text)


def data_planes(cluster: Cluster) -> Iterator[Result]:
    """Which kinds of balancers that can be weighted are there; those that are not are no fault: Services always are."""
    missing, weighted = [], [driver for driver in DRIVERS.values() if Handle.Weights in driver.handles]
    for driver in weighted:
        resource = driver.resource
        if _served(cluster, f"/apis/{resource.group}/{resource.version}", resource.plural):
            yield ok("data-planes", f"{resource.kind} {resource.version} of {resource.group} is there")
        else:
            missing.append(driver)
    for driver in missing:
        what = f"the API server serves no {driver.kind}"
        hint = f"for Balancers of it, install {driver.to_install}" if len(missing) == len(weighted) else ""
        yield Result(topic="data-planes", answer=Answer.skipped, what=what, hint=hint)


def kinds_are_there(cluster: Cluster) -> Iterator[Result]:
    """Balancers and Remediations are served in the version that this CLI speaks."""
    try:
        group = cluster.read(f"/apis/{GROUP}")
    except NotFound:
        yield fail(
            "crds",
            f"the CRDs of {GROUP} are not installed",
            "kubectl apply --server-side -f manifests/crds, or the Helm chart",
        )
        return
    served = [version.get("version") for version in group.get("versions", [])]
    if VERSION in served:
        yield ok("crds", f"the CRDs are there: {API_VERSION}")
    else:
        yield fail(
            "crds",
            f"the CRDs are there in {', '.join(map(str, served))}, but this CLI speaks {VERSION}",
            "use the version of the CLI that fits the installation",
        )


def kinds_are_free(cluster: Cluster) -> Iterator[Result]:
    """Before the installation: no CRDs of another version are in the way."""
    try:
        yield from kinds_are_there(cluster) if cluster.read(f"/apis/{GROUP}") else ()
    except NotFound:
        yield ok("crds", f"no CRDs of {GROUP} are there yet")


def may_install(cluster: Cluster) -> Iterator[Result]:
    """This person may create what the chart creates."""
    for group, resource in _INSTALLED:
        allowed = _may_i(cluster, {"group": group, "resource": resource, "verb": "create"})
        name = f"{resource}.{group}" if group else resource
        if allowed:
            yield ok("permission-to-install", f"you may create {name}")
        else:
            yield fail(
                "permission-to-install", f"you may not create {name}", "ask a cluster administrator to install it"
            )


_INSTALLED: Final = (
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
    ("apps", "deployments"),
)


def operator(cluster: Cluster) -> Iterator[Result]:
    """The Deployment is ready, its lease is held, and its service account may do what it has to."""
    deployments = operators(cluster)
    if not deployments:
        yield fail(
            "operator",
            f"no operator was found (a Deployment labelled {OPERATOR})",
            "helm install evenload charts/evenload -n evenload --create-namespace, or name its namespace with -n",
        )
    if len(deployments) > 1:
        names = ", ".join(f"{each['metadata']['namespace']}/{each['metadata']['name']}" for each in deployments)
        yield ok("operator", f"{len(deployments)} operators were found: {names}")
    for deployment in deployments:
        yield replicas_of(deployment)
        yield lease_of(cluster, deployment)
        yield from _allowed(cluster, deployment)


Need = tuple[str, str, str]
"""API group, resource (with its subresource), verb."""

ALWAYS: Final[tuple[Need, ...]] = (
    ("", "pods", "list"),
    ("", "services", "watch"),
    ("discovery.k8s.io", "endpointslices", "watch"),
    (GROUP, "balancers", "watch"),
    (GROUP, "balancers/status", "patch"),
    (GROUP, "remediations", "get"),
    (GROUP, "remediations", "create"),
    (GROUP, "remediations", "delete"),
    (GROUP, "remediations/status", "patch"),
    ("events.k8s.io", "events", "create"),
)
TO_ACT: Final[tuple[Need, ...]] = (
    (GROUP, "balancers", "get"),
    ("", "pods", "get"),
    ("", "pods", "patch"),
    ("", "pods/eviction", "create"),
)


def needs_of(mode: str, drivers: Iterable[Driver], *, foreign: bool) -> tuple[Need, ...]:
    """The rights of an installation of that maxMode. `foreign`: whether it looks at Services of other namespaces."""
    needs = list(ALWAYS if mode == Mode.Observe else (*ALWAYS, *TO_ACT))
    for driver in drivers:
        verbs = ("watch", "get", "patch") if mode != Mode.Observe and Handle.Weights in driver.handles else ("watch",)
        needs += [(driver.resource.group, driver.resource.plural, verb) for verb in verbs]
        watched = (*driver.beside, *driver.grants) if foreign else driver.beside
        needs += [(each.group, each.plural, "watch") for each in watched]
    return tuple(dict.fromkeys(needs))


def _allowed(cluster: Cluster, deployment: Manifest) -> Iterator[Result]:
    environment = environment_of(deployment)
    mode = environment.get("EVENLOAD_MAX_MODE", Mode.Observe)
    try:
        drivers = enabled(Settings(disabled_drivers=environment.get("EVENLOAD_DISABLED_DRIVERS", "")).disabled)
    except InputError as error:
        yield fail("operator", f"the operator's environment: {error}", "correct EVENLOAD_DISABLED_DRIVERS")
        return
    needs = needs_of(mode, drivers, foreign=environment.get("EVENLOAD_CROSS_NAMESPACE_BACKENDS") == "true")
    account = deployment["spec"]["template"]["spec"].get("serviceAccountName", "default")
    user = f"system:serviceaccount:{deployment['metadata']['namespace']}:{account}"
    for namespace in [name for name in environment.get("EVENLOAD_WATCH_NAMESPACES", "").split(",") if name] or [""]:
        yield _rights(cluster, user, mode, needs, namespace)


def _rights(cluster: Cluster, user: str, mode: str, needs: tuple[Need, ...], namespace: str) -> Result:
    where = f" in namespace {namespace}" if namespace else ""
    try:
        missing = [need for need in needs if not _may(cluster, user, need, namespace)]
    except Refused as error:
        return unknown("rbac", f"whether {user} has its rights{where} cannot be seen", str(error))
    if missing:
        rights = ", ".join(f"{verb} {resource}" for _, resource, verb in missing)
        return fail(
            "rbac", f"{user} may not{where}: {rights}", "helm upgrade with rbac.create=true, or grant them yourself"
        )
    return ok("rbac", f"{user} has the rights that maxMode {mode} needs{where}")


def _may(cluster: Cluster, user: str, need: Need, namespace: str) -> bool:
    group, resource, verb = need
    plural, _, subresource = resource.partition("/")
    attributes = {"group": group, "resource": plural, "subresource": subresource, "verb": verb, "namespace": namespace}
    if cluster.user() == user:
        return _may_i(cluster, attributes)
    return _review(
        cluster, "subjectaccessreviews", "SubjectAccessReview", {"user": user, "resourceAttributes": attributes}
    )


def _may_i(cluster: Cluster, attributes: dict[str, str]) -> bool:
    return _review(cluster, "selfsubjectaccessreviews", "SelfSubjectAccessReview", {"resourceAttributes": attributes})


def _review(cluster: Cluster, plural: str, kind: str, spec: dict[str, Any]) -> bool:
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    review = cluster.create(f"/apis/authorization.k8s.io/v1/{plural}", body)
    return bool(review.get("status", {}).get("allowed"))


def balancers_work(cluster: Cluster) -> Iterator[Result]:
    """Each Balancer is Ready and has fresh numbers: Prometheus, as the operator sees it."""
    try:
        found = balancers(cluster, everywhere=True)
    except Refused:
        found = balancers(cluster)
    except NotFound:  # the CRDs have been spoken of
        return
    if not found:
        yield Result(topic="balancers", answer=Answer.skipped, what="there is no Balancer yet, so no signals to judge")
    for item in as_attended(cluster, found):
        name = f"{item.namespace}/{item.name}"
        for kind, topic in ((ConditionType.Ready, "balancers"), (ConditionType.SignalsFresh, "signals")):
            yield _condition(topic, name, kind, condition(item.object, kind))


def _condition(topic: str, name: str, kind: ConditionType, found: Condition | None) -> Result:
    if found is None:
        return unknown(topic, f"{name} has no condition {kind} yet", "has the operator seen it? See the checks above")
    what = f"{name} {kind}: {found.status} ({found.reason})"
    if found.status is ConditionStatus.TRUE:
        return ok(topic, what)
    make = fail if found.status is ConditionStatus.FALSE else unknown
    return make(topic, what, found.message)


def ask_prometheus(url: str, access: Access | None = None) -> Result:
    """Whether it answers a query, from where this runs. Raises InputError where that is no address."""
    from evenload.observe.address import read_url
    from evenload.observe.prometheus import Prometheus

    address = str(read_url(url, "--prometheus"))
    prometheus = Prometheus(address, access=access, deadline_seconds=ANSWER_SECONDS, method="GET")
    try:
        prometheus.now("1", _success)
    except SignalsUnavailable as error:
        return fail("signals", str(error), "is it the right address, seen from here?")
    finally:
        prometheus.close()
    return ok("signals", f"Prometheus {address} answers")


def _success(body: bytes | bytearray) -> None:
    """Raises SignalsUnavailable."""
    try:
        if json.loads(body)["status"] == "success":
            return
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise SignalsUnavailable("answered with something that is not of Prometheus")


def _served(cluster: Cluster, path: str, plural: str) -> bool:
    try:
        return any(each.get("name") == plural for each in cluster.read(path).get("resources", []))
    except NotFound:
        return False


BEFORE: Final[tuple[tuple[str, Check], ...]] = (
    ("api-server", api_server),
    ("data-planes", data_planes),
    ("crds", kinds_are_free),
    ("permission-to-install", may_install),
)
AFTER: Final[tuple[tuple[str, Check], ...]] = (
    ("api-server", api_server),
    ("data-planes", data_planes),
    ("crds", kinds_are_there),
    ("operator", operator),
    ("balancers", balancers_work),
)
