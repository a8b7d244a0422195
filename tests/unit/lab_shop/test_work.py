"""Work that costs what it should, with a made-up machine and with this one."""

import time

import pytest

from lab.shop.work import burn


class Machine:
    """Spends CPU time by the piece; its pace changes from one piece to the next."""

    def __init__(self, *seconds_per_piece: float) -> None:
        self.cpu_seconds = 0.0
        self.pieces = 0
        self._paces = seconds_per_piece

    def piece(self) -> None:
        self.cpu_seconds += self._paces[self.pieces % len(self._paces)]
        self.pieces += 1

    def clock(self) -> float:
        return self.cpu_seconds


@pytest.mark.parametrize("pace", [(1e-5,), (1e-4,), (2e-4, 4e-4), (1e-4, 1e-4, 5e-4)])
def test_a_request_costs_the_same_cpu_time_on_slow_fast_and_fickle_machines(pace: tuple[float, ...]) -> None:
    machine = Machine(*pace)
    burn(0.006, piece=machine.piece, cpu_clock=machine.clock)
    assert 0.006 - 1e-9 < machine.cpu_seconds < 0.006 + max(pace) + 1e-9


def test_no_cost_is_no_work() -> None:
    machine = Machine(1e-4)
    burn(0.0, piece=machine.piece, cpu_clock=machine.clock)
    assert machine.pieces == 0


def test_this_machine_burns_about_what_was_asked_for() -> None:
    start = time.thread_time()
    burn(0.05)
    assert 0.05 <= time.thread_time() - start < 0.06
