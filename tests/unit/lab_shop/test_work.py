"""Calibration, with a made-up machine and with this one."""

import time

import pytest

from lab.shop.work import PROBES, Burner, calibrate


class Machine:
    """Spends CPU time by the iteration; some probes are disturbed."""

    def __init__(self, seconds_per_iteration: float, disturbed: frozenset[int] = frozenset()) -> None:
        self.cpu_seconds = 0.0
        self._seconds = seconds_per_iteration
        self._disturbed = disturbed
        self._calls = 0

    def rounds(self, iterations: int) -> None:
        self.cpu_seconds += iterations * self._seconds * (10 if self._calls in self._disturbed else 1)
        self._calls += 1

    def clock(self) -> float:
        return self.cpu_seconds


@pytest.mark.parametrize("seconds_per_iteration", [1e-7, 1e-6, 5e-6])
def test_a_request_costs_the_same_cpu_time_on_slow_and_fast_machines(seconds_per_iteration: float) -> None:
    machine = Machine(seconds_per_iteration)
    burner = calibrate(rounds=machine.rounds, cpu_clock=machine.clock)
    before = machine.cpu_seconds
    burner.burn(0.006)
    assert machine.cpu_seconds - before == pytest.approx(0.006, rel=0.01)


def test_a_minority_of_disturbed_probes_does_not_change_the_calibration() -> None:
    quiet, noisy = Machine(1e-6), Machine(1e-6, frozenset(range(PROBES // 2)))
    assert calibrate(rounds=noisy.rounds, cpu_clock=noisy.clock).iterations_per_cpu_second == pytest.approx(
        calibrate(rounds=quiet.rounds, cpu_clock=quiet.clock).iterations_per_cpu_second
    )


def test_a_clock_that_stands_still_is_refused() -> None:
    with pytest.raises(RuntimeError, match="CPU time did not move"):
        calibrate(rounds=lambda iterations: None, cpu_clock=lambda: 1.0)


def test_no_cost_is_no_work() -> None:
    asked: list[int] = []
    Burner(iterations_per_cpu_second=1e6, rounds=asked.append).burn(0.0)
    assert asked == []


def test_this_machine_burns_about_what_was_asked_for() -> None:
    burner = calibrate()
    start = time.thread_time()
    burner.burn(0.05)
    assert 0.02 < time.thread_time() - start < 0.125
