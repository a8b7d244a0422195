from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.golden import check_golden
from tests.unit.cli import objects
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_api import GROUP, FakeApi

REMEDIATION = f"{GROUP}/namespaces/shop/remediations/shop-7k2fq"
BALANCER = f"{GROUP}/namespaces/shop/balancers/shop"


@pytest.fixture
def waiting(api: FakeApi) -> FakeApi:
    api.put_balancer(objects.skewed())
    api.put_remediation(objects.waiting())
    return api


@pytest.fixture
def executing(api: FakeApi) -> FakeApi:
    api.put_balancer(objects.skewed(mode="Auto"))
    api.put_remediation(objects.executing())
    return api


def approval(api: FakeApi) -> dict[str, Any]:
    found: dict[str, Any] = api.objects[REMEDIATION]["spec"]["approval"]
    return found


def test_approve_stores_the_decision_the_signed_in_user_and_the_note(run: Run, waiting: FakeApi) -> None:
    assert run("approve", "shop-7k2fq", "--note", "looks right").exit_code == 0
    assert approval(waiting) == {"required": True, "decision": "Approved", "by": "jane", "note": "looks right"}


def test_approve_says_what_happens_next(run: Run, waiting: FakeApi) -> None:
    check_golden("cli/approve.txt", run("approve", "shop-7k2fq").stdout)


def test_approve_as_another_user_signs_with_that_user(run: Run, waiting: FakeApi) -> None:
    run("approve", "shop-7k2fq", "--as", "deputy")
    assert approval(waiting)["by"] == "deputy"


def test_deny_stores_the_decision_and_says_what_stays(run: Run, waiting: FakeApi) -> None:
    result = run("deny", "shop-7k2fq")
    assert approval(waiting)["decision"] == "Denied"
    check_golden("cli/deny.txt", result.stdout)


def test_a_decision_is_final(run: Run, waiting: FakeApi) -> None:
    run("approve", "shop-7k2fq")
    result = run("deny", "shop-7k2fq")
    assert result.exit_code == 2
    assert "approved by jane already, and that is final" in result.stderr
    assert approval(waiting)["decision"] == "Approved"


def test_a_closed_remediation_cannot_be_approved(run: Run, api: FakeApi) -> None:
    api.put_remediation(objects.closed())
    result = run("approve", "shop-1st")
    assert result.exit_code == 2
    assert "shop-1st is closed (Succeeded)" in result.stderr
    assert api.writes() == []


