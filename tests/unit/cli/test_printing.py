"""Tables never cut a name or a number, however narrow the terminal is."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenload.cli.printing import table
from tests.unit.cli import objects
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_api import FakeApi

NAME = "checkout-service-of-the-eastern-shop"
cells = st.lists(st.sampled_from(["a", "97%", "3.88", "deploy-pipeline", NAME]), max_size=8).map(" ".join)
tables = st.lists(st.tuples(cells, cells, cells), max_size=3)


@given(rows=tables, width=st.integers(20, 200))
def test_every_word_of_every_cell_stands_whole_in_the_order_of_the_rows(rows: list[Sequence[str]], width: int) -> None:
    lines = [line.plain for line in table(["NAME", "A", "B"], rows, width)]
    told = " ".join(lines).split()
    place = 0
    for word in [word for row in rows for cell in row for word in cell.split()]:
        place = told.index(word, place) + 1


@given(rows=tables, width=st.integers(60, 200))
def test_a_line_is_longer_than_the_terminal_only_for_its_first_cell(rows: list[Sequence[str]], width: int) -> None:
    first = max(len(cell) for cell in ["NAME", *(row[0] for row in rows)])
    lines = [line.plain for line in table(["NAME", "A", "B"], rows, width)]
    assert max(map(len, lines)) <= max(width, first)


def on_a_terminal(kubeconfig: Path, columns: int, *arguments: str) -> str:
    """What the command prints into a pseudo-terminal so wide."""
    outer, inner = os.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "NO_COLOR": "1", "TERM": "xterm"}
    environment.pop("COLUMNS", None)
    command = [sys.executable, "-m", "evenload.cli.main", *arguments]
    with subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, env=environment) as process:
        os.close(inner)
        text = b"".join(iter(lambda: _read(outer), b""))
        process.wait(30)
    os.close(outer)
    return text.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed: this is how Linux says so
        return b""


@pytest.mark.parametrize("columns", [80, 40])
@pytest.mark.parametrize("command", [("status",), ("get",), ("get", "-o", "wide"), ("history", "-o", "wide")])
def test_a_narrow_terminal_shows_every_name_and_number(
    api: FakeApi, kubeconfig: Path, columns: int, command: tuple[str, ...]
) -> None:
    api.put_balancer(objects.skewed(name=NAME))
    api.put_remediation(objects.waiting(balancer=NAME))
    told = on_a_terminal(kubeconfig, columns, *command).split()
    expected = {
        "status": [f"shop/{NAME}", "LoadBalancerSkew", "3.88", "64", "41.2", "4/4", "Approve", "AwaitingApproval"],
        "get": [NAME, "Approve", "False", "LoadBalancerSkew", "3.88", "4/4", "True"],
        "history": [f"{NAME}-7k2fq", NAME, "LoadBalancerSkew", "AwaitingApproval", "deploy-pipeline"],
    }[command[0]]
    if command == ("get", "-o", "wide"):
        expected += [f"HTTPRoute/{NAME}", "64", "41.2", f"{NAME}-7k2fq", "97%"]
    assert [word for word in expected if word not in told] == []
    assert "…" not in told


def test_piped_a_row_is_one_line_however_long(run: Run, api: FakeApi) -> None:
    api.put_balancer(objects.skewed(name=NAME))
    heading, row = run("get", "-o", "wide").stdout.splitlines()
    assert heading.index("DIAGNOSIS") == row.index("shop-a takes 97%")
