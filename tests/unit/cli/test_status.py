from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import pytest
from rich.console import Console

from evenload.api.v1alpha1 import Balancer, Remediation
from evenload.cli import status
from evenload.cli.exits import ExitCode
from evenload.cli.objects import read
from evenload.cli.status import View
from evenload.errors import NotFound, Unavailable
from tests.support.golden import check_golden
from tests.unit.cli import objects
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_api import FakeApi


def view(balancer: objects.Manifest, remediation: objects.Manifest | None = None) -> View:
    return View(read(balancer, Balancer), read(remediation, Remediation) if remediation else None)


def ends_after(looks: int) -> Callable[[], None]:
    """A wait that lets so many looks pass and then is Ctrl-C."""
    left = iter(range(looks - 1))

    def wait() -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    return wait


def test_status_shows_the_table_and_what_is_done_about_the_unwell(run: Run, api: FakeApi) -> None:
    api.put_balancer(objects.skewed(mode="Auto"))
    api.put_balancer(objects.healthy("checkout"))
    api.put_remediation(objects.executing())
    result = run("status")
    assert result.exit_code == 1
    check_golden("cli/status.txt", result.stdout)


def test_status_of_healthy_balancers_is_fine(run: Run, api: FakeApi) -> None:
    api.put_balancer(objects.healthy())
    result = run("status")
    assert result.exit_code == 0
    check_golden("cli/status-healthy.txt", result.stdout)


def test_status_tells_what_will_run_full_though_all_is_well(run: Run, api: FakeApi) -> None:
    api.put_balancer(objects.running_full())
    result = run("status")
    assert result.exit_code == 0
    check_golden("cli/status-forecast.txt", result.stdout)


def test_status_shows_a_paused_balancer_as_paused(run: Run, api: FakeApi) -> None:
    paused = objects.skewed()
    paused["status"]["conditions"].append(objects.condition("Paused", "True", "Annotation", "by jane"))
    api.put_balancer(paused)
    api.put_remediation(objects.waiting())
    assert run("status").stdout.splitlines()[1].endswith("paused")


def test_status_that_nobody_can_tell_is_neither_fine_nor_a_finding(run: Run, api: FakeApi) -> None:
    bare = objects.healthy()
    del bare["status"]
    api.put_balancer(bare)
    assert run("status").exit_code == 3


def test_status_of_nothing_is_fine_and_says_so(run: Run) -> None:
    result = run("status")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No Balancers found" in result.stderr


def test_following_without_a_terminal_logs_a_line_only_on_change(capsys: pytest.CaptureFixture[str]) -> None:
    calm, bad = view(objects.healthy()), view(objects.skewed(mode="Auto"), objects.executing())
    looks = iter([[calm], [calm], [bad], [bad], [calm], []])
    assert status.follow(lambda: next(looks), ends_after(6)) is ExitCode.Fine
    check_golden("cli/status-log.txt", capsys.readouterr().out)


def test_following_survives_a_cluster_that_does_not_answer(capsys: pytest.CaptureFixture[str]) -> None:
    answers: Iterator[list[View] | Unavailable] = iter(
        [[view(objects.healthy())], Unavailable("down"), Unavailable("down"), [view(objects.skewed())]]
    )

    def look() -> list[View]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    status.follow(look, ends_after(4))
    shown = capsys.readouterr()
    assert shown.err.count("down") == 1
    assert "LoadBalancerSkew" in shown.out


def test_following_a_name_that_is_not_there_ends_at_once() -> None:
    def look() -> list[View]:
        raise NotFound("no such Balancer")

    with pytest.raises(NotFound):
        status.follow(look, ends_after(3))


def test_the_live_screen_shows_table_steps_and_trouble() -> None:
    stream = io.StringIO()
    screen = status.screen(
        [view(objects.skewed(mode="Auto"), objects.executing())], 120, "warning: the API server is away"
    )
    Console(file=stream, width=150, no_color=True).print(screen)
    check_golden("cli/status-screen.txt", "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n")


def test_status_does_not_fetch_closed_remediations(run: Run, api: FakeApi) -> None:
    api.put_balancer(objects.skewed())
    api.put_remediation(objects.waiting())
    api.put_remediation(objects.closed())
    run("status")
    assert not [path for _, path in api.requests if path.endswith("remediations")]


def test_status_of_a_remediation_that_was_deleted_shows_the_balancer(run: Run, api: FakeApi) -> None:
    api.put_balancer(objects.skewed())
    result = run("status")
    assert result.exit_code == 1
    assert "LoadBalancerSkew" in result.stdout


def test_following_on_a_terminal_leaves_what_was_last_seen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status, "on_terminal", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich's word for "this is a terminal"
    monkeypatch.setenv("TERM", "xterm")
    looks = iter([[view(objects.healthy())], [view(objects.skewed())]])
    assert status.follow(lambda: next(looks), ends_after(2)) is ExitCode.Fine
    _, left_alternate_screen, after = capsys.readouterr().out.partition("\x1b[?1049l")
    assert left_alternate_screen
    assert "LoadBalancerSkew" in after


def test_status_names_what_the_audit_finds_though_all_is_well(run: Run, api: FakeApi) -> None:
    balancer = objects.healthy()
    found = objects.condition("Audited", "False", "Errors", "1 error: route-no-weight at spec: It is wrong.")
    balancer["status"]["conditions"].append(found)
    api.put_balancer(balancer)
    for command in (("status",), ("why", "shop")):
        result = run(*command)
        assert result.exit_code == 0  # traffic is fine
        said = " ".join(result.stdout.split())
        assert "The audit finds 1 error: route-no-weight at spec: It is wrong. More: evenload audit -n shop" in said
