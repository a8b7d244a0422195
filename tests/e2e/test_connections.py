"""The second story on the lab: connections that live long, behind one plain Service, judged by the clients' own record.

Where the postmortem's test leaves seconds to the demo, this one judges one of them: how long the first pod drowns. A
busy machine gets half as much again as the demo allows itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evenload.diagnose.inside import FIXES
from evenload.model.diagnosis import SkewCause
from lab.state import LabState
from tests.e2e.conftest import REPOSITORY

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

LONGEST_SECONDS = 90.0


@pytest.fixture
def played(clean: LabState, tmp_path: Path) -> Path:
    """The arm of the story in which Evenload acts, without what people do afterwards; the folder with what came."""
    story = ["--story", "connections", "--arm", "evenload", "--brief"]
    command = [sys.executable, "-m", "lab.demo", "--inside", *story, "--out", str(tmp_path)]
    subprocess.run(command, cwd=REPOSITORY, timeout=850, check=False)  # pytest shows what it says if the test fails
    return tmp_path


def test_the_pod_that_drowns_in_old_connections_is_restarted_and_they_are_spread_anew(played: Path) -> None:
    summary: dict[str, Any] = json.loads((played / "summary.json").read_text())
    finding = summary["finding"]
    assert finding["cause"] == "LongLivedConnections"
    assert FIXES[SkewCause.LongLivedConnections] in finding["sentence"], "it says what ends this for good"
    assert 1 <= summary["restarts"] <= 2, "what two restarts did not end, a third would not"
    assert finding["mostLeaving"] == 1, "one at a time"
    assert summary["timeToMitigateSeconds"] is not None, "nobody fails at the end"
    assert summary["timeToMitigateSeconds"] <= LONGEST_SECONDS
    assert finding["brokenOff"] == 0, "each request in flight at the restart was answered"
    verdicts(json.loads((played / "remediation.json").read_text()))
    assert all(pod in (played / "postmortem.md").read_text() for pod in finding["restarted"])


def verdicts(remediation: dict[str, Any]) -> None:
    """Restarts alone, each judged by what the traffic then did, and the last one with success."""
    steps = remediation["status"]["steps"]
    assert {step["action"] for step in steps} == {"RestartPod"}
    assert steps[-1]["state"] == "Verified"
