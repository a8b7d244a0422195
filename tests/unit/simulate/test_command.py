"""`evenload simulate`: names its scenarios, scores them, draws one, and refuses what it does not know."""

from __future__ import annotations

import json

import pytest
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
    assert "NoData" in result.stdout
    assert "\x1b" not in result.stdout
    assert len(result.stdout.splitlines()) == 3 + 48


def test_one_run_is_a_picture_of_its_own_and_the_same_bytes_every_time() -> None:
    first, second = (RUNNER.invoke(app, [*ONE, "--plot", "-o", "svg"]) for _ in range(2))
    assert first.exit_code == 0
    assert first.stdout == second.stdout
    assert first.stdout.startswith("<?xml")
    for words in ("stale: Prometheus stops scraping", "with Evenload", "left alone", "NoData", "the 3 others"):
        assert words in first.stdout
    assert "var(--" not in first.stdout


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["-o", "svg"], "add --plot"),
        (["--plot", "-o", "json"], "leave --plot out"),
        (["--plot", "--size", "10"], "one --size"),
    ],
)
def test_a_picture_needs_one_run_and_a_plot(more: list[str], told: str) -> None:
    result = RUNNER.invoke(app, [*ONE, *more])
    assert result.exit_code == 2
    assert told in result.stderr


def test_many_processes_give_the_same_bytes_as_one() -> None:
    many = ["simulate", "--scenario", "stale", "--scenario", "healthy", "--size", "4", "--seeds", "2", "-o", "json"]
    one, two = (RUNNER.invoke(app, [*many, "--jobs", jobs]) for jobs in ("1", "2"))
    assert one.exit_code == two.exit_code == 0
    assert one.stdout == two.stdout
    assert len(json.loads(one.stdout)["runs"]) == 4


def test_an_unknown_scenario_and_a_plot_of_many_are_wrong_usage() -> None:
    unknown = RUNNER.invoke(app, ["simulate", "--scenario", "nope"])
    assert unknown.exit_code == 2
    assert 'scenario "nope" is unknown; choose among: bad-update' in unknown.stderr
    assert RUNNER.invoke(app, ["simulate", "--plot"]).exit_code == 2
