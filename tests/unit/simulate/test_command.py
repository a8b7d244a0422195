"""`evenload simulate`: names its scenarios, scores them, draws one, and refuses what it does not know."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from evenload.cli.main import app

RUNNER = CliRunner()
ONE = ["simulate", "--scenario", "stale", "--size", "4", "--seeds", "1"]


def test_all_scenarios_are_listed_with_what_they_are() -> None:
    result = RUNNER.invoke(app, ["simulate", "--list"])
    assert result.exit_code == 0
    assert "postmortem          the same, and the server stays sick until restarted" in result.stdout
    assert "[held out]" in result.stdout


def test_a_score_is_a_table_or_json_and_the_same_every_time() -> None:
    table, first, second = (RUNNER.invoke(app, [*ONE, *more]) for more in ([], ["-o", "json"], ["-o", "json"]))
    assert table.exit_code == 0
    assert "NoData: NoData 1" in table.stdout
    assert first.stdout == second.stdout
    assert json.loads(first.stdout)["total"]["in_time"] == 1.0


def test_one_run_is_drawn_a_line_a_tick() -> None:
    result = RUNNER.invoke(app, [*ONE, "--plot"])
    assert result.exit_code == 0
    assert "-- the fault --" in result.stdout
    assert len(result.stdout.splitlines()) == 2 + 48


def test_an_unknown_scenario_and_a_plot_of_many_are_wrong_usage() -> None:
    unknown = RUNNER.invoke(app, ["simulate", "--scenario", "nope"])
    assert unknown.exit_code == 2
    assert 'scenario "nope" is unknown; choose among: bad-update' in unknown.stderr
    assert RUNNER.invoke(app, ["simulate", "--plot"]).exit_code == 2
