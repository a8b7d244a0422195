"""Leaks are seen through a collector's saw-tooth; the saw-tooth, a cache and a warm-up are not taken for leaks."""

from __future__ import annotations

import numpy as np
import pytest

from evenload.diagnose.bins import BIN_SECONDS, BINS, Bins
from evenload.diagnose.envelope import ROW_BINS, ROWS, Envelope
from evenload.diagnose.trend import MemoryWatch
from evenload.model.fleet import Fleet, Floats
from evenload.model.snapshot import Snapshot
from tests.unit.engine.build import later, snapshot

LIMIT = 250e6
TICK = 10.0
ONSET_MINUTES = 60


def teeth(dice: np.random.Generator, minutes: int, amplitude: float, period_seconds: float) -> Floats:
    """A collector at work: rises at an uneven pace, and falls to next to nothing at an uneven height; of the limit."""
    now, values = float(dice.uniform(0, amplitude)), []
    for _ in range(int(minutes * 60 / TICK)):
        now += amplitude * TICK / period_seconds * float(dice.lognormal(0, 0.2))
        while now > amplitude * float(dice.uniform(0.8, 1.0)):
            now = max(0.0, now - amplitude * float(dice.uniform(0.75, 0.95)))
        values.append(now)
    return np.array(values)


def minutes_of(values: Floats) -> Floats:
    return np.arange(values.size) * TICK / 60


def told(memory: Floats) -> list[bool]:
    """Whether a leak is told, a bin each. `memory` of the limit, a value a tick; three ticks are a bin."""
    watch, fleet, found = MemoryWatch(), Fleet(snapshot({"a-0": {"age": 9e4}}, backends="a")), []
    ticks = LIMIT * memory[: memory.size // 3 * 3].reshape(-1, 3)
    low = np.concatenate([np.full(BINS, np.nan), ticks.min(axis=1)])
    high = np.concatenate([np.full(BINS, np.nan), ticks.max(axis=1)])
    for end in range(BINS + 1, low.size + 1):
        bins = Bins()
        rows = low[end - BINS : end], np.full(BINS, 16.0), np.full(BINS, 0.3), high[end - BINS : end]
        bins._rows = np.array(rows)[:, :, None]
        watch.close(bins, fleet)
        found.append(bool(watch.leaks))
    return found


def leaking(dice: np.random.Generator, rate: float) -> Floats:
    """Full at the end; of the limit."""
    amplitude, period = float(dice.uniform(0.1, 0.3)), float(np.exp(dice.uniform(np.log(20), np.log(300))))
    minutes = ONSET_MINUTES + int((0.7 - amplitude) / rate)
    saw = teeth(dice, minutes, amplitude, period)
    return 0.3 + saw + rate * np.maximum(minutes_of(saw) - ONSET_MINUTES, 0.0)


@pytest.mark.parametrize("rate", [0.003, 0.005, 0.01, 0.02])
def test_a_leak_under_a_saw_tooth_is_told_with_a_third_of_the_time_left_and_stays_told(rate: float) -> None:
    early = whole = 0
    for seed in range(8):
        found = np.array(told(leaking(np.random.default_rng([seed, round(1e4 * rate)]), rate)))
        onset = round(ONSET_MINUTES * 60 / BIN_SECONDS)
        assert not found[:onset].any()
        first = int(np.argmax(found)) if found.any() else found.size
        early += first <= onset + 2 * (found.size - onset) / 3
        whole += bool(found[first:].all())
    assert early >= 7
    assert whole == 8


@pytest.mark.parametrize("seed", range(6))
def test_a_saw_tooth_alone_is_no_leak(seed: int) -> None:
    dice = np.random.default_rng(seed)
    saw = teeth(dice, 240, float(dice.uniform(0.1, 0.3)), float(np.exp(dice.uniform(np.log(20), np.log(600)))))
    assert not any(told(0.35 + saw))


@pytest.mark.parametrize("seed", range(6))
def test_a_cache_that_fills_under_a_saw_tooth_is_no_leak(seed: int) -> None:
    """Forty minutes old and more, with a time constant of ten to forty minutes."""
    dice = np.random.default_rng(100 + seed)
    saw = teeth(dice, 180, float(dice.uniform(0.03, 0.2)), float(np.exp(dice.uniform(np.log(20), np.log(300)))))
    constant = float(dice.uniform(10, 40))
    assert not any(told(0.25 + saw + 0.3 * (1 - np.exp(-(minutes_of(saw) + 40) / constant))))


def sight_of(memory: float, age: float, tick: int) -> Snapshot:
    return later(snapshot({"a-0": {"memory": memory, "age": age}}, backends="ab"), TICK * tick)


def test_a_container_that_was_started_again_is_another_process() -> None:
    bins, envelope = Bins(), Envelope()
    for tick in range(120):
        fleet = Fleet(sight_of(2e8 if tick < 90 else 1e8, 9e4 + tick if tick < 90 else 10.0 + tick, tick))
        if bins.observe(sight_of(0, 0, tick).time, 15.0, fleet):
            envelope.close(bins, fleet)
    assert envelope.peak(0, 1) < 2e8
    assert envelope.peak(1, 1) > 0


def test_it_never_grows() -> None:
    bins, envelope = Bins(), Envelope()
    for tick in range(3 * (ROWS + 5) * ROW_BINS):
        fleet = Fleet(sight_of(1e8, 9e4 + 10 * tick, tick))
        if bins.observe(sight_of(0, 0, tick).time, 15.0, fleet):
            envelope.close(bins, fleet)
    assert envelope._rows.shape == (3, ROWS, 2)
    assert envelope._rows.nbytes == 720 * 2
