"""Runs a trial and says what it was worth: the right word in time, how soon it was even again, and what it cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from evenload.model.diagnosis import Label
from evenload.model.plan import PodAction, WeightAction
from evenload.simulate.loop import Operator, Run, Tick
from evenload.simulate.plant import Plant
from evenload.simulate.scenarios import Scenario
from evenload.simulate.world import START, Event, Expected, Forbidden, Trial

ANY = "any"  # label, where only the rules are kept
EVEN = 1.3  # a true skew up to this counts as even: the default tolerance
EARLY_SECONDS = 300.0  # of an incident; requests over capacity are counted so long
_FIRST_WORDS_SECONDS = 60.0  # the filters fill; NoData is no mistake until then


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One run's. Seconds count from the first fault; None: never, or there was none."""

    scenario: str
    size: int
    seed: int
    expected: str  # the label that should have been given; Healthy where nothing was wrong; or ANY
    given: str  # the label of the deciding window: the expected one if it was given in time
    in_time: bool
    detect_seconds: float | None
    settle_seconds: float | None
    wrong_before: int  # ticks before the fault with a label that is neither Healthy nor NoData
    ticks_before: int
    arrived: int  # since the fault
    failed: int
    failed_alone: int  # of the same world, left alone
    tick_seconds: float
    arrived_early: int  # in the first five minutes of the fault
    over_early: float  # of these, sent to a server beyond what it can do
    weight_writes: int
    restarts: int
    forbidden: tuple[str, ...]  # actions ruled out, and what no plan may ever do
    owed: tuple[str, ...]  # what should have been done and was not
    crashes: int
    false_labels: int  # times that a wrong label was raised, where nothing is wrong
    seconds: float

    @property
    def settle_ticks(self) -> int | None:
        """Ticks from the fault until it was even again."""
        return None if self.settle_seconds is None else math.ceil(self.settle_seconds / self.tick_seconds - 1e-9)


def play(trial: Trial, *, keep_snapshots: bool = False) -> Run:
    """The whole run in a closed loop."""
    operator = Operator(trial.spec, trial.plant, window_seconds=trial.window, keep_snapshots=keep_snapshots)
    for _ in ticks(trial):
        operator.tick()
    return operator.run


