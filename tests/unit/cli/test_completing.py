"""What stands behind <TAB>."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from evenload.cli import completing
from tests.unit.cli import objects
from tests.unit.cli.fake_api import FakeApi

Ask = Callable[..., tuple[list[str], str]]


@pytest.fixture
def ask(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Ask as kubectl does; the candidates without their descriptions, and the directive."""
    for name in ("_EVENLOAD_COMPLETE", "_TYPER_COMPLETE_FISH_ACTION", "_TYPER_COMPLETE_ARGS"):
        monkeypatch.setenv(name, "")  # so that it is unset again afterwards
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))

    def asked(*words: str) -> tuple[list[str], str]:
        monkeypatch.setattr("sys.argv", ["kubectl_complete-evenload", *words])
        completing.main()
        *candidates, directive = capsys.readouterr().out.splitlines()
        return [line.partition("\t")[0] for line in candidates], directive

    return asked


@pytest.fixture
def shops(api: FakeApi) -> FakeApi:
    for name, namespace in (("shop", "shop"), ("shelf", "shop"), ("till", "shop"), ("shed", "staging")):
        api.put_balancer(objects.healthy(name, namespace))
    api.put_remediation(objects.closed())
    return api


def test_commands_and_words_of_an_option_are_offered(ask: Ask) -> None:
    assert ask("re") == (["report", "resume", "record", "replay"], ":4")
    assert ask("get", "-o", "") == (["table", "wide", "json", "yaml", "name"], ":4")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("why", "sh"), ["shelf", "shop"]),
        (("get", "shop", "sh"), ["shelf"]),
        (("get", "-n", "staging", ""), ["shed"]),
        (("pause", ""), ["shelf", "shop", "till"]),
        (("history", "t"), ["till"]),
        (("undo", ""), ["shop-1st"]),
        (("report", "till"), []),
    ],
)
def test_names_come_from_the_namespace_that_is_meant(
    ask: Ask, shops: FakeApi, words: tuple[str, ...], names: list[str]
) -> None:
    assert ask(*words)[0] == names


def test_where_a_file_is_wanted_the_shell_completes_files(ask: Ask) -> None:
    assert ask("replay", "") == ([], ":0")


def test_a_cluster_that_does_not_answer_offers_nothing(ask: Ask) -> None:
    assert ask("why", "--context", "other", "") == ([], ":0")
