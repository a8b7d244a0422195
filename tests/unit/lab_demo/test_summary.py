"""The demo's figures, from records that were made up so that the right answers are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lab.demo.summary import Restart, Run, Updates, camel, document, figures, passed, targets
from lab.load.record import Record

ONSET = 1_000.0
PERIOD = 100.0


def customers(fails: Callable[[int, float], bool], *, server: str | None = "shop-a") -> list[Record]:
    """Ten a second from ten seconds before the onset; `fails(number, seconds since the onset)` says which fail."""
    count = 120 * 10
    return [
        Record(number=n, scheduled=at, latency_seconds=0.02, status=503 if fails(n, at - ONSET) else 200, server=server)
        for n, at in ((n, ONSET - 10 + n / 10) for n in range(count))
    ]


def half_until(seconds: float) -> Callable[[int, float], bool]:
    return lambda n, at: 0 <= at < seconds and n % 2 == 0


HALF_AT_FIRST = half_until(20.0)


def restart(seconds: float) -> Restart:
    return Restart(time=ONSET + seconds, server="shop-a")


def mended(fails: Callable[[int, float], bool] = HALF_AT_FIRST) -> Run:
    return Run(
        records=customers(fails),
        onset=ONSET,
        detected=ONSET + 12.5,
        resolved=ONSET + 80.0,
        phase="Succeeded",
        restarted=(restart(40.0),),
        weight_writes=7,
    )


def alone() -> Run:
    return Run(records=customers(lambda n, at: at >= 0), onset=ONSET)


def test_figures_count_from_the_bad_update() -> None:
    found = figures(mended(), PERIOD)
    assert (found.time_to_detect_seconds, found.time_to_resolve_seconds) == (12.5, 80.0)
    assert found.time_to_mitigate_seconds == 20.0
    assert (found.restarts, found.weight_writes) == (1, 7)


def test_requests_are_counted_over_the_period_only() -> None:
    found = figures(mended(lambda n, at: 0 <= at < 20 or at > 101), PERIOD)
    assert (found.requests, found.failed) == (1000, 200)
    assert found.failed_share == 0.2


def test_an_arm_that_nobody_mends_is_never_mitigated() -> None:
    found = figures(alone(), PERIOD)
    assert found.time_to_mitigate_seconds is None
    assert found.failed_after_mitigation is None
    assert found.time_to_detect_seconds is None
    assert found.failed == 1000


def test_a_failure_before_the_update_is_no_figure_of_the_incident() -> None:
    found = figures(replace(mended(), records=customers(lambda n, at: at < 0)), PERIOD)
    assert (found.failed, found.time_to_mitigate_seconds) == (0, 0.0)


def at_first_and_during_the_restart(n: int, at: float) -> bool:
    return 0 <= at < 20 or 41 <= at < 41.15


@pytest.mark.parametrize("server", ["shop-a", None])
def test_failures_of_the_restarted_server_or_of_nobody_are_the_restarts(server: str | None) -> None:
    run = replace(mended(), records=customers(at_first_and_during_the_restart, server=server))
    found = figures(run, PERIOD)
    assert (found.failed_by_restart, found.failed_elsewhere_after_restart) == (2, 0)


def test_failures_of_other_servers_meanwhile_are_told_apart() -> None:
    run = replace(mended(), records=customers(at_first_and_during_the_restart, server="shop-b"))
    found = figures(run, PERIOD)
    assert (found.failed_by_restart, found.failed_elsewhere_after_restart) == (0, 2)


def test_a_clean_restart_fails_nothing() -> None:
    found = figures(mended(), PERIOD)
    assert (found.failed_by_restart, found.failed_elsewhere_after_restart) == (0, 0)


def test_without_a_restart_none_failed_by_it() -> None:
    assert figures(replace(alone(), restarted=()), PERIOD).failed_by_restart == 0


def test_a_good_run_meets_every_target() -> None:
    judged = targets(figures(mended(), PERIOD), figures(alone(), PERIOD))
    assert [target.met for target in judged] == [True] * 6
    assert passed(judged)


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ({"detected": ONSET + 20.1}, "time to detect"),
        ({"detected": None}, "time to detect"),
        ({"records": customers(half_until(46.0))}, "time to mitigate"),
        ({"resolved": ONSET + 150.1}, "time to resolve"),
        ({"resolved": None}, "time to resolve"),
        ({"phase": "Failed"}, "time to resolve"),
        ({"restarted": ()}, "restarts"),
        ({"restarted": (restart(40.0), restart(60.0))}, "restarts"),
        ({"restarted": (restart(10.0),)}, "requests failed by the restart itself"),
    ],
)
def test_a_target_that_was_missed_is_named(change: dict[str, object], missed: str) -> None:
    run = replace(mended(), **change)  # type: ignore[arg-type]
    judged = targets(figures(run, PERIOD), figures(alone(), PERIOD))
    assert missed in [target.name for target in judged if target.met is False]
    assert not passed(judged)


def test_failing_more_than_a_fifth_of_the_other_arm_is_a_miss() -> None:
    many = figures(mended(lambda n, at: 0 <= at < 20.1), PERIOD)
    assert {target.name: target.met for target in targets(many, figures(alone(), PERIOD))}["requests failed"] is False


def test_without_the_other_arm_the_comparison_is_not_judged() -> None:
    judged = {target.name: target.met for target in targets(figures(mended(), PERIOD), None)}
    assert judged["requests failed"] is None
    assert passed(targets(figures(mended(), PERIOD), None))


def test_the_document_has_the_figures_on_top_and_those_of_the_other_arm_below() -> None:
    with_it, without = figures(mended(), PERIOD), figures(alone(), PERIOD)
    found = document(with_it, without, targets(with_it, without), {"seed": 7})
    for name in (
        *("timeToDetectSeconds", "timeToMitigateSeconds", "timeToResolveSeconds", "requests", "failed"),
        *("failedShare", "restarts", "weightWrites"),
    ):
        assert found[name] is not None
        assert name in found["alone"]
    assert found["alone"]["timeToMitigateSeconds"] is None
    assert found["passed"] is True
    assert found["seed"] == 7


def test_the_document_of_the_other_arm_by_itself_has_no_figures_on_top() -> None:
    found = document(None, figures(alone(), PERIOD), (), {})
    assert "failed" not in found
    assert found["alone"]["failed"] == 1000


def test_keys_are_camel_case() -> None:
    assert camel({"time_to_detect_seconds": 1.23456}) == {"timeToDetectSeconds": 1.2346}


@pytest.mark.parametrize(
    ("refusal", "seconds", "missed"),
    [
        ("no", 12.0, set()),
        (None, 12.0, {"the same update with the guard"}),
        ("no", None, {"a bad update taken back"}),
        ("no", 30.1, {"a bad update taken back"}),
    ],
)
def test_the_later_updates_have_targets_too(refusal: str | None, seconds: float | None, missed: set[str]) -> None:
    updates = Updates(refusal=refusal, rolled_back_seconds=seconds, requests=100, failed=1)
    judged = targets(figures(mended(), PERIOD), None, updates)
    assert {target.name for target in judged if target.met is False} == missed
    written = document(None, None, judged, {}, updates)["updates"]
    assert written == {"refusal": refusal, "rolledBackSeconds": seconds, "requests": 100, "failed": 1}
