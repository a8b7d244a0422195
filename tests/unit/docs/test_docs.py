"""The documentation says what is so: reference pages in step, links that lead somewhere, commands that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import msgspec
import pytest
import typer
import yaml

from docs import generate
from docs.meanings import HELD, PHASES, STEPS
from evenload.api.v1alpha1 import Balancer
from evenload.cli.main import app
from evenload.model.decision import HeldReason
from evenload.model.diagnosis import Label
from evenload.model.episode import Phase, StepState
from evenload.model.labels import LABELS
from tests.support.chart import REPOSITORY

PAGES = sorted(
    [
        *REPOSITORY.glob("docs/**/*.md"),
        *(REPOSITORY / name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    ]
)
COMMANDS = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}


def fences(text: str, language: str) -> Iterator[str]:
    yield from re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_reference_is_what_the_code_says() -> None:
    assert generate.stale() == [], "run `python -m docs.generate`"


def test_the_check_tells_of_a_page_out_of_step(tmp_path: Path) -> None:
    for name, text in generate.pages().items():
        (tmp_path / name).write_text(text)
    assert generate.stale(tmp_path) == []
    (tmp_path / "metrics.md").write_text("")
    (tmp_path / "api.md").unlink()
    assert generate.stale(tmp_path) == ["api.md", "metrics.md"]


@pytest.mark.parametrize(
    ("words", "told"),
    [(Label, LABELS), (HeldReason, HELD), (Phase, PHASES), (StepState, STEPS)],
    ids=["labels", "held", "phases", "steps"],
)
def test_every_word_of_the_api_has_its_meaning_told(words: type[StrEnum], told: dict[StrEnum, object]) -> None:
    assert list(told) == list(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_every_command_that_is_told_of_exists(page: Path) -> None:
    used = re.findall(r"(?:kubectl |^|`)evenload ([a-z]+)", page.read_text(), re.MULTILINE)
    assert [name for name in used if name not in COMMANDS] == []


def test_the_options_that_are_told_of_exist() -> None:
    group = typer.main.get_command(app)
    odd = []
    for page in PAGES:
        for line in re.findall(r"kubectl evenload ([a-z]+[^\n`|#]*)", page.read_text()):
            name, *rest = line.split()
            known = {option for each in group.commands[name].params for option in each.opts}  # type: ignore[attr-defined]
            odd += [(page.name, line) for word in rest if re.match(r"--?[a-zA-Z]", word) and word not in known]
    assert odd == []


def test_the_tutorial_takes_eight_commands_at_most() -> None:
    commands = list(fences((REPOSITORY / "docs/tutorial.md").read_text(), "sh"))
    assert 5 < len(commands) <= 8
    assert [text for text in commands if len(text.strip().splitlines()) > 1] == []


def test_every_balancer_in_the_documentation_is_one_that_can_be_read() -> None:
    found = 0
    for page in PAGES:
        for text in fences(page.read_text(), "yaml"):
            for manifest in yaml.safe_load_all(text):
                if manifest.get("kind") == "Balancer":
                    msgspec.convert(manifest, Balancer)
                    found += 1
    for path in (REPOSITORY / "manifests/examples").glob("*.yaml"):
        msgspec.convert(yaml.safe_load(path.read_text()), Balancer)
        found += 1
    assert found >= 4


def test_the_index_names_every_page() -> None:
    index = (REPOSITORY / "docs/README.md").read_text()
    pages = [page.relative_to(REPOSITORY / "docs").as_posix() for page in REPOSITORY.glob("docs/**/*.md")]
    linked = [page for page in pages if not page.startswith("runbooks/Evenload") and page != "README.md"]
    assert [page for page in linked if f"({page})" not in index] == []
