"""One run as text, a line a tick: what was true, what was said, what was done."""

from __future__ import annotations

from collections.abc import Iterator

from evenload.model.plan import Drain, RestartPod, SetWeights, Write
from evenload.simulate.loop import Run, Tick
from evenload.simulate.score import play
from evenload.simulate.world import START, Trial

_BAR = 20  # characters at the worst skew of the run


def timeline(trial: Trial) -> Iterator[str]:
    """Play `trial` and draw it."""
    onset = min((time for time, _ in trial.events), default=None)
    run = play(trial)
    yield f"{'second':>7}  {'failed':>7}  {'skew':>6}  {'':{_BAR}}  diagnosis"
    for before, tick in zip([None, *run.ticks], run.ticks, strict=False):
        if onset is not None and (before is None or before.time - START <= onset) and tick.time - START > onset:
            yield f"{onset:>7.0f}  -- the fault --"
        yield _line(before, tick, run)
    yield from (f"broke a rule {fault}" for fault in run.faults)


def _line(before: Tick | None, tick: Tick, run: Run) -> str:
    arrived = tick.arrived - (before.arrived if before else 0)
    failed = tick.failed - (before.failed if before else 0)
    worst = max(one.skew for one in run.ticks)
    bar = "#" * round(_BAR * tick.skew / max(worst, 1e-9))
    done = [_action(write) for time, write in run.writes if time == tick.time]
    diagnosis = tick.decision.diagnosis
    words = ", ".join([*map(str, (diagnosis.label, *diagnosis.also)), *done])
    return f"{tick.time - START:>7.0f}  {failed / max(arrived, 1):>7.1%}  {tick.skew:>6.2f}  {bar:{_BAR}}  {words}"


def _action(write: Write) -> str:
    match write:
        case RestartPod():
            return f"RestartPod {write.pod}"
        case SetWeights() | Drain():
            moved = [f"{name} {write.before[name]}->{write.after[name]}" for name in _moved(write)]
            more = f" and {len(moved) - 4} more" if len(moved) > 4 else ""
            return f"{write.purpose} {', '.join(moved[:4])}{more}"


def _moved(write: SetWeights | Drain) -> list[str]:
    return sorted(
        (name for name in write.after if write.after[name] != write.before[name]),
        key=lambda name: -abs(write.after[name] - write.before[name]),
    )
