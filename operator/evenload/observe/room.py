"""How much memory the answers take together that are being read, whatever Prometheus answers.

An answer holds room from its first byte until it is parsed. One that finds none waits, and so does its server. That no
two wait for each other, the first that finds none goes on beyond the room, alone: together they hold the room and one
answer more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from evenload.errors import SignalsUnavailable

ROOM_BYTES: Final = 64 * 1024 * 1024


class Full(SignalsUnavailable):
    """Other answers hold the room."""


class Room:
    """Shared by threads."""

    def __init__(self, nbytes: int = ROOM_BYTES) -> None:
        self.parsing = threading.Lock()
        """To be held while an answer is parsed: several at once would not be faster, and need the memory several
        times."""
        self._nbytes = nbytes
        self._held = 0
        self._beyond: Share | None = None  # who goes on though there is no room
        self._changed = threading.Condition()

    @property
    def held(self) -> int:
        """Bytes."""
        return self._held

    @contextmanager
    def share(self) -> Iterator[Share]:
        """What one answer holds, given back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            with self._changed:
                self._held -= share.held
                if self._beyond is share:
                    self._beyond = None
                self._changed.notify_all()

    def wake(self) -> None:
        """Have those that wait look whether they still have to."""
        with self._changed:
            self._changed.notify_all()

    def take(self, share: Share, nbytes: int, given_up: Callable[[], bool], seconds: float) -> None:
        """Waits for so long; returns early where `given_up`. Raises Full."""
        with self._changed:
            if not self._changed.wait_for(lambda: given_up() or self._grants(share, nbytes), seconds):
                raise Full(
                    f"was not read to the end: other answers fill the {self._nbytes / 2**20:.3g} MiB that are kept for "
                    "those under way; ask for less with spec.signals.matchers, or give Prometheus more time"
                )
            if given_up():
                return
            self._held += nbytes
            share.held += nbytes
            if self._held > self._nbytes:
                self._beyond = share

    def _grants(self, share: Share, nbytes: int) -> bool:
        return self._held + nbytes <= self._nbytes or self._beyond in (None, share)


class Share:
    """See `Room.share`."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.held = 0
