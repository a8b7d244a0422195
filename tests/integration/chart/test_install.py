"""The chart and the plain manifests on a real API server: they install, RBAC is what they say, and they go again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator

import pytest
import yaml

from evenload.cli.questions import ALWAYS, TO_ACT, Need
from tests.support.chart import CHART, REPOSITORY, helm, of_kind, rendered
from tests.support.kubectl import Kubectl

RESTRICTED = ("pod-security.kubernetes.io/enforce=restricted",)
# Cluster-wide things of this release are shared with other tests: the CRDs are there already, and an admission policy
# would judge the others' approvals.
SHARED = ("--set=crds.enabled=false,approvalPolicy.enabled=false",)


class Release:
    """A release in a namespace of its own."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.kubectl = kubectl

    def helm(self, *arguments: str) -> str:
        done = subprocess.run(
            [helm(), *arguments, f"--namespace={self.kubectl.namespace}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def install(self, *options: str) -> str:
        return self.helm("upgrade", "--install", "evenload", str(CHART), *SHARED, *options)

    def lacks(self, needs: Iterable[Need], namespace: str) -> list[Need]:
        """What the operator's ServiceAccount may not; the API server answers, not the chart."""
        reviews = [self._review(need, namespace) for need in needs]
        answers = self.kubectl(
            "create", "--filename=-", "--output=jsonpath={.status.allowed} ", stdin=yaml.safe_dump_all(reviews)
        )
        assert len(answers.split()) == len(reviews), answers
        return [need for need, allowed in zip(needs, answers.split(), strict=True) if allowed != "true"]

    def may(self, need: Need, namespace: str) -> bool:
        return self.lacks([need], namespace) == []

    def _review(self, need: Need, namespace: str) -> dict[str, object]:
        group, resource, verb = need
        plural, _, subresource = resource.partition("/")
        attributes = {"group": group, "resource": plural, "subresource": subresource, "verb": verb}
        return {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": f"system:serviceaccount:{self.kubectl.namespace}:evenload",
                "resourceAttributes": {**attributes, "namespace": namespace},
            },
        }


@pytest.fixture
def release(kubectl: Kubectl) -> Iterator[Release]:
    made = Release(kubectl)
    yield made
    made.helm("uninstall", "evenload", "--ignore-not-found")


def test_in_observe_the_operator_may_look_and_record_and_change_nothing_of_others(release: Release) -> None:
    release.install()
    assert release.lacks(ALWAYS, "anywhere") == []
    assert release.lacks(TO_ACT, "anywhere") == list(TO_ACT)
    too_much = [("", "pods", "delete"), ("", "secrets", "get"), ("apps", "deployments", "patch")]
    assert release.lacks(too_much, "anywhere") == too_much


def test_the_mode_of_the_installation_gives_the_rights_to_act_and_takes_them_back(release: Release) -> None:
    release.install("--set=maxMode=Auto")
    assert release.lacks((*ALWAYS, *TO_ACT), "anywhere") == []
    too_much = [("", "pods", "delete"), ("", "secrets", "get"), ("evenload.dev", "remediations", "approve")]
    assert release.lacks(too_much, "anywhere") == too_much
    release.install("--set=maxMode=Observe")
    assert release.lacks(TO_ACT, "anywhere") == list(TO_ACT)


def test_with_named_namespaces_it_may_nothing_elsewhere(release: Release) -> None:
    shop = f"{release.kubectl.namespace}-shop"
    release.kubectl("create", "namespace", shop)
    try:
        release.install(f"--set=maxMode=Auto,watchNamespaces={{{shop}}}")
        assert release.lacks((*ALWAYS, *TO_ACT), shop) == []
        assert release.lacks(ALWAYS, "elsewhere") == list(ALWAYS)
        assert release.lacks(TO_ACT, "elsewhere") == list(TO_ACT)
    finally:
        release.kubectl.run("delete", "namespace", shop, "--wait=false")


def test_its_lease_and_no_other_is_the_operators_to_renew(release: Release) -> None:
    release.install()
    own = release.kubectl.namespace
    assert release.may(("coordination.k8s.io", "leases", "create"), own)
    assert not release.may(("coordination.k8s.io", "leases", "update"), "kube-system")


def test_uninstalling_removes_what_it_brought_and_keeps_the_balancers(release: Release) -> None:
    release.install()
    release.kubectl(
        "apply",
        "--filename=-",
        stdin=yaml.safe_dump(
            {
                "apiVersion": "evenload.dev/v1alpha1",
                "kind": "Balancer",
                "metadata": {"name": "shop"},
                "spec": {"targetRef": {"name": "shop"}},
            }
        ),
    )
    release.helm("uninstall", "evenload", "--wait")
    assert (
        release.kubectl("get", "deploy,service,serviceaccount,role,rolebinding", "-l=app.kubernetes.io/name=evenload")
        == ""
    )
    assert release.kubectl("get", "balancers", "--output=name").split() == ["balancer.evenload.dev/shop"]


def test_its_pods_are_admitted_where_only_restricted_ones_are(kubectl: Kubectl) -> None:
    kubectl("label", "namespace", kubectl.namespace, *RESTRICTED)
    manifests = rendered()
    (check,), (deployment,) = of_kind(manifests, "Pod"), of_kind(manifests, "Deployment")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "operator"},
        "spec": deployment["spec"]["template"]["spec"],
    }
    for each in (check, pod):
        each["metadata"].pop("namespace", None)
        each["spec"]["serviceAccountName"] = "default"
        kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=60s")
        kubectl("create", "--dry-run=server", "--filename=-", stdin=yaml.safe_dump(each))


@pytest.mark.parametrize("how", ["-f", "-k"])
def test_the_plain_manifests_are_taken_whole(kubectl: Kubectl, how: str) -> None:
    kubectl(
        "apply",
        "--server-side",
        "--filename=-",
        stdin='{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"evenload"}}',
    )
    folder = f"{REPOSITORY / 'manifests'}/"
    kubectl_anywhere = ["kubectl", "apply", "--dry-run=server", how, folder]
    done = subprocess.run(kubectl_anywhere, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    for line in ("deployment.apps/evenload", "customresourcedefinition.apiextensions.k8s.io/balancers.evenload.dev"):
        assert line in done.stdout
