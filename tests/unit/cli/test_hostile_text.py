"""Whatever stands in an object, the terminal shows it: no command begins or forges a line, colours or turns text."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evenload.api.v1alpha1 import Balancer, Remediation
from evenload.cli.objects import read
from evenload.cli.printing import console, note, print_table, say
from evenload.cli.status import View, screen
from tests.unit.cli import objects
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_api import FakeApi

HOSTILE = "x\npayments   Auto   True\r\x1b[2J\x1b]0;t\x07\u202e\u2028\x85[bold red]m[/]\tend"
SHOWN = r"x\npayments   Auto   True\r\x1b[2J\x1b]0;t\x07\u202e\u2028\x85[bold red]m[/]\tend"
COMMANDS = frozenset({"Cc", "Cf", "Zl", "Zp"})

HOSTILE_TEXT = st.text(st.sampled_from("ab[]/\n\r\t\x0b\x0c\x1b\x85\x9b\u202e\u2066\u2028\u2029\u200b日"), max_size=30)


def commands(text: str) -> set[str]:
    return {letter for letter in text if letter != "\n" and unicodedata.category(letter) in COMMANDS}


def everywhere(manifest: Any, text: str) -> Any:
    """`manifest` with `text` in every free text of it."""
    if isinstance(manifest, dict):
        free = ("message", "sentence", "held", "manager", "because", "detail", "by")
        return {
            key: text if key in free and isinstance(value, str) else everywhere(value, text)
            for key, value in manifest.items()
        }
    return [everywhere(each, text) for each in manifest] if isinstance(manifest, list) else manifest


@given(rows=st.lists(st.lists(HOSTILE_TEXT, min_size=2, max_size=2), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_table_has_a_line_for_each_row_whatever_its_cells_hold(
    rows: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    print_table(["NAME", "REASON", "DIAGNOSIS"], [["shop", *each] for each in rows])
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) == 1 + len(rows)
    assert not commands(shown)


@given(text=HOSTILE_TEXT)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_line_stays_a_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    say(text)
    note(text)
    told = capsys.readouterr()
    assert (told.out.count("\n"), told.err.count("\n")) == (1, 1)
    assert not commands(told.out + told.err)


@pytest.mark.parametrize("command", [("get", "-o", "wide"), ("status",), ("why", "shop"), ("history", "-o", "wide")])
def test_commands_show_hostile_text_as_text(run: Run, api: FakeApi, command: tuple[str, ...]) -> None:
    api.put_balancer(everywhere(objects.skewed(), HOSTILE))
    api.put_remediation(everywhere(objects.executing(), HOSTILE))
    shown = run(*command).stdout
    assert SHOWN in shown
    assert not commands(shown)
    assert not [line for line in shown.splitlines() if line.startswith("payments")]


def test_an_error_shows_hostile_text_as_text(run: Run, api: FakeApi) -> None:
    api.refuse("GET", "/apis/evenload.dev/v1alpha1/namespaces/shop/balancers", 403, HOSTILE)
    told = run("get").stderr
    assert SHOWN in told
    assert not commands(told)


def test_the_live_view_reads_no_markup_and_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    balancer = read(everywhere(objects.skewed(), HOSTILE), Balancer)
    remediation = read(everywhere(objects.executing(), HOSTILE), Remediation)
    console().print(screen([View(balancer, remediation)], 80, HOSTILE))
    shown = capsys.readouterr().out
    assert "[bold red]m[/]" in shown
    assert not commands(shown)
