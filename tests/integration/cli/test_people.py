"""With the chart's admission policy and roles: what the command line writes is what they allow."""

from __future__ import annotations

from tests.integration.api.test_approvals import approval_policy, people  # noqa: F401  # fixtures
from tests.integration.cli.conftest import Run, stored
from tests.support.kubectl import Kubectl


def test_an_approver_approves_in_their_own_name(run: Run, kubectl: Kubectl) -> None:
    result = run("approve", "shop-7k2fq", "--as", "alice")
    assert result.exit_code == 0, result.stderr
    assert stored(kubectl, "remediation/shop-7k2fq")["spec"]["approval"]["by"] == "alice"


def test_who_lacks_the_verb_is_told_which_role_has_it(run: Run) -> None:
    result = run("approve", "shop-7k2fq", "--as", "bob")
    assert result.exit_code == 3
    assert 'user "bob" may not approve or deny' in result.stderr
    assert "-approver has it" in result.stderr


def test_an_undo_is_asked_for_in_ones_own_name(run: Run, kubectl: Kubectl) -> None:
    assert run("undo", "shop-7k2fq", "--as", "bob").exit_code == 0
    assert stored(kubectl, "remediation/shop-7k2fq")["metadata"]["annotations"]["evenload.dev/undo"] == "bob"
