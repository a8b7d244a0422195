"""Flight recordings: none in memory, and few at the API server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from evenload.act.recordings import (
    RECORDINGS_KEPT,
    decode_without_recording,
    drop_recording,
    recording_bytes,
    surplus_recordings,
    without_recording,
)
from evenload.kube.resources import REMEDIATIONS
from evenload.store import Key, Store
from tests.support.memory import MemoryCluster


def remediation(name: str, closed: int, balancer: str = "shop", size: int = 1000, phase: str = "Succeeded") -> Any:
    return {
        "kind": "Remediation",
        "metadata": {"namespace": "market", "name": name, "uid": name, "resourceVersion": "7"},
        "spec": {"balancerRef": {"name": balancer}},
        "status": {"phase": phase, "closedAt": f"2026-11-27T{closed // 60:02}:{closed % 60:02}:00Z"}
        | ({"recording": "x" * size} if size else {}),
    }


def trimmed(*manifests: Any) -> list[Any]:
    return [without_recording(each) for each in manifests]


def names(manifests: list[Any]) -> list[str]:
    return [each["metadata"]["name"] for each in manifests]


def test_the_store_keeps_no_recording_however_a_remediation_comes_in() -> None:
    store, whole = Store(), remediation("a", 1, size=3000)
    raw = msgspec.Raw(msgspec.json.encode(whole))
    ways: list[Callable[[], object]] = [
        lambda: store.remediations.put(whole),  # a write's answer
        lambda: store.remediations.sweep([whole], 8),
        lambda: store.remediations.put(decode_without_recording(raw)),  # the watch
    ]
    for way in ways:
        way()
        kept = store.remediations.get(Key("market", "a"))
        assert kept is not None
        assert b"xxx" not in msgspec.json.encode(kept)
        assert recording_bytes(kept) == 3000
    assert whole["status"]["recording"]  # the caller's own is left alone


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=2)))
def test_whatever_stands_where_a_recording_should_be_is_no_reason_to_fail(odd: object) -> None:
    assert recording_bytes(without_recording({"metadata": {}, "status": odd})) == 0
    without_recording({"metadata": {}, "status": {"recording": odd}})


def test_the_newest_few_of_each_balancer_keep_theirs() -> None:
    many = [remediation(f"r{at}", at) for at in range(RECORDINGS_KEPT + 2)]
    other = [remediation(f"o{at}", at, balancer="other") for at in range(RECORDINGS_KEPT)]
    assert names(surplus_recordings(trimmed(*many, *other), 1 << 30)) == ["r0", "r1"]


def test_beyond_the_budget_the_oldest_are_dropped_whosever_they_are() -> None:
    held = [remediation(f"r{at}", at, balancer=f"b{at % 3}") for at in range(6)]
    assert names(surplus_recordings(trimmed(*held), 4000)) == ["r0", "r1"]
    assert names(surplus_recordings(trimmed(*held), 0)) == [f"r{at}" for at in range(6)]


def test_a_small_old_one_does_not_stay_in_the_place_of_a_newer_one() -> None:
    held = [remediation("small", 1, "a", 10), remediation("large", 2, "b", 900), remediation("new", 3, "c", 500)]
    assert names(surplus_recordings(trimmed(*held), 1000)) == ["small", "large"]


def test_what_is_open_or_holds_none_is_left_alone() -> None:
    held = [remediation("open", 1, phase="Verifying"), remediation("without", 2, size=0)]
    assert surplus_recordings(trimmed(*held), 0) == []


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 400)), max_size=40), st.integers(0, 4000))
def test_what_is_left_keeps_both_limits(what: list[tuple[int, int]], most: int) -> None:
    held = trimmed(*(remediation(f"r{at}", at, f"b{b}", size) for at, (b, size) in enumerate(what)))
    doomed = names(surplus_recordings(held, most))
    left = [each for each in held if each["metadata"]["name"] not in doomed]
    assert sum(map(recording_bytes, left)) <= most
    for number in range(6):
        assert sum(each["spec"]["balancerRef"]["name"] == f"b{number}" for each in left) <= RECORDINGS_KEPT


async def test_only_the_recording_is_dropped_and_of_this_very_version() -> None:
    api = MemoryCluster()
    whole = remediation("a", 1)
    api.objects["Remediation", "market", "a"] = whole
    known = without_recording(whole)
    left = await drop_recording(api, known)
    assert left is not None
    assert left["status"] == known["status"]
    assert recording_bytes(without_recording(left)) == 0
    assert await drop_recording(api, known) is None  # changed since
    await api.delete(REMEDIATIONS, "market", "a")
    assert await drop_recording(api, known) is None
