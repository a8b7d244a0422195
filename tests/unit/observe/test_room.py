"""The memory of answers under way: bounded together, and no two wait for each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from hypothesis import given
from hypothesis import strategies as st

from evenload.observe.room import Full, Room, Share

ROOM, LARGEST = 100, 60


def take(room: Room, share: Share, nbytes: int, seconds: float = 0.0) -> bool:
    try:
        room.take(share, nbytes, lambda: False, seconds)
    except Full:
        return False
    return True


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30)), max_size=60))
def test_together_they_hold_the_room_and_one_more_and_one_can_always_go_on(steps: list[tuple[int, int]]) -> None:
    """Each step: which answer wants how much more; 0: it is parsed, and another one begins."""
    room = Room(ROOM)
    stacks = [ExitStack() for _ in range(6)]
    shares = [stack.enter_context(room.share()) for stack in stacks]
    for index, nbytes in steps:
        if not nbytes or shares[index].held + nbytes > LARGEST:
            stacks[index].close()
            shares[index] = stacks[index].enter_context(room.share())
        elif not take(room, shares[index], nbytes):
            assert any(take(room, share, 0) for share in shares if share is not shares[index])
        assert room.held == sum(share.held for share in shares) <= ROOM + LARGEST
    for stack in stacks:
        stack.close()
    assert room.held == 0


def test_answers_larger_than_the_room_are_all_read_one_after_the_other() -> None:
    room = Room(ROOM)

    def read() -> int:
        with room.share() as share:
            for _ in range(12):
                room.take(share, 10, lambda: False, 10.0)
            return share.held

    with ThreadPoolExecutor(6) as threads:
        assert [future.result() for future in [threads.submit(read) for _ in range(12)]] == [120] * 12
    assert room.held == 0


def test_who_waits_goes_on_when_another_is_done() -> None:
    room = Room(ROOM)
    with ThreadPoolExecutor(1) as thread, room.share() as waiting, ExitStack() as done:
        for nbytes in (ROOM, 1):  # the second goes beyond it
            assert take(room, done.enter_context(room.share()), nbytes)
        assert not take(room, waiting, 1)
        granted = thread.submit(take, room, waiting, 1, 10.0)
        done.close()
        assert granted.result(10)


def test_who_has_given_up_does_not_wait() -> None:
    room = Room(ROOM)
    with room.share() as first, room.share() as second, room.share() as third:
        assert take(room, first, ROOM)
        assert take(room, second, 1)
        room.take(third, 1, lambda: True, 600.0)
        assert room.held == ROOM + 1
