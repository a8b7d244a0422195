from __future__ import annotations

import json
from pathlib import Path

import pytest

from evenload.record.flight import Flight
from tests.unit.cli import objects
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_api import FakeApi
from tests.unit.report import story


@pytest.fixture
def recorded(api: FakeApi) -> FakeApi:
    """The story's Remediation with its flight recording, packed as the operator packs it."""
    flight = Flight()
    for snapshot, _ in story.recording():
        flight.record(snapshot)
    manifest = story.remediation()
    manifest["status"]["recording"] = flight.pack(objects.healthy(), 5.0)
    api.put_remediation(manifest)
    return api


def test_the_default_is_a_markdown_postmortem_on_stdout(run: Run, recorded: FakeApi) -> None:
    result = run("report", "shop-7k2fq")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("# Postmortem: LoadBalancerSkew at shop, 2025-10-10\n")


def test_the_flight_recording_tells_when_the_weights_were_changed(run: Run, recorded: FakeApi) -> None:
    change = json.loads(run("report", "shop-7k2fq", "-o", "json").stdout)["change"]
    assert (change["time"], change["before"]["shop-a"], change["after"]["shop-a"]) == (story.BAD_UPDATE, 250, 970)


def test_the_changelog_of_its_balancer_is_in_it(run: Run, recorded: FakeApi) -> None:
    recorded.put_balancer(story.balancer())
    changes = json.loads(run("report", "shop-7k2fq", "-o", "json").stdout)["changes"]
    assert [each["manager"] for each in changes] == ["deploy-pipeline", "evenload"]


def test_a_balancer_that_cannot_be_read_is_left_out_with_a_warning(run: Run, recorded: FakeApi) -> None:
    broken = story.balancer()
    broken["spec"]["mode"] = "Sometimes"
    recorded.put_balancer(broken)
    result = run("report", "shop-7k2fq")
    assert result.exit_code == 0
    assert "warning: its Balancer is left out: " in result.stderr


def test_a_page_with_plots_goes_into_a_file(run: Run, recorded: FakeApi, tmp_path: Path) -> None:
    file = tmp_path / "incident.html"
    result = run("report", "shop-7k2fq", "-o", "html", "--file", str(file))
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"Wrote {file}" in result.stderr
    assert '<svg class="plot"' in file.read_text()


def test_a_page_is_not_thrown_at_a_terminal(run: Run, recorded: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evenload.cli.incident_report.on_terminal", lambda: True)
    result = run("report", "shop-7k2fq", "-o", "html")
    assert result.exit_code == 2
    assert "--file shop-7k2fq.html" in result.stderr


def test_a_file_that_cannot_be_written_is_named(run: Run, recorded: FakeApi, tmp_path: Path) -> None:
    result = run("report", "shop-7k2fq", "-f", str(tmp_path / "no" / "such" / "folder"))
    assert result.exit_code == 2
    assert "No such file or directory" in result.stderr


@pytest.mark.parametrize("packed", ["not base64!", "aGVsbG8=", "H4sIAAAAAAAA/w=="])
def test_a_broken_recording_is_left_out_with_a_warning(run: Run, api: FakeApi, packed: str) -> None:
    manifest = story.remediation()
    manifest["status"]["recording"] = packed
    api.put_remediation(manifest)
    result = run("report", "shop-7k2fq")
    assert result.exit_code == 0
    assert "warning: the flight recording cannot be read" in result.stderr
    assert "There is no flight recording" in result.stdout


def test_a_missing_remediation_tells_how_to_list(run: Run, api: FakeApi) -> None:
    result = run("report", "shop-x")
    assert result.exit_code == 2
    assert "evenload history -n shop" in result.stderr
