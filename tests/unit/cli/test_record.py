"""What `record` says of what it wrote: a recording without requests is no success."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterable

import pytest

from evenload.cli.exits import ExitCode
from evenload.cli.record import _lines, _Taken
from evenload.model.snapshot import Signal, SignalState, Snapshot
from tests.unit.engine.build import snapshot

REFUSED = "Prometheus at http://p:9 cannot be reached: refused"
DEAD = snapshot(signals={"requests": Signal(state=SignalState.Missing, detail=REFUSED)})


class Onlooker:
    """Sees these, one a tick."""

    def __init__(self, seen: Iterable[Snapshot]) -> None:
        self._seen = iter(seen)

    async def look(self) -> Snapshot:
        try:
            return next(self._seen)
        except StopIteration:
            raise KeyboardInterrupt from None


def taken(*seen: Snapshot) -> _Taken:
    told, stream = _Taken(), io.BytesIO()
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(_lines(Onlooker(seen), stream, told, None, 0.001))  # type: ignore[arg-type]
    assert stream.getvalue().count(b"\n") == len(seen)
    return told


def test_a_prometheus_that_does_not_answer_is_told_once_and_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    told = taken(DEAD, DEAD, DEAD)
    assert told.code is ExitCode.CouldNotTell
    assert told.verdict == ", all of them without any requests"
    said = capsys.readouterr().err
    assert said.count(f"recorded without requests: {REFUSED}") == 1


def test_a_gap_is_told_and_the_rest_is_a_recording() -> None:
    told = taken(snapshot(), DEAD, snapshot())
    assert told.code is ExitCode.Fine
    assert told.verdict == ", 1 of them without any requests"


def test_a_whole_one_is_not_talked_down() -> None:
    assert taken(snapshot()).verdict == ""
