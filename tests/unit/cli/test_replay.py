from __future__ import annotations

import json
from pathlib import Path

import pytest

from evenload.cli.replay import text_line
from evenload.model.decision import Decision, Held, HeldReason
from evenload.model.diagnosis import Diagnosis, Label
from evenload.model.plan import Action, Advise, Drain, Freeze, Purpose, RestartPod, SetWeights
from evenload.recording import Header, Recording, write
from tests.support.golden import FOLDER, check_golden
from tests.unit.cli import objects
from tests.unit.cli.conftest import Run
from tests.unit.report import story


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """The story as a recording: a bad update, seen tick by tick."""
    file = tmp_path / "incident.jsonl"
    snapshots = tuple(snapshot for snapshot, _ in story.recording())
    with file.open("wb") as stream:
        write(Recording(header=Header.of(objects.healthy(), 5.0), snapshots=snapshots), stream)
    return file


def test_replay_prints_a_decision_a_line(run: Run, recorded: Path) -> None:
    result = run("replay", str(recorded), "-o", "json")
    decisions = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert [decision["time"] for decision in decisions] == [snapshot.time for snapshot, _ in story.recording()]
    assert set(decisions[0]) == {"time", "diagnosis", "pods", "backends", "evidence", "actions", "held"}


def test_the_public_format_is_what_a_person_has_read(run: Run) -> None:
    """A recording with no more keys than the format asks for: healthy, a bad update taken back, stale numbers."""
    check_golden("replay/decisions.jsonl", run("replay", str(FOLDER / "replay/recording.jsonl"), "-o", "json").stdout)


def test_replay_finds_the_skew_in_the_story(run: Run, recorded: Path) -> None:
    lines = run("replay", str(recorded), "-o", "json").stdout.splitlines()
    found = next(json.loads(line) for line in lines if json.loads(line)["diagnosis"] == "LoadBalancerSkew")
    assert found["backends"] == ["shop-a"]
    assert found["time"] <= story.BAD_UPDATE + 20


def test_replaying_twice_gives_the_same_bytes(run: Run, recorded: Path) -> None:
    first, second = (run("replay", str(recorded), "-o", "json").stdout_bytes for _ in range(2))
    assert first == second


def test_replay_reads_stdin(run: Run, recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from evenload.cli.main import app

    result = CliRunner().invoke(app, ["replay", "-", "-o", "json"], input=recorded.read_bytes())
    assert result.stdout == run("replay", str(recorded), "-o", "json").stdout


def test_a_missing_recording_is_a_usage_error(run: Run) -> None:
    result = run("replay", "/nowhere/incident.jsonl")
    assert result.exit_code == 2
    assert "/nowhere/incident.jsonl: No such file or directory" in result.stderr


def test_a_broken_line_is_named_with_its_field(run: Run, recorded: Path) -> None:
    lines = recorded.read_text().splitlines()
    broken = json.loads(lines[3])
    broken["backends"]["shop-b"]["weight"] = "heavy"
    recorded.write_text("\n".join([*lines[:3], json.dumps(broken)]))
    result = run("replay", str(recorded), "-o", "json")
    assert result.exit_code == 2
    assert "line 4, field backends.shop-b.weight" in result.stderr


def test_what_was_decided_before_a_broken_line_is_printed(run: Run, recorded: Path) -> None:
    lines = recorded.read_text().splitlines()
    recorded.write_text("\n".join([*lines[:3], "{"]))
    assert len(run("replay", str(recorded), "-o", "json").stdout.splitlines()) == 2


WRONG, RIGHT = {"a": 970, "b": 10}, {"a": 250, "b": 250}
RESTORE = SetWeights(before=WRONG, after=RIGHT, purpose=Purpose.Restore, because="")
DRAIN = Drain(before=WRONG, after=RIGHT, backend="a", pod="a-x", uid="u", because="")
RESTART = RestartPod(backend="a", pod="a-x", uid="u", workload="Deployment/a", because="it stayed sick")


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (RESTORE, "SetWeights (Restore) a 970 to 250, b 10 to 250"),
        (DRAIN, "Drain (Drain) a 970 to 250, b 10 to 250"),
        (RESTART, "RestartPod a-x of Deployment/a"),
        (Freeze(because="no fresh numbers"), "Freeze: no fresh numbers"),
        (Advise(topic="Scale", because="all are busy"), "Advise Scale: all are busy"),
    ],
)
def test_an_action_in_a_few_words(action: Action, text: str) -> None:
    decision = Decision(time=0.0, diagnosis=Diagnosis(label=Label.Surge), actions=(action,))
    assert text_line(decision).endswith(f"Surge:  | {text}")


def test_what_is_held_back_is_told_with_its_reason() -> None:
    held = Held(action=RESTART, reason=HeldReason.CoolDown)
    decision = Decision(
        time=0.0, diagnosis=Diagnosis(label=Label.Failing, backends=("a",), sentence="bad"), held=(held,)
    )
    assert text_line(decision) == (
        "1970-01-01T00:00:00.000000Z Failing a: bad | held CoolDown: RestartPod a-x of Deployment/a"
    )
