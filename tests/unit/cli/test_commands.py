"""Commands that are printed can be copied as they are: they mean the same cluster and namespace."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.cli import objects
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_api import FakeApi

COMMAND = re.compile(r"(?:evenload|kubectl) (?:get|status|why|history|report|approve|deny|pause|resume|undo|patch) .*")


@pytest.mark.parametrize(
    "words",
    [
        ("why", "shop"),
        ("status", "shop"),
        ("approve", "shop-7k2fq"),
        ("deny", "shop-7k2fq"),
        ("approve", "shop-1st"),
        ("why", "nobody"),
        ("pause", "shop"),
    ],
)
@pytest.mark.parametrize("mode", ["Observe", "Approve"])
def test_every_printed_command_names_the_namespace_and_the_cluster_asked_for(
    run: Run, api: FakeApi, kubeconfig: Path, words: tuple[str, ...], mode: str
) -> None:
    api.put_balancer(objects.skewed(mode=mode))
    api.put_remediation(objects.waiting(mode=mode))
    api.put_remediation(objects.closed())
    named = f"--context fake --kubeconfig {kubeconfig}"
    result = run(*words, "-n", "shop", *named.split())
    commands = COMMAND.findall(result.stdout + result.stderr)
    assert commands
    assert [each for each in commands if "-n shop" not in each or named not in each] == []


def test_an_undo_that_has_to_wait_names_the_namespace_of_the_one_under_way(run: Run, api: FakeApi) -> None:
    api.put_balancer(objects.skewed())
    api.put_remediation(objects.closed())
    result = run("undo", "shop-1st", "--context", "fake")
    assert "evenload undo shop-7k2fq -n shop --context fake" in result.stderr


def test_without_flags_of_the_cluster_none_are_printed(run: Run, api: FakeApi) -> None:
    api.put_balancer(objects.skewed())
    api.put_remediation(objects.waiting())
    assert "--context" not in run("why", "shop").stdout


def test_a_decision_that_was_made_says_how_to_stop_it_in_its_namespace(run: Run, api: FakeApi) -> None:
    api.put_balancer(objects.skewed())
    api.put_remediation(objects.waiting())
    run("approve", "shop-7k2fq")
    again = run("approve", "shop-7k2fq")
    assert "evenload pause shop -n shop; to take it back: evenload undo shop-7k2fq -n shop" in again.stderr
