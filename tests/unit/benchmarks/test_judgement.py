"""The page about judgement: from a few runs, and from figures made up so that the right verdicts are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import judgement
from benchmarks.judgement import Measured, measure, page
from evenload.simulate.results import Results, run
from evenload.simulate.scenarios import BY_NAME
from evenload.simulate.score import Score
from tests.unit.simulate.scores import FOUND

NOTHING = Results(scores=())
LATE = replace(FOUND, scenario="mild-skew", size=4, in_time=False, given="Healthy", settle_seconds=None)


def measured(**parts: Results) -> Measured:
    given = dict.fromkeys(("usual", "long", "chaos", "days", "control", "held_out"), NOTHING) | parts
    return Measured(arguments="--seeds 1", **given)


def text(**parts: Results) -> str:
    return "".join(page(measured(**parts)))


def row(page_text: str, start: str) -> str:
    return next(line for line in page_text.splitlines() if line.startswith(f"| {start}"))


def test_a_figure_that_meets_its_aim_is_told_beside_one_that_does_not() -> None:
    told = text(usual=Results(scores=(FOUND, LATE)), control=Results(scores=(FOUND,)))
    assert "| >= 97% | 50.0% of 2 runs | **no** |" in row(told, "diagnosed by the deadline")
    assert "| >= 80% | 0% | **no** | `evenload simulate --scenario mild-skew --size 4` |" in row(
        told, "of these `mild-skew`"
    )
    assert "| <= 4 ticks | 3 ticks | yes |" in row(told, "settles, `bad-update`, N = 10")
    assert "| <= 5% | 4.0% | yes |" in row(told, "over capacity, `bad-update`, N = 10")
    assert "| 0 | 0 in 3 runs | yes |" in row(told, "forbidden actions")


def test_a_healthy_day_is_measured_by_what_was_done_on_it() -> None:
    day = replace(FOUND, scenario="healthy-day", expected="Healthy", given="Healthy", weight_writes=1, failed=0)
    told = text(days=Results(scores=(day,)))
    assert "| <= 0.1 | 1.00 (1 days) | **no** |" in row(told, "weight changes a healthy day")
    assert "| 0 | 0.00 | yes |" in row(told, "restarts a healthy day")


def test_false_labels_are_told_by_the_hour() -> None:
    fine = replace(FOUND, scenario="thin-healthy", expected="Healthy", given="Healthy", seconds=180_000.0)
    wrong = replace(fine, scenario="thin-unequal", seconds=1800.0, false_labels=2)
    assert "| <= 0.02 | 0.000 (50 hours) | yes |" in row(text(usual=Results(scores=(fine,))), "false labels an hour")
    assert "| <= 0.02 | 0.040 (50 hours) | **no** |" in row(
        text(usual=Results(scores=(fine, wrong))), "false labels an hour"
    )


def test_where_it_is_weak_cannot_be_left_out() -> None:
    harm = replace(FOUND, scenario="own-harm", failed=30, failed_alone=3, forbidden=("2 writes in one decision",))
    undone = replace(FOUND, scenario="two-leaks", owed=("out of memory 1 times",), in_time=False)
    weak = text(usual=Results(scores=(LATE, harm)), long=Results(scores=(undone,))).split("## ")[1]
    assert "- `mild-skew`, N = 4: 0% in time (1.7 times its share)." in weak
    assert "- `own-harm`, N = 10: 3.0% of requests failed, left alone 0.3%." in weak
    assert "- left undone in two-leaks N=10 seed=1000: out of memory 1 times." in weak
    assert "- forbidden in own-harm N=10 seed=1000: 2 writes in one decision." in weak
    assert "Nothing below 80%" in text(usual=Results(scores=(FOUND,)))


def test_the_confusion_matrix_has_a_row_for_each_truth() -> None:
    told = text(usual=Results(scores=(FOUND, LATE)))
    assert "| expected | Healthy | LoadBalancerSkew |" in told
    assert "| LoadBalancerSkew | 1 | 1 |" in told


def test_the_page_is_written_from_runs_and_names_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judgement, "PAGE", tmp_path / "judgement.md")
    monkeypatch.setattr(judgement, "PICTURE", tmp_path / "run.svg")
    runs = run(["stale"], [4], [1000])
    seen: list[tuple[int, list[int], int, bool]] = []

    def few(seeds: int, sizes: list[int], days: int, *, held_out: bool, each: object) -> Measured:
        seen.append((seeds, sizes, days, held_out))
        return measured(usual=runs)

    monkeypatch.setattr(judgement, "measure", few)
    judgement.main(["--seeds", "1", "--sizes", "4", "--days", "0"])
    assert seen == [(1, [4], 0, True)]
    assert "`python -m benchmarks.judgement --seeds 1`: do not edit" in (tmp_path / "judgement.md").read_text()
    assert "| `stale` | 4 | 100% |" in (tmp_path / "judgement.md").read_text()
    assert (tmp_path / "run.svg").read_text().startswith("<?xml")


def test_all_kinds_of_scenarios_are_measured() -> None:
    asked: list[list[str]] = []

    def none(work: object, jobs: object) -> list[Score]:
        asked.append([job.scenario for job in jobs])  # type: ignore[attr-defined]
        return []

    told = measure(2, [4, 10, 40], 1, held_out=True, each=none)
    assert asked[2] == ["chaos"] * 6  # every seed and size: no two are alike
    usual, long, chaos, days, control, held_out = (set(names) for names in asked)
    assert told.arguments == "--seeds 2 --sizes 4 10 40 --days 1"
    assert "bad-update" in usual
    assert {"leak", "two-leaks"} <= long
    assert "chaos" not in long
    assert chaos == {"chaos"}
    assert days == {"healthy-day"}
    assert control == {"bad-update", "ignored-weights"}
    assert "two-hot" in held_out
    assert not held_out & (usual | long)


def test_while_an_engine_is_tuned_held_out_scenarios_can_be_left_out() -> None:
    asked: list[str] = []

    def none(work: object, jobs: object) -> list[Score]:
        asked.extend(job.scenario for job in jobs)  # type: ignore[attr-defined]
        return []

    measured = measure(1, [4], 1, held_out=False, each=none)
    assert measured.arguments == "--seeds 1 --sizes 4 --days 1 --no-held-out"
    assert not any(BY_NAME[name].held_out for name in asked)
    assert "Not run for this page." in "".join(page(measured))
