from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from evenload import clock
from evenload.cli.commands import carry
from evenload.cli.main import app
from tests.unit.cli import objects
from tests.unit.cli.fake_api import FakeApi, running, write_kubeconfig

Run = Callable[..., Result]


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with running(FakeApi()) as server:
        yield server


@pytest.fixture(autouse=True)
def _fixed_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ages and local times must not depend on when and where the tests run."""
    monkeypatch.setattr(clock, "now", lambda: objects.NOW)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(autouse=True)
def _no_flags() -> None:
    """A process runs one command: what was given to the last one is not carried into what the next one prints."""
    carry({})


@pytest.fixture
def kubeconfig(api: FakeApi, tmp_path: Path) -> Path:
    return write_kubeconfig(tmp_path / "kubeconfig", api.port)


@pytest.fixture
def run(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line against the fake API server."""
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("EVENLOAD_PROMETHEUS_URL", raising=False)

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments), prog_name="evenload", catch_exceptions=False)

    return call
