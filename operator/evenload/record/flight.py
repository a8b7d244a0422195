"""The flight recorder: the Snapshots of the last minutes, and of the whole episode once one is open.

It holds recording/v1 lines, so what ends up in a Remediation can be replayed. In memory each line is deflated with an
earlier one as dictionary (pod names and UIDs repeat), because a thousand Balancers record at once. What gets too
large, here or for its Remediation, loses every second line, again and again: the whole story, told coarser.
"""

from __future__ import annotations

import base64
import gzip
import math
import zlib
from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple

from evenload.errors import RecordingError
from evenload.model.snapshot import Snapshot
from evenload.recording import Header, encode

QUIET_TICKS = 30  # kept while nothing is wrong: five minutes of ten-second ticks before the onset
QUIET_BYTES = 64 * 1024  # and no more than this a Balancer: of a large fleet fewer minutes
EPISODE_TICKS = 360  # an hour of ten-second ticks; a longer episode is told coarser
MOST_PACKED_BYTES = 256 * 1024  # base64 text in Remediation.status.recording; etcd takes 1.5 MB an object
MOST_UNPACKED_BYTES = 64 << 20  # some 360 lines of 2,000 pods: far more than is ever packed into a Remediation
MOST_UNPACKED_LINES = 10 * EPISODE_TICKS
_WORTHWHILE = 3  # a line that deflates by less has little in common with its dictionary: take a new one


class _Kept(NamedTuple):
    time: float
    dictionary: bytes
    deflated: bytes

    @property
    def line(self) -> bytes:
        return zlib.decompressobj(wbits=-zlib.MAX_WBITS, zdict=self.dictionary).decompress(self.deflated)


class Flight:
    """Of one Balancer."""

    def __init__(self) -> None:
        self._kept: deque[_Kept] = deque()
        self._dictionary = b""
        self._bytes = 0

    def record(self, snapshot: Snapshot) -> None:
        """Keep it; without an open episode only the newest stay."""
        line = encode(snapshot)
        kept = _Kept(snapshot.time, self._dictionary, _deflated(line, self._dictionary))
        if len(kept.deflated) * _WORTHWHILE > len(line):
            self._dictionary = line[-32768:]  # deflate looks back no further
        self._keep(kept)
        if snapshot.episode is None:
            while len(self._kept) > QUIET_TICKS or (self._bytes > QUIET_BYTES and len(self._kept) > 1):
                self._bytes -= len(self._kept.popleft().deflated)
        elif len(self._kept) > EPISODE_TICKS:
            every_second, self._kept, self._bytes = islice(self._kept, 0, None, 2), deque(), 0
            for one in every_second:
                self._keep(one)

    def _keep(self, kept: _Kept) -> None:
        self._kept.append(kept)
        self._bytes += len(kept.deflated)

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def nbytes(self) -> int:
        """Of memory, about."""
        dictionaries = {id(kept.dictionary): len(kept.dictionary) for kept in self._kept}
        return sum(dictionaries.values()) + self._bytes

    def pack(self, balancer: Mapping[str, object], tick_seconds: float, until: float = math.inf) -> str:
        """The recording up to `until` (seconds since the epoch) as base64 of gzip, within MOST_PACKED_BYTES."""
        header = encode(Header.of(balancer, tick_seconds))
        lines = [kept.line for kept in self._kept if kept.time <= until]
        while sum(map(len, lines)) > MOST_UNPACKED_BYTES // 2:
            lines = lines[::2] if len(lines) > 1 else []
        while len(packed := _packed(header, lines)) > MOST_PACKED_BYTES and lines:
            lines = lines[::2] if len(lines) > 1 else []
        return packed


def _deflated(line: bytes, dictionary: bytes) -> bytes:
    deflate = zlib.compressobj(level=1, wbits=-zlib.MAX_WBITS, zdict=dictionary)
    return deflate.compress(line) + deflate.flush()


def _packed(header: bytes, lines: list[bytes]) -> str:
    # mtime 0: the same recording packs to the same text, and a repeated write is none.
    return base64.b64encode(gzip.compress(header + b"".join(lines), compresslevel=9, mtime=0)).decode()


def unpack(text: str) -> list[bytes]:
    """The lines of a packed recording, for evenload.recording.read.

    Raises RecordingError on a text that is none, or that has more than MOST_UNPACKED_BYTES when decompressed: a few
    kilobytes of gzip may hold gigabytes.
    """
    try:
        stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        unpacked = stream.decompress(base64.b64decode(text, validate=True), MOST_UNPACKED_BYTES + 1)
    except (ValueError, zlib.error) as error:
        raise RecordingError(f"status.recording: not base64 of gzip ({error})") from error
    if len(unpacked) > MOST_UNPACKED_BYTES:
        raise RecordingError(f"status.recording: more than {MOST_UNPACKED_BYTES >> 20} MiB when decompressed")
    if unpacked.count(b"\n") > MOST_UNPACKED_LINES:
        raise RecordingError(f"status.recording: more than {MOST_UNPACKED_LINES} lines")
    if not stream.eof or stream.unused_data:
        raise RecordingError("status.recording: the gzip data is cut short, or something follows it")
    return unpacked.splitlines(keepends=True)