def ticks(trial: Trial) -> Iterator[float]:
    """Run seconds of each tick; before it is given, the plant has got there and events have happened in their order."""
    events = sorted(trial.events, key=lambda event: event[0])
    for count in range(1, int(trial.duration // trial.tick) + 1):
        now = count * trial.tick
        events = _happen(trial.plant, events, now)
        trial.plant.advance(START + now)
        yield now


def _happen(plant: Plant, events: list[tuple[float, Event]], until: float) -> list[tuple[float, Event]]:
    while events and events[0][0] <= until:
        time, event = events.pop(0)
        plant.advance(START + time)
        event(plant)
    return events


def left_alone(trial: Trial) -> Iterator[tuple[float, int, int]]:
    """The same world when nobody does anything: run seconds, requests and failed ones since the start, tick by tick."""
    for now in ticks(trial):
        yield now, trial.plant.truth.arrived, trial.plant.truth.failed


def failed_alone(trial: Trial) -> int:
    """Requests that fail since the first fault when nobody does anything."""
    onset, before, failed = first_fault(trial), 0, 0
    for now, _, failed in left_alone(trial):
        if now <= onset:
            before = failed
    return failed - before


def score(scenario: Scenario, size: int, seed: int) -> Score:
    """Both arms of one trial: with the engine, and left alone."""
    trial = scenario.trial(size, seed)
    run = play(trial)
    onset = first_fault(trial)
    expected = trial.expected[0] if trial.expected else None
    given, detected = _given(run, trial, expected)
    before = [tick for tick in run.ticks if _FIRST_WORDS_SECONDS < tick.time - START <= onset]
    at_onset, early = _last(run, onset), _last(run, onset + EARLY_SECONDS)
    arrived_before, failed_before = (at_onset.arrived, at_onset.failed) if at_onset else (0, 0)
    failed = run.ticks[-1].failed - failed_before
    owed = tuple(trial.owed(run))
    return Score(
        scenario=scenario.name,
        size=size,
        seed=seed,
        expected=ANY if trial.rules_only else expected.labels[0] if expected else Label.Healthy,
        given=given,
        in_time=not owed and (detected is not None if expected else given in (Label.Healthy, ANY)),
        detect_seconds=detected,
        settle_seconds=_settled(run, onset) if expected and Label.LoadBalancerSkew in expected.labels else None,
        wrong_before=sum(tick.decision.diagnosis.label not in _QUIET for tick in before),
        ticks_before=len(before),
        arrived=run.ticks[-1].arrived - arrived_before,
        failed=failed,
        # Who wrote nothing threw none of the world's dice: it is the same world, and need not be played again.
        failed_alone=failed_alone(scenario.trial(size, seed)) if run.writes else failed,
        tick_seconds=trial.tick,
        arrived_early=early.arrived - arrived_before if early else 0,
        over_early=early.over_capacity - (at_onset.over_capacity if at_onset else 0.0) if early else 0.0,
        weight_writes=sum(isinstance(write, WeightAction) for _, write in run.writes),
        restarts=len(run.restarts()),
        forbidden=tuple(_forbidden(run, trial)),
        owed=owed,
        crashes=trial.plant.truth.crashes,
        false_labels=0 if expected else _raised(run, trial),
        seconds=trial.duration,
    )


def _last(run: Run, until: float) -> Tick | None:
    """The last tick up to this run second."""
    return max((tick for tick in run.ticks if tick.time - START <= until), key=lambda t: t.time, default=None)


_QUIET = frozenset({Label.Healthy, Label.NoData})


def first_fault(trial: Trial) -> float:
    """Run seconds of the first fault; 0 where nothing happens."""
    return min((time for time, _ in trial.events), default=0.0)


def _labels(tick: Tick) -> set[Label]:
    return {tick.decision.diagnosis.label, *tick.decision.diagnosis.also}


def _given(run: Run, trial: Trial, expected: Expected | None) -> tuple[str, float | None]:
    """The label that counts, and after how many seconds the expected one was first given."""
    if trial.rules_only:
        return ANY, None
    if expected is None:
        wrong = [label for tick in run.ticks for label in _wrong(tick, trial)]
        return (_most(wrong) if wrong else Label.Healthy), None
    end = expected.start + expected.within
    window = [tick for tick in run.ticks if expected.start < tick.time - START <= end + 1e-6]
    for tick in window:
        if _labels(tick) & set(expected.labels):
            return expected.labels[0], tick.time - START - expected.start
    return _most([tick.decision.diagnosis.label for tick in window]), None


def _wrong(tick: Tick, trial: Trial) -> list[Label]:
    """Of a trial in which nothing is wrong: diagnoses that would have made somebody act."""
    if trial.wrong:
        return sorted(_labels(tick) & trial.wrong)
    label = tick.decision.diagnosis.label
    return [label] if tick.time - START > _FIRST_WORDS_SECONDS and label in _ACTIVE else []


def _raised(run: Run, trial: Trial) -> int:
    told = [set(_wrong(tick, trial)) for tick in run.ticks]
    return sum(len(now - before) for before, now in pairwise([set(), *told]))


_ACTIVE = frozenset({Label.LoadBalancerSkew, Label.Failing, Label.Slow, Label.MemoryLeak, Label.Dependency})


def _most(labels: list[Label]) -> str:
    """The commonest, Healthy only where there is nothing else."""
    telling = Counter(label for label in labels if label is not Label.Healthy)
    return telling.most_common(1)[0][0] if telling else Label.Healthy


def _settled(run: Run, onset: float) -> float | None:
    """Seconds from the fault until the true skew is small for good."""
    last_uneven = max((tick.time for tick in run.ticks if tick.skew > EVEN), default=None)
    if last_uneven is None:
        return 0.0
    after = [tick.time for tick in run.ticks if tick.time > last_uneven]
    return max(0.0, min(after) - START - onset) if after else None


def _forbidden(run: Run, trial: Trial) -> Iterator[str]:
    yield from run.faults
    writes = [write for _, write in run.writes]
    restarts = {write.uid for write in writes if isinstance(write, PodAction)}
    weights = sum(isinstance(write, WeightAction) for write in writes)
    if Forbidden.Restart in trial.forbidden and restarts:
        yield f"{len(restarts)} restarts where none may be"
    if Forbidden.Write in trial.forbidden and weights:
        yield f"{weights} weight writes where none may be"
    if trial.most_restarts is not None and len(restarts) > trial.most_restarts:
        yield f"{len(restarts)} restarts, at most {trial.most_restarts} are right"
    if trial.quiet_after is not None:
        late = sum(time - START > trial.quiet_after for time, _ in run.writes)
        if late > trial.most_late_writes:
            yield f"{late} writes after {trial.quiet_after:.0f} s, when weights should rest"
