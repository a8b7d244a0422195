"""With the chart's ValidatingAdmissionPolicy: approvals that nobody can forge, and no webhook to run for it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator

import pytest
import yaml

from tests.integration.api.test_remediation import decision, patch, remediation, wish
from tests.support.chart import rendered
from tests.support.kubectl import Kubectl, apply_cluster_wide

LABEL = "evenload-test"


@pytest.fixture(scope="module")
def approval_policy(kinds: None) -> Iterator[str]:
    """The chart's admission policy and its roles for people, under names of their own: their release.

    Kept to namespaces with that label, because other tests on the same API server approve as they like.
    """
    release = f"policy-{uuid.uuid4().hex[:8]}"
    only = ("templates/approval-policy.yaml", "templates/user-roles.yaml")
    manifests = rendered(*(f"--show-only={path}" for path in only), release=release, namespace="default")
    for manifest in manifests:
        if manifest["kind"] == "ValidatingAdmissionPolicyBinding":
            manifest["spec"]["matchResources"] = {"namespaceSelector": {"matchLabels": {LABEL: release}}}
    apply_cluster_wide(manifests)
    yield release
    names = [f"{manifest['kind']}/{manifest['metadata']['name']}" for manifest in manifests]
    Kubectl(namespace="default")("delete", *names)


@pytest.fixture(autouse=True)
def people(approval_policy: str, kubectl: Kubectl) -> None:
    """alice may approve; bob may edit what Evenload has, and no more."""
    kubectl("label", "namespace", kubectl.namespace, f"{LABEL}={approval_policy}")
    for user, role in (("alice", "approver"), ("bob", "edit"), ("bob", "view")):
        name = f"--clusterrole=default-{approval_policy}-evenload-{role}"
        kubectl("create", "rolebinding", f"{user}-{role}", name, f"--user={user}")
    kubectl.create(remediation())
    wait_until_in_force(kubectl)


def wait_until_in_force(kubectl: Kubectl) -> None:
    """The API server takes a moment to compile a new policy."""
    deadline = time.monotonic() + 60
    probe = yaml.safe_dump({**remediation("probe"), "spec": {**remediation()["spec"], **decision("nobody")["spec"]}})
    while isinstance(kubectl.run("create", "--dry-run=server", "--filename=-", stdin=probe), str):
        assert time.monotonic() < deadline, "the policy did not come into force"
        time.sleep(0.1)


def test_who_has_the_verb_approves_in_their_own_name(kubectl: Kubectl) -> None:
    kubectl.as_user("alice")(*patch(decision("alice")))
    stored = json.loads(kubectl("get", "rem/shop-7k2fq", "--output=json"))
    assert stored["spec"]["approval"] == {"required": False, "decision": "Approved", "by": "alice"}


def test_who_has_the_verb_denies_in_their_own_name(kubectl: Kubectl) -> None:
    kubectl.as_user("alice")(*patch(decision("alice", "Denied")))


def test_nobody_approves_in_another_name(kubectl: Kubectl) -> None:
    words = kubectl.as_user("alice").refused(*patch(decision("the-boss")))
    assert 'spec.approval.by must be "alice"' in words


def test_who_lacks_the_verb_is_told_which_role_has_it(approval_policy: str, kubectl: Kubectl) -> None:
    words = kubectl.as_user("bob").refused(*patch(decision("bob")))
    assert 'user "bob" may not approve or deny' in words
    assert f"default-{approval_policy}-evenload-approver" in words


def test_an_approval_cannot_be_brought_along_at_creation(kubectl: Kubectl) -> None:
    brought = remediation("brought")
    brought["spec"] |= decision("the-boss")["spec"]
    assert "spec.approval.by must be" in kubectl.create_refused(brought)


def test_labels_may_change_on_a_remediation_that_somebody_else_approved(kubectl: Kubectl) -> None:
    kubectl.as_user("alice")(*patch(decision("alice")))
    kubectl.as_user("bob")(*patch({"metadata": {"labels": {"reviewed": "yes"}}}))


def test_an_undo_is_asked_for_in_ones_own_name(kubectl: Kubectl) -> None:
    words = kubectl.as_user("bob").refused(*patch({"metadata": {"annotations": {"evenload.dev/undo": "alice"}}}))
    assert 'evenload.dev/undo must be "bob"' in words
    kubectl.as_user("bob")(*patch({"metadata": {"annotations": {"evenload.dev/undo": "bob"}}}))


def test_the_undo_of_a_closed_one_is_asked_for_like_an_approval(kubectl: Kubectl) -> None:
    asked = wish(**decision("alice")["spec"])
    kubectl.as_user("alice").create(asked)
    assert 'spec.approval.by must be "alice"' in kubectl.as_user("alice").create_refused(wish())
    assert "cannot create resource" in kubectl.as_user("bob").create_refused(asked)
    kubectl("create", "role", "creator", "--verb=create", "--resource=remediations.evenload.dev")
    kubectl("create", "rolebinding", "bob-creator", "--role=creator", "--user=bob")
    assert 'user "bob" may not approve' in kubectl.as_user("bob").create_refused(wish(**decision("bob")["spec"]))