def test_two_people_cannot_overrule_each_other_unseen(
    run: Run, waiting: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = waiting.answer

    def somebody_is_quicker(method: str, target: str, body: Any, headers: Any) -> Any:
        if method == "PATCH":
            waiting.objects[REMEDIATION]["metadata"]["resourceVersion"] = "99"
        return real(method, target, body, headers)

    monkeypatch.setattr(waiting, "answer", somebody_is_quicker)
    result = run("approve", "shop-7k2fq")
    assert result.exit_code == 3
    assert "somebody changed it in the meantime" in result.stderr
    assert "decision" not in approval(waiting)


def test_who_may_not_approve_is_told_so(run: Run, waiting: FakeApi) -> None:
    waiting.refuse("PATCH", REMEDIATION, 403, 'user "jane" may not approve or deny')
    result = run("approve", "shop-7k2fq")
    assert result.exit_code == 3
    assert 'not allowed: user "jane" may not approve or deny' in result.stderr


def test_approving_what_asks_for_no_approval_is_allowed_and_remarked(run: Run, executing: FakeApi) -> None:
    result = run("approve", "shop-7k2fq")
    assert result.exit_code == 0
    assert "did not ask for approval" in result.stderr


def test_pause_writes_who_and_when(run: Run, waiting: FakeApi) -> None:
    result = run("pause", "shop")
    assert waiting.objects[BALANCER]["metadata"]["annotations"] == {
        "evenload.dev/paused": "jane at 2025-10-10T09:46:40Z"
    }
    check_golden("cli/pause.txt", result.stdout)


def test_resume_removes_the_pause(run: Run, waiting: FakeApi) -> None:
    run("pause", "shop")
    result = run("resume", "shop")
    assert waiting.objects[BALANCER]["metadata"]["annotations"] == {}
    check_golden("cli/resume.txt", result.stdout)


def test_resume_of_what_was_not_paused_writes_nothing(run: Run, waiting: FakeApi) -> None:
    assert run("resume", "shop").stdout == "shop/shop was not paused.\n"
    assert waiting.writes() == []


def test_resume_tells_of_a_suspension_in_the_spec(run: Run, waiting: FakeApi) -> None:
    waiting.objects[BALANCER]["spec"]["suspend"] = True
    assert "spec.suspend is true" in run("resume", "shop").stdout


def test_pause_all_pauses_the_namespace_only(run: Run, api: FakeApi) -> None:
    for name, namespace in (("a", "shop"), ("b", "shop"), ("c", "staging")):
        api.put_balancer(objects.healthy(name, namespace))
    run("pause", "--all")
    assert [path.rpartition("/")[2] for _, path in api.writes()] == ["a", "b"]


def test_pause_all_everywhere_pauses_each_in_its_own_namespace(run: Run, api: FakeApi) -> None:
    for name, namespace in (("a", "shop"), ("c", "staging")):
        api.put_balancer(objects.healthy(name, namespace))
    result = run("pause", "--all", "-A")
    assert [path for _, path in api.writes()] == [
        f"{GROUP}/namespaces/shop/balancers/a",
        f"{GROUP}/namespaces/staging/balancers/c",
    ]
    assert "evenload resume --all -A" in result.stdout


@pytest.mark.parametrize("arguments", [("pause",), ("pause", "shop", "--all"), ("resume", "shop", "-A")])
def test_pause_needs_names_or_all_but_not_both(run: Run, waiting: FakeApi, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "--all" in result.stderr
    assert waiting.writes() == []


def test_undo_asks_in_the_users_name_and_lists_what_is_taken_back(run: Run, executing: FakeApi) -> None:
    result = run("undo", "shop-7k2fq")
    assert executing.objects[REMEDIATION]["metadata"]["annotations"] == {"evenload.dev/undo": "jane"}
    check_golden("cli/undo.txt", result.stdout)


def test_undo_of_what_changed_nothing_says_so(run: Run, waiting: FakeApi) -> None:
    assert "no weight change of it stands" in run("undo", "shop-7k2fq").stdout


@pytest.fixture
def mended(api: FakeApi) -> FakeApi:
    api.put_balancer(objects.healthy())
    api.put_remediation(objects.closed())
    return api


def test_undo_of_a_closed_remediation_asks_with_one_that_is_signed(run: Run, mended: FakeApi) -> None:
    result = run("undo", "shop-1st")
    check_golden("cli/undo-closed.txt", result.stdout)
    asked = mended.objects[f"{GROUP}/namespaces/shop/remediations/shop-undo-x7k2f"]
    assert asked["metadata"]["labels"] == {"evenload.dev/balancer": "shop"}
    assert asked["spec"]["balancerRef"] == {"name": "shop", "uid": "uid-shop", "generation": 1}
    assert (asked["spec"]["trigger"], asked["spec"]["undoes"]) == ("Undo", "shop-1st")
    assert asked["spec"]["approval"] == {"required": True, "decision": "Approved", "by": "jane"}


def left(api: FakeApi) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.objects[f"{GROUP}/namespaces/shop/remediations/shop-1st"]["status"]["steps"]
    return found


def _busy(api: FakeApi) -> None:
    api.objects[BALANCER]["status"]["activeRemediation"] = "shop-2nd"


def _observing(api: FakeApi) -> None:
    api.objects[BALANCER]["status"]["mode"] = "Observe"


def _another(api: FakeApi) -> None:
    api.objects[BALANCER]["metadata"]["uid"] = "uid-another"


def _gone(api: FakeApi) -> None:
    del api.objects[BALANCER]


def _overwritten(api: FakeApi) -> None:
    left(api)[-1] |= {"state": "Overwritten", "message": "the weights were set by helm"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_busy, "shop-2nd is under way for Balancer shop"),
        (_observing, "only observes (mode Observe): put the weights back on the route yourself: shop-a 970"),
        (_another, "is another one than then: put the weights back on the route yourself"),
        (_gone, "Balancer shop is gone: put the weights back on the route yourself: shop-a 970, shop-b 10"),
        (_overwritten, "cannot be undone: the weights are another's since: the weights were set by helm"),
    ],
)
def test_undo_of_a_closed_remediation_that_would_come_to_nothing_says_so_at_once(
    run: Run, mended: FakeApi, change: Callable[[FakeApi], None], words: str
) -> None:
    change(mended)
    result = run("undo", "shop-1st")
    assert result.exit_code == 2
    assert words in result.stderr
    assert mended.writes() == []


def test_who_may_not_ask_for_an_undo_is_told_so(run: Run, mended: FakeApi) -> None:
    mended.refuse("POST", f"{GROUP}/namespaces/shop/remediations", 403, 'user "jane" cannot create remediations')
    result = run("undo", "shop-1st")
    assert result.exit_code == 3
    assert "cannot create remediations" in result.stderr
