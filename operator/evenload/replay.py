"""A recording's Decisions, made again: the engine alone, offline, the same bytes every time."""

from __future__ import annotations

from collections.abc import Iterator

from evenload.engine import Engine
from evenload.model.decision import Decision
from evenload.recording import Recording, with_signals


def replay(recording: Recording) -> Iterator[Decision]:
    """What the engine decides, line by line, for this recording alone: nothing is written or remembered elsewhere.

    Raises RecordingError while iterating, at the first line that cannot be read.
    """
    engine = Engine(recording.header.spec)
    for snapshot in recording.snapshots:
        yield engine.step(with_signals(snapshot))
