"""Schedules: same seed, same customers."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.load import schedule
from lab.load.schedule import SHAPES, constant, poisson

rates = st.floats(0.5, 200)
durations = st.floats(0.1, 20)
seeds = st.integers(0, 2**32)


@pytest.mark.parametrize("shape", sorted(SHAPES))
@given(rate=rates, duration=durations, seed=seeds)
def test_the_same_seed_gives_the_same_schedule_in_order_and_within_the_duration(
    shape: str, rate: float, duration: float, seed: int
) -> None:
    made = SHAPES[shape](rate=rate, duration_seconds=duration, seed=seed)
    assert made == SHAPES[shape](rate=rate, duration_seconds=duration, seed=seed)
    assert list(made) == sorted(made)
    assert all(0 <= due <= duration for due in made)


def test_another_seed_gives_another_schedule() -> None:
    assert poisson(rate=64, duration_seconds=10, seed=1) != poisson(rate=64, duration_seconds=10, seed=2)


def test_a_longer_run_begins_like_a_shorter_one() -> None:
    short = poisson(rate=64, duration_seconds=10, seed=1)
    assert poisson(rate=64, duration_seconds=20, seed=1)[: len(short)] == short


def test_poisson_counts_vary_as_much_as_their_mean() -> None:
    counts = [0] * 1000
    for due in poisson(rate=16, duration_seconds=1000, seed=3):
        counts[int(due)] += 1
    assert statistics.mean(counts) == pytest.approx(16, rel=0.03)
    assert statistics.variance(counts) / statistics.mean(counts) == pytest.approx(1, abs=0.15)


@given(rate=st.integers(1, 200), seconds=st.integers(1, 20), seed=seeds, jitter=st.floats(0, 1))
def test_constant_arrivals_come_one_a_gap(rate: int, seconds: int, seed: int, jitter: float) -> None:
    made = constant(rate=rate, duration_seconds=seconds, seed=seed, jitter=jitter)
    assert len(made) == rate * seconds
    assert all(slot / rate <= due <= (slot + jitter) / rate + 1e-9 for slot, due in enumerate(made))


@pytest.mark.parametrize("shape", sorted(SHAPES))
@pytest.mark.parametrize(
    ("rate", "duration", "message"),
    [
        (0, 1, "rate is 0"),
        (float("nan"), 1, "rate is nan"),
        (5000, 1, "at most 1000"),
        (1, 0, "duration is 0"),
        (1, 86_400, "at most 3600"),
    ],
)
def test_a_load_without_bounds_is_refused(shape: str, rate: float, duration: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SHAPES[shape](rate=rate, duration_seconds=duration, seed=1)


def test_a_jitter_beyond_the_gap_is_refused() -> None:
    with pytest.raises(ValueError, match="jitter is 2"):
        constant(rate=1, duration_seconds=1, seed=1, jitter=2)


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_the_number_of_requests_is_bounded(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "MAX_REQUESTS", 50)
    assert len(SHAPES[shape](rate=100, duration_seconds=10, seed=1)) == 50
