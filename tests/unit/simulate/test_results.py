"""Figures by which the engine is judged must themselves be right: made from hand-written scores here."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from evenload.errors import InputError
from evenload.model.snapshot import Snapshot
from evenload.simulate.results import REPORT_SEEDS, TUNING_SEEDS, HealthyDay, Results, choose, run
from evenload.simulate.scenarios import BY_NAME, SCENARIOS, Scenario
from evenload.simulate.score import failed_alone, ticks
from evenload.simulate.world import START
from tests.unit.simulate.scores import FOUND

RIGHT = replace(FOUND, size=4, seed=1, arrived_early=800)
MISSED = replace(RIGHT, seed=2, given="Failing", in_time=False, detect_seconds=None, settle_seconds=None, failed=180)
WRONG = replace(RIGHT, seed=3, forbidden=("1 restarts where none may be",), restarts=1, wrong_before=3)


def test_a_row_gives_shares_and_medians_of_its_runs() -> None:
    (row,) = Results(scores=(RIGHT, MISSED, WRONG)).rows()
    assert (row.runs, row.forbidden) == (3, 1)
    assert row.in_time == pytest.approx(2 / 3)
    assert row.detect_seconds == 20.0
    assert row.failed_ratio == pytest.approx(220 / 3000)
    assert row.failed_alone_ratio == pytest.approx(0.3)
    assert row.wrong_before == pytest.approx(3 / 36)
    assert row.over_ratio == pytest.approx(0.05)


def test_settling_is_told_in_ticks_too_and_a_part_of_one_counts_whole() -> None:
    late = replace(RIGHT, settle_seconds=30.5)
    assert [one.settle_ticks for one in (RIGHT, late, MISSED)] == [3, 4, None]
    assert Results(scores=(RIGHT,)).total().settle_ticks == 3


def test_every_action_of_a_healthy_day_is_a_false_one() -> None:
    quiet = replace(RIGHT, scenario="healthy-day", expected="Healthy", given="Healthy", weight_writes=0)
    busy = replace(quiet, seed=2, weight_writes=3, restarts=1)
    assert Results(scores=(RIGHT,)).healthy_day() is None
    results = Results(scores=(RIGHT, quiet, busy))
    assert results.healthy_day() == HealthyDay(days=2, weight_writes=1.5, restarts=0.5)
    assert "a healthy day: 1.50 weight changes, 0.50 restarts" in results.table()


def test_what_should_have_been_done_and_was_not_is_told() -> None:
    left = replace(RIGHT, owed=("out of memory once",), in_time=False)
    results = Results(scores=(RIGHT, left))
    assert results.owed() == ("bad-update N=4 seed=1: out of memory once",)
    assert results.rows()[0].owed == 1
    assert "left undone: 1" in results.table()


def test_the_confusion_matrix_counts_what_was_given_for_what_was_expected() -> None:
    matrix = Results(scores=(RIGHT, MISSED, WRONG)).confusion()
    assert matrix == {"LoadBalancerSkew": {"Failing": 1, "LoadBalancerSkew": 2}}


def test_forbidden_actions_name_the_run_that_shows_them() -> None:
    results = Results(scores=(RIGHT, WRONG))
    assert results.forbidden() == ("bad-update N=4 seed=3: 1 restarts where none may be",)
    assert "bad-update N=4 seed=3" in results.table()
    assert json.loads(results.json())["forbidden"] == list(results.forbidden())


@pytest.mark.parametrize("name", ["stale", "surge-3", "dependency-errors"])
def test_a_world_in_which_nothing_was_done_is_the_world_left_alone(name: str) -> None:
    (one,) = run([name], sizes=[4], seeds=[1]).scores
    assert one.weight_writes == one.restarts == 0
    assert one.failed == one.failed_alone == failed_alone(BY_NAME[name].trial(4, 1)) > 0


def test_where_only_rules_are_kept_any_diagnosis_will_do() -> None:
    (one,) = run(["chaos"], sizes=[2], seeds=[1]).scores
    assert (one.expected, one.given, one.in_time) == ("any", "any", True)


def test_no_runs_make_an_empty_table_and_no_error() -> None:
    assert Results(scores=()).total().runs == 0
    assert "forbidden actions: 0" in Results(scores=()).table()


def test_an_unknown_scenario_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match='scenario "postmortal" is unknown; choose among: bad-update'):
        run(["postmortal"])


def test_a_fleet_of_one_is_refused() -> None:
    with pytest.raises(InputError, match="size 1"):
        run(["healthy"], sizes=[1])


def test_held_out_and_long_scenarios_are_scored_only_when_asked_for() -> None:
    usual, held_out = set(choose([])), set(choose([], held_out=True))
    assert not usual & held_out
    assert not any(row.long for row in usual)
    assert {row.name for row in choose([], long=True)} >= {"leak", "healthy-day"}
    assert [row.name for row in choose(["leak"])] == ["leak"]


def test_seeds_of_tuning_and_of_reporting_are_apart() -> None:
    assert not set(TUNING_SEEDS) & set(REPORT_SEEDS)


def test_scenarios_have_names_of_their_own() -> None:
    assert len(BY_NAME) == len(SCENARIOS)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda row: row.name)
@pytest.mark.parametrize("size", [2, 4, 40])
def test_a_trial_follows_from_its_seed_alone(scenario: Scenario, size: int) -> None:
    def seen(seed: int) -> Snapshot:
        trial = scenario.trial(size, seed)
        clock = ticks(trial)
        for _ in range(3):
            next(clock)
        return Snapshot(time=trial.plant.now, window=trial.window, backends=trial.plant.backends(trial.window))

    first = seen(3)
    assert first == seen(3)
    assert first != seen(4)
    assert first.time == START + 3 * scenario.trial(size, 3).tick


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda row: row.name)
def test_what_is_expected_can_be_seen_before_the_trial_ends(scenario: Scenario) -> None:
    trial = scenario.trial(10, 1)
    assert all(time < trial.duration for time, _ in trial.events)
    assert all(expected.start + expected.within <= trial.duration for expected in trial.expected)
