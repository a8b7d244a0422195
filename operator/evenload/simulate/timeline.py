"""One run as frames, one a tick: what was true of the backend it is about, what was said, what was done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from evenload.model.diagnosis import Label
from evenload.model.plan import Drain, Isolate, RestartPod, SetWeights, Write
from evenload.simulate.loop import Run, Tick
from evenload.simulate.world import START

_BAR = 20  # characters of all requests
_MOST_MOVED = 3  # backends named in a line


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A tick of a run. Times in run seconds; ratios and shares from 0 to 1."""

    time: float
    failed_ratio: float  # of the requests since the tick before
    share: float  # of the watched backend
    fair_share: float
    weight: int
    skew: float  # the largest of all pods
    labels: tuple[Label, ...]  # the primary one first
    writes: tuple[Write, ...]


def watched(run: Run) -> str:
    """The backend a run is about: the one diagnoses name most often, else the one that strays furthest from its due."""
    named = Counter(name for tick in run.ticks for name in tick.decision.diagnosis.backends)
    if named:
        return named.most_common(1)[0][0]
    strays = ((ratio, name) for tick in run.ticks for ratio, name in _ratios(tick))
    return max(strays)[1]


def frames(run: Run, backend: str) -> Iterator[Frame]:
    """Tick by tick, of `backend`."""
    for before, tick in zip([None, *run.ticks], run.ticks, strict=False):
        arrived = tick.arrived - (before.arrived if before else 0)
        failed = tick.failed - (before.failed if before else 0)
        diagnosis = tick.decision.diagnosis
        yield Frame(
            time=tick.time - START,
            failed_ratio=failed / max(arrived, 1),
            share=tick.shares[backend],
            fair_share=tick.fair_shares[backend],
            weight=tick.weights.get(backend, 0),
            skew=tick.skew,
            labels=(diagnosis.label, *diagnosis.also),
            writes=tuple(write for time, write in run.writes if time == tick.time),
        )


def timeline(run: Run, onset: float | None) -> Iterator[str]:
    """A line a tick. `onset`: run seconds of the first fault."""
    backend = watched(run)
    yield f"watching {backend}: its share of all requests, the share it deserves, and its weight"
    yield f"{'second':>7}  {'failed':>7}  {'share':>6}  {'fair':>6}  {'weight':>8}  {'':{_BAR}}  diagnosis, action"
    told = onset is None
    for frame in frames(run, backend):
        if onset is not None and not told and frame.time > onset:
            told = True
            yield f"{onset:>7.0f}  -- the fault --"
        yield _line(frame)
    yield from (f"broke a rule {fault}" for fault in run.faults)


def _ratios(tick: Tick) -> Iterator[tuple[float, str]]:
    for name, share in tick.shares.items():
        if tick.fair_shares[name] > 0:
            yield share / tick.fair_shares[name], name


def _line(frame: Frame) -> str:
    full, due = round(_BAR * frame.share), round(_BAR * frame.fair_share)
    bar = "".join("#" if place < full else "|" if place == due else "." for place in range(_BAR))
    words = ", ".join([*map(str, frame.labels), *map(action, frame.writes)])
    return (
        f"{frame.time:>7.0f}  {frame.failed_ratio:>7.1%}  {frame.share:>6.1%}  {frame.fair_share:>6.1%}"
        f"  {frame.weight:>8}  {bar}  {words}"
    )


def action(write: Write) -> str:
    """A write in a few words: "Restore shop-003 12000->1000"."""
    match write:
        case Isolate():
            return f"Isolate {write.pod}"
        case RestartPod():
            return f"RestartPod {write.pod}"
        case SetWeights() | Drain():
            moved = [f"{name} {write.before[name]}->{write.after[name]}" for name in _moved(write)]
            more = f" and {len(moved) - _MOST_MOVED} more" if len(moved) > _MOST_MOVED else ""
            return f"{write.purpose} {', '.join(moved[:_MOST_MOVED])}{more}"


def _moved(write: SetWeights | Drain) -> list[str]:
    return sorted(
        (name for name in write.after if write.after[name] != write.before[name]),
        key=lambda name: -abs(write.after[name] - write.before[name]),
    )
