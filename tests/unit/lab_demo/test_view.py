"""The live view, as text."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from lab.demo.live import picture
from lab.demo.view import HEIGHT, Happening, Kind, Server, State, bar, chart, height, percent, render, seconds_text
from tests.support.golden import check_golden

EMPTY = State(title="The incident, left alone", scene="all is well")
BUSY = State(
    title="The incident, with Evenload in Auto mode",
    scene="Evenload at work",
    seconds=23.4,
    requests_per_second=64.0,
    failed_share=0.42,
    failed_history=(*(0.0,) * 18, 0.1, 0.4, 0.8, 0.9, 0.9, 0.88, 0.4, 0.2, 0.16, 0.01, 0.0, 0.0, None, None),
    servers=(
        Server(name="shop-a", count=0, share=0.96, failed_share=0.91, latency_p95=2.2, pod="leaving, ready"),
        Server(name="shop-b", count=100, share=0.013, failed_share=0.0, latency_p95=0.02, pod="ready"),
        Server(name="shop-c", count=100, share=0.027, failed_share=0.0, latency_p95=0.02, pod="ready"),
        Server(name="shop-d", count=None, share=0.0, pod="starting"),
    ),
    diagnosis="LoadBalancerSkew",
    sentence="shop-a gets 96% of the requests, 3.8 times its share of 25%; shop-release set the weights so.",
    doing="restart pod shop-a-1 by eviction – waiting for its replacement",
    failed=512,
    failed_alone=1204,
    failed_alone_in_all=5656,
    happenings=(
        Happening(seconds=0.2, text="shop-release sets the weights to shop-a 970, all others 10", kind=Kind.Cause),
        Happening(seconds=12.2, text="diagnosis: LoadBalancerSkew", kind=Kind.Detection),
        Happening(seconds=12.9, text="restore weights: all 100", kind=Kind.Action),
        Happening(seconds=20.1, text="verified: restore weights: all 100", kind=Kind.Good),
        Happening(seconds=22.0, text="pod shop-a-1 is leaving, after its last requests"),
    ),
)


def drawn(state: State, *, width: int = 108, height: int = HEIGHT) -> str:
    console = Console(width=width, height=height, file=StringIO(), record=True, color_system=None)
    console.print(render(state), height=height)
    return "".join(f"{line.rstrip()}\n" for line in console.export_text().splitlines())


@pytest.mark.parametrize(("name", "state"), [("empty", EMPTY), ("busy", BUSY)])
def test_the_view_is_as_it_was_approved(name: str, state: State) -> None:
    check_golden(f"lab_demo/view-{name}.txt", drawn(state))


def test_a_low_terminal_shows_the_newest_happenings() -> None:
    text = drawn(BUSY, height=21)
    assert "pod shop-a-1 is leaving" in text
    assert "sets the weights" not in text
    assert len(text.splitlines()) == 21


def test_as_many_servers_as_there_are_have_a_line_each_and_the_view_grows_with_them() -> None:
    servers = tuple(Server(name=f"…pod{n}", count=n, pod="ready") for n in range(7))
    state = replace(BUSY, servers=servers, headline="connections that live long", counted="conns")
    text = drawn(state, height=height(state))
    assert [f"…pod{n}" in text for n in range(7)] == [True] * 7
    assert "Evenload: connections that live long" in text
    assert "conns" in text
    assert height(state) == HEIGHT + 2 == len(text.splitlines())


def test_a_narrow_terminal_cuts_lines_but_breaks_none() -> None:
    assert all(len(line) <= 80 for line in drawn(BUSY, width=80).splitlines())


def test_names_from_the_cluster_are_not_taken_for_markup() -> None:
    state = State(title="t", scene="s", diagnosis="[red]x", sentence="[/nothing]", doing="[bold]y")
    assert "[red]x" in drawn(state)
    assert "[/nothing]" in drawn(state)


def test_the_picture_loads_nothing_from_anywhere() -> None:
    svg = picture(BUSY, "make demo")
    assert svg.startswith("<svg")
    assert "url(http" not in svg
    assert "@font-face" not in svg


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, "    "), (1.0, "████"), (0.5, "██  "), (1 / 32, "▏   "), (7, "████")]
)
def test_bars_are_exact_to_an_eighth_of_a_character(share: float, expected: str) -> None:
    assert bar(share, 4) == expected


def test_the_chart_fills_from_below_and_shows_even_one_failure() -> None:
    assert chart((0.0, 0.01, 0.5, 1.0, None), rows=3).plain.splitlines() == ["   █ ", "  ▄█ ", " ▁██·"]


def test_unknown_numbers_are_dashes() -> None:
    assert (percent(None), seconds_text(None)) == ("–", "–")


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, "0%"), (0.004, "0.4%"), (0.0994, "9.9%"), (0.35, "35%"), (1.0, "100%")]
)
def test_shares_have_a_digit_more_where_it_says_something(share: float, expected: str) -> None:
    assert percent(share) == expected
