"""Times say in which zone they are, and on which day if that is not today."""

from __future__ import annotations

import time

import pytest

from evenload.api.values import moment
from evenload.cli.text import local_time
from tests.unit.cli import objects
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_api import FakeApi


@pytest.fixture
def in_india(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()


def test_a_local_time_carries_its_zone(in_india: None) -> None:
    assert local_time(moment(objects.NOW)) == "15:16:40 IST"


def test_a_time_of_another_local_day_carries_its_date(in_india: None) -> None:
    assert local_time(moment(objects.NOW - 16 * 3600)) == "2025-10-09 23:16:40 IST"
    assert local_time(moment(objects.NOW - 15 * 3600)) == "00:16:40 IST"


def test_no_time_is_unknown() -> None:
    assert local_time(None) == "unknown"


@pytest.mark.parametrize("command", ["why", "status"])
def test_two_clocks_on_one_screen_are_told_apart(run: Run, api: FakeApi, in_india: None, command: str) -> None:
    api.put_balancer(objects.skewed())
    api.put_remediation(objects.waiting())
    told = run(command, "shop").stdout
    assert "Worked out at 15:15:50 IST" in told
    assert "deploy-pipeline at 09:45:40" in told
    assert "Times without a zone are in UTC." in told
