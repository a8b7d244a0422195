"""Who stood behind which backend, told from series and names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from evenload.drivers.base import Place
from evenload.history.ranges import Answer, Grid, Matrix
from evenload.history.reader import Chunk
from evenload.history.roster import Behind, Roster, workload_names
from evenload.model.snapshot import SignalName
from tests.unit.observe.fleets import NOW, SOURCE, member

GRID = Grid(NOW, 10.0, 4)
TODAY = "shop-a-6b9f7c5d8-x2x9q"
GONE = "shop-a-7c5d86b9f-bbbbb"
NOTHING = Matrix(4, {})


def matrix(**pods: str) -> Matrix:
    """Pod (underscores for dashes) -> "1.11": where it has samples, a dot where not; digits are the numbers."""
    rows = {
        ("shop", pod.replace("_", "-")): (
            [place for place, mark in enumerate(marks) if mark != "."],
            [float(mark) for mark in marks if mark != "."],
        )
        for pod, marks in pods.items()
    }
    return Matrix(4, rows)


def chunk(grid: Grid = GRID, extras: Mapping[str, Matrix] | None = None, **signals: Matrix) -> Chunk:
    answers: dict[SignalName, Answer] = {}
    for name, one in signals.items():
        answers[name] = Answer(one, NOTHING, NOTHING)  # type: ignore[index]
    told = {name: Answer(one, NOTHING, NOTHING) for name, one in (extras or {}).items()}
    return Chunk(grid=grid, source=SOURCE, signals=answers, extras=told)


def roster(**facts: Any) -> Roster:
    service = Place(namespace="shop", name="shop-a")
    today = {TODAY: member(TODAY, workload="Deployment/shop-a", **facts)}
    return Roster({"shop-a": Behind(service=service, members=today, workloads=frozenset({"Deployment/shop-a"}))})


def seen(who: Roster, part: Chunk) -> list[set[str]]:
    return [set(fleet.pods) for fleet in who.fleets(part)]


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("shop-a-6b9f7c5d8-x2x9q", ("Deployment", "shop-a")),
        ("shop-a-0", ("StatefulSet", "shop-a")),
        ("shop-a-x2x9q", ("DaemonSet", "shop-a")),
    ],
)
def test_a_pods_name_tells_its_workload(pod: str, workload: tuple[str, str]) -> None:
    assert workload in workload_names(pod)


def test_a_name_that_people_made_tells_no_deployment() -> None:
    assert not [kind for kind, _ in workload_names("shop-a-canary-green") if kind == "Deployment"]


def test_pods_that_are_gone_are_there_while_their_series_are() -> None:
    part = chunk(memory=matrix(shop_a_6b9f7c5d8_x2x9q="..11", shop_a_7c5d86b9f_bbbbb="11.."))
    assert seen(roster(), part) == [{GONE}, {GONE}, {TODAY}, {TODAY}]


def test_a_pod_that_is_gone_has_no_address_of_those_that_run() -> None:
    part = chunk(memory=matrix(shop_a_6b9f7c5d8_x2x9q="..11", shop_a_7c5d86b9f_bbbbb="11.."))
    fleets = list(roster(addresses=("10.0.0.1",)).fleets(part))
    assert fleets[0].backends["shop-a"][GONE].facts.addresses == ()
    assert fleets[3].backends["shop-a"][TODAY].facts.addresses == ("10.0.0.1",)


def test_what_is_computed_over_a_window_does_not_keep_a_pod_alive() -> None:
    gauge, rate = matrix(shop_a_6b9f7c5d8_x2x9q="11.."), matrix(shop_a_6b9f7c5d8_x2x9q="1111")
    _, there = chunk(memory=gauge, requests=rate).pods({"shop"})
    assert there[:, 0].tolist() == [True, True, False, False]


def test_a_pod_without_a_gauge_is_there_by_its_requests() -> None:
    _, there = chunk(requests=matrix(shop_a_6b9f7c5d8_x2x9q="111.")).pods({"shop"})
    assert there[:, 0].tolist() == [True, True, True, False]


def test_a_moment_without_any_series_keeps_the_pods_as_they_were() -> None:
    part = chunk(memory=matrix(shop_a_6b9f7c5d8_x2x9q="1..1"))
    assert seen(roster(), part) == [{TODAY}] * 4


def test_pods_are_lined_up_anew_only_when_they_change() -> None:
    part = chunk(memory=matrix(shop_a_6b9f7c5d8_x2x9q="1111", shop_a_7c5d86b9f_bbbbb="11.."))
    first, second, third, fourth = roster().lineups(part)
    assert (first is second, second is third, third is fourth) == (True, False, True)
    assert (first.names, third.names) == ({"shop-a": [TODAY, GONE]}, {"shop-a": [TODAY]})


def test_other_peoples_pods_are_left_out() -> None:
    part = chunk(memory=matrix(till_6b9f7c5d8_x2x9q="1111", shop_a_6b9f7c5d8_x2x9q="1111"))
    assert seen(roster(), part) == [{TODAY}] * 4


def test_a_pod_that_appears_is_as_old_as_its_first_sample_also_in_later_chunks() -> None:
    who = roster()
    first = chunk(memory=matrix(shop_a_6b9f7c5d8_x2x9q="1111", shop_a_7c5d86b9f_bbbbb="..11"))
    later = chunk(Grid(NOW + 40, 10.0, 4), memory=matrix(shop_a_7c5d86b9f_bbbbb="1111"))
    list(who.fleets(first))
    fleets = list(who.fleets(later))
    assert fleets[0].backends["shop-a"][GONE].facts.started_at == NOW + 20


def test_a_container_that_started_after_its_pod_was_seen_does_not_make_the_past_young() -> None:
    part = chunk(memory=matrix(shop_a_6b9f7c5d8_x2x9q="1111"))
    (fleet, *_) = roster(started_at=NOW + 1000).fleets(part)
    assert fleet.backends["shop-a"][TODAY].facts.started_at is None


def test_readiness_that_kube_state_metrics_remembers_counts() -> None:
    ready = matrix(shop_a_6b9f7c5d8_x2x9q="0011")
    part = chunk(extras={"ready": ready}, memory=matrix(shop_a_6b9f7c5d8_x2x9q="1111"))
    states = [fleet.backends["shop-a"][TODAY].ready for fleet in roster().fleets(part)]
    assert states == [False, False, True, True]


def test_limits_that_are_remembered_are_used_for_pods_that_are_gone() -> None:
    extras = {"cpuLimit": matrix(shop_a_7c5d86b9f_bbbbb="2222")}
    part = chunk(extras=extras, memory=matrix(shop_a_7c5d86b9f_bbbbb="1111"))
    (fleet, *_) = roster().fleets(part)
    assert fleet.backends["shop-a"][GONE].facts.cpu_limit == 2.0
    assert fleet.backends["shop-a"][GONE].facts.memory_limit == 2.5e8  # as its sibling of today
