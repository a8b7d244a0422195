"""A simulated run made ready to be drawn: both arms, on one time axis, from a minute before the fault."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from evenload.model.plan import Isolate, Purpose, RestartPod, Write
from evenload.report.playback import Note, Playback
from evenload.simulate.loop import Run
from evenload.simulate.scenarios import Scenario
from evenload.simulate.score import left_alone, play
from evenload.simulate.timeline import frames, watched
from evenload.simulate.world import START

LEAD_SECONDS = 60.0  # shown before the fault

_WORDS = {
    Purpose.Restore: "weights restored",
    Purpose.Rollback: "update rolled back",
    Purpose.Rebalance: "weights corrected",
    Purpose.Eject: "backend ejected",
    Purpose.Drain: "drained",
    Purpose.Ramp: "ramped up",
    Purpose.Revert: "weights put back",
}


def playback(scenario: Scenario, size: int, seed: int) -> Playback:
    """Play it with Evenload and without, and put both side by side."""
    trial = scenario.trial(size, seed)
    faults = sorted(time for time, _ in trial.events)
    run = play(trial)
    zero = faults[0] if faults else 0.0
    first = next(index for index, tick in enumerate(run.ticks) if tick.time - START >= zero - LEAD_SECONDS)
    alone = [(arrived, failed) for _, arrived, failed in left_alone(scenario.trial(size, seed))] if faults else []
    backend = watched(run)
    shown, told = run.ticks[first:], list(frames(run, backend))[first:]
    notes = [Note(time=time - zero, text="" if place else "fault", fault=True) for place, time in enumerate(faults)]
    return Playback(
        title=f"{scenario.name}: {scenario.summary} ({size} pods, seed {seed})",
        times=tuple(frame.time - zero for frame in told),
        failed=tuple(frame.failed_ratio for frame in told),
        failed_alone=_ratios(alone)[first:],
        shares={name: tuple(tick.shares[name] for tick in shown) for name in shown[0].shares},
        fair=tuple(frame.fair_share for frame in told),
        asked={name: tuple(_asked(tick.weights, name) for tick in shown) for name in shown[0].weights},
        watched=backend,
        labels=tuple(frame.labels for frame in told),
        notes=(*notes, *_done(run, zero)),
        verdict=_verdict(run, alone, zero) if faults else "",
        since="the fault" if faults else "the start",
    )


def _ratios(counts: list[tuple[int, int]]) -> tuple[float, ...]:
    """Failed of arrived, tick by tick."""
    return tuple((after[1] - before[1]) / max(after[0] - before[0], 1) for before, after in pairwise([(0, 0), *counts]))


def _verdict(run: Run, alone: list[tuple[int, int]], zero: float) -> str:
    """ "1.8% with Evenload, 71.2% left alone": of all that were made since the fault."""
    first = sum(tick.time - START <= zero for tick in run.ticks)
    ours = [(tick.arrived, tick.failed) for tick in run.ticks]
    with_it, without = (
        (counts[-1][1] - counts[first - 1][1]) / max(counts[-1][0] - counts[first - 1][0], 1)
        for counts in (ours, alone)
    )
    return f"{with_it:.1%} with Evenload, {without:.1%} left alone"


def _asked(weights: dict[str, int], name: str) -> float:
    return weights[name] / max(sum(weights.values()), 1)


def _done(run: Run, zero: float) -> Iterator[Note]:
    """What Evenload did; of several alike in a row only the first is named."""
    before = ""
    for time, write in run.writes:
        word = _word(write)
        yield Note(time=time - START - zero, text="" if word == before else word)
        before = word


def _word(write: Write) -> str:
    if isinstance(write, Isolate):
        return "isolated"
    return "restarted" if isinstance(write, RestartPod) else _WORDS[write.purpose]
