"""The flight recorder: what happened, in a format that replays, within the space there is."""

from __future__ import annotations

import base64
import contextlib
import gzip
import random
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenload.errors import RecordingError
from evenload.model.diagnosis import Label
from evenload.model.episode import Episode, Phase
from evenload.model.snapshot import Backend, Pod, Snapshot
from evenload.record.flight import EPISODE_TICKS, MOST_PACKED_BYTES, MOST_UNPACKED_BYTES, QUIET_TICKS, Flight, unpack
from evenload.recording import read
from tests.unit.record.scenes import snapshot

MANIFEST = {"kind": "Balancer", "metadata": {"name": "shop"}, "spec": {"targetRef": {"name": "shop"}}}
EPISODE = Episode(name="shop-1", opened_at=1.0, label=Label.LoadBalancerSkew, phase=Phase.Executing)


def ticks(packed: str) -> list[Snapshot]:
    return list(read(unpack(packed)).snapshots)


def fleet(time: float, pods: int, chance: random.Random, episode: Episode | None) -> Snapshot:
    """As many pods as wanted, with numbers that do not repeat."""
    made = {
        f"shop-{at:03}-7d9f8b6c5-x{at:04}": Pod(
            ready=True,
            uid=f"{at:08x}-5f1e-4c7e-9a53-0123456789ab",
            node=f"node-{at % 7}",
            workload=f"Deployment/shop-{at % 10}",
            requests=chance.random() * 1000,
            errors=chance.random() * 10,
            latency=chance.random(),
            cpu=chance.random(),
            cpu_limit=1.0,
            memory=chance.random() * 1e9,
            memory_limit=1e9,
            in_flight=chance.random() * 9,
        )
        for at in range(pods)
    }
    return Snapshot(time=time, window=30.0, backends={"shop": Backend(weight=1, pods=made)}, episode=episode)


def test_a_packed_recording_is_the_snapshots_themselves() -> None:
    flight = Flight()
    seen = [snapshot(1000.0 + at, episode=EPISODE if at > 2 else None) for at in range(6)]
    for one in seen:
        flight.record(one)
    packed = flight.pack(MANIFEST, 10.0)
    assert ticks(packed) == seen
    header = read(unpack(packed)).header
    assert (header.tick, header.spec.target_ref.name) == (10.0, "shop")


def test_the_same_recording_packs_to_the_same_text() -> None:
    flight = Flight()
    flight.record(snapshot())
    assert flight.pack(MANIFEST, 10.0) == flight.pack(MANIFEST, 10.0)


def test_while_nothing_is_wrong_only_the_last_minutes_are_kept() -> None:
    flight = Flight()
    for at in range(QUIET_TICKS + 15):
        flight.record(snapshot(1000.0 + at))
    kept = ticks(flight.pack(MANIFEST, 10.0))
    assert len(kept) == QUIET_TICKS
    assert (kept[0].time, kept[-1].time) == (1015.0, 1015.0 + QUIET_TICKS - 1)


def test_a_long_episode_is_told_from_its_beginning_to_its_end_only_coarser() -> None:
    flight = Flight()
    for at in range(3 * EPISODE_TICKS):
        flight.record(snapshot(1000.0 + at, episode=EPISODE))
        assert len(flight) <= EPISODE_TICKS
    times = [one.time for one in ticks(flight.pack(MANIFEST, 10.0))]
    assert times[0] == 1000.0
    assert times[-1] >= 1000.0 + 3 * EPISODE_TICKS - 2
    assert times == sorted(times)


def test_what_came_after_the_end_is_left_out() -> None:
    flight = Flight()
    for at in range(5):
        flight.record(snapshot(1000.0 + at))
    assert [one.time for one in ticks(flight.pack(MANIFEST, 10.0, until=1002.0))] == [1000.0, 1001.0, 1002.0]


def test_a_large_fleets_recording_fits_its_remediation_and_still_tells_the_whole_story() -> None:
    chance, flight = random.Random(7), Flight()
    for at in range(60):
        flight.record(fleet(1000.0 + at, 200, chance, EPISODE))
    packed = flight.pack(MANIFEST, 10.0)
    assert len(packed) <= MOST_PACKED_BYTES
    times = [one.time for one in ticks(packed)]
    assert times[0] == 1000.0
    assert times[-1] > 1040.0


def test_a_thousand_balancers_of_fifty_pods_record_in_a_hundred_megabytes() -> None:
    chance, flight = random.Random(7), Flight()
    for at in range(3 * QUIET_TICKS):
        flight.record(fleet(1000.0 + at, 50, chance, None))
    assert flight.nbytes < 100_000


def test_new_pods_do_not_make_the_recorder_forget_how_to_deflate() -> None:
    chance, flight = random.Random(7), Flight()
    for at in range(QUIET_TICKS):
        flight.record(snapshot(1000.0 + at))
    for at in range(2 * QUIET_TICKS):
        flight.record(fleet(2000.0 + at, 50, chance, None))
    assert flight.nbytes < 100_000
    assert ticks(flight.pack(MANIFEST, 10.0))[-1].time == 2000.0 + 2 * QUIET_TICKS - 1


def packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()


@pytest.mark.parametrize("text", ["not base64!", "aGVsbG8=", packed(b"{}\n")[:-8], "ä"])
def test_a_text_that_is_no_recording_is_refused(text: str) -> None:
    with pytest.raises(RecordingError, match=r"status\.recording: "):
        unpack(text)


def test_a_small_text_that_unfolds_into_gigabytes_is_refused_before_it_does() -> None:
    bomb = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    data = b"".join([bomb.compress(bytes(1 << 20)) for _ in range(300)]) + bomb.flush()
    tracemalloc.start()
    with pytest.raises(RecordingError, match="64 MiB"):
        unpack(base64.b64encode(data).decode())
    assert tracemalloc.get_traced_memory()[1] < 3 * MOST_UNPACKED_BYTES
    tracemalloc.stop()


def test_a_text_of_a_million_empty_lines_is_refused() -> None:
    with pytest.raises(RecordingError, match="lines"):
        unpack(packed(b"\n" * 1_000_000))


@given(st.binary(max_size=300) | st.binary(max_size=300).map(gzip.compress))
def test_whatever_a_recording_holds_is_a_recording_or_an_error_that_says_so(data: bytes) -> None:
    with contextlib.suppress(RecordingError):
        list(read(unpack(base64.b64encode(data).decode())).snapshots)
