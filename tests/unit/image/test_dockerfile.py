"""What goes into the image is named by digest or hash: nobody's tag, index or build tool decides it later on."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[3]
REQUIREMENTS = ("requirements.txt", "requirements-build.txt")


def instructions() -> list[tuple[str, str]]:
    """(word, rest) of each, continued lines joined, comments left out."""
    text = re.sub(r"(?m)^#.*\n", "", (ROOT / "Dockerfile").read_text()).replace("\\\n", " ")
    return [(line.split()[0].upper(), line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def commands() -> list[list[str]]:
    """Every command of every RUN."""
    return [each.split() for word, rest in instructions() if word == "RUN" for each in rest.split("&&")]


def pinned(name: str) -> dict[str, tuple[Version, int]]:
    """By distribution: its version and how many hashes it has."""
    found = {}
    for entry in re.sub(r"(?m)^ *#.*\n", "", (ROOT / name).read_text()).replace("\\\n", " ").splitlines():
        requirement = Requirement(entry.split(" --hash")[0])
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", entry
        found[requirement.name] = (Version(specifier.version), len(re.findall(r"--hash=sha256:[0-9a-f]{64}", entry)))
    return found


def test_every_base_is_named_by_digest() -> None:
    arguments = dict(rest.split("=", 1) for word, rest in instructions() if word == "ARG")
    bases = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    assert bases
    for base in bases:
        name = re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], base)
        assert re.fullmatch(r"\S+@sha256:[0-9a-f]{64}", name), name


def test_whatever_comes_from_an_index_has_its_hash_and_is_not_built() -> None:
    pip = [command for command in commands() if command[0].endswith("/pip")]
    assert {command[1] for command in pip} == {"install", "wheel"}
    for command in pip:
        offline = {"--no-index", "--no-deps", "--no-build-isolation"} <= set(command)
        hashed = {"--require-hashes", "--only-binary", ":all:", "-r"} <= set(command)
        assert offline or (hashed and set(command) & set(REQUIREMENTS)), " ".join(command)


def test_nothing_else_is_run_that_could_fetch_something() -> None:
    for command in commands():
        assert command[0].endswith("/pip") or command[:3] == ["python3", "-m", "venv"], " ".join(command)
    assert not [rest for word, rest in instructions() if word == "ADD"]


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_every_requirement_has_one_version_and_a_hash(name: str) -> None:
    for distribution, (_, hashes) in pinned(name).items():
        assert hashes, distribution


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_the_image_has_the_versions_that_the_tests_ran_with(name: str) -> None:
    tested = pinned("constraints.txt")
    for distribution, (version, _) in pinned(name).items():
        if distribution in tested:
            assert version == tested[distribution][0], distribution


@pytest.mark.parametrize(
    ("name", "table"), [("requirements.txt", "project"), ("requirements-build.txt", "build-system")]
)
def test_what_pyproject_asks_for_is_pinned(name: str, table: str) -> None:
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())[table]
    known = pinned(name)
    for each in asked.get("dependencies", asked.get("requires")):
        requirement = Requirement(each)
        assert requirement.specifier.contains(known[requirement.name][0]), each


def test_the_files_that_are_copied_are_in_the_build_context() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for word, rest in instructions():
        if word == "COPY" and not rest.startswith("--from"):
            assert set(rest.split()[:-1]) <= let_in
