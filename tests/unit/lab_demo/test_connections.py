"""The second story: what is judged, and what it asks the cluster for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest

from evenload.api.v1alpha1 import Balancer, Remediation
from evenload.model.diagnosis import SkewCause
from evenload.model.episode import Phase, StepState
from lab.demo import connections
from lab.demo.connections import CONNECTIONS, Connections
from lab.demo.incident import ALONE, EVENLOAD, Arm
from lab.demo.stories import STORIES
from lab.demo.summary import Restart, Results, Run, figures, passed
from lab.demo.watch import Pod, Watch
from lab.load.record import Record

ONSET = 1_000.0
DROWNS = "web-754dfc4664-57n4f"


def records(seconds: float, *, error: str | None = None) -> list[Record]:
    """Ten a second; a third of them fails for so many seconds; with `error`, one gets no answer after that."""
    made = [
        Record(number=n, scheduled=ONSET + n / 10, latency_seconds=0.1, server=DROWNS, status=_status(n, seconds))
        for n in range(900)
    ]
    lost = Record(number=900, scheduled=ONSET + 41, latency_seconds=0.1, error=error) if error else None
    return [*made, *([lost] if lost else [])]


def _status(number: int, seconds: float) -> int:
    return 503 if number / 10 < seconds and number % 3 == 0 else 200


def run(seconds: float = 35.0, error: str | None = None) -> Run:
    return Run(
        records=records(seconds, error=error),
        onset=ONSET,
        detected=ONSET - 5.0,
        restarted=(Restart(time=ONSET + 30, server=DROWNS),),
        most_leaving=1,
        cause=SkewCause.LongLivedConnections,
        sentence="47% go to one pod",
    )


def missed(played: Run) -> list[str]:
    results = Results(evenload=played)
    judged = CONNECTIONS.targets(results, figures(played, CONNECTIONS.period_seconds), None)
    assert passed(judged) is not any(target.met is False for target in judged)
    return [target.name for target in judged if target.met is False]


def test_a_good_run_misses_nothing() -> None:
    assert missed(run()) == []


def restarts(*seconds: float) -> Sequence[Restart]:
    return tuple(Restart(time=ONSET + at, server=DROWNS) for at in seconds)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"cause": SkewCause.InsideService}, "long-lived connections named"),
        ({"cause": None}, "long-lived connections named"),
        ({"records": records(60.5)}, "failures end after"),
        ({"restarted": ()}, "restarts"),
        ({"restarted": restarts(30, 50, 70)}, "restarts"),
        ({"most_leaving": 2}, "pods that left at a time"),
        ({"records": records(35.0, error="disconnected")}, "requests without an answer since"),
    ],
)
def test_a_target_that_was_missed_is_named(change: dict[str, Any], name: str) -> None:
    assert name in missed(replace(run(), **change))


def test_a_second_restart_is_no_miss_and_a_third_is() -> None:
    assert missed(replace(run(), restarted=restarts(30, 60))) == []


class Seen:
    """As much of a watch as is asked here."""

    def __init__(self, pods: Sequence[Pod] = (), steps: Sequence[StepState] = (), phase: Phase | None = None) -> None:
        self.pods = list(pods)
        self._phase = phase
        self._steps = [
            {"name": str(n), "action": "RestartPod", "state": state, "plannedAt": "2026-01-01T00:00:00Z"}
            for n, state in enumerate(steps)
        ]

    def remediation_since(self, since: float) -> Remediation | None:
        if self._phase is None:
            return None
        diagnosis = {"label": "LoadBalancerSkew", "sentence": "", "since": "2026-01-01T00:00:00Z"}
        spec = {"balancerRef": {"name": "web", "uid": "1", "generation": 1}, "diagnosis": diagnosis}
        made = {"metadata": {"name": "web-1"}, "spec": spec, "status": {"phase": self._phase, "steps": self._steps}}
        return msgspec.convert(made, Remediation, strict=False)


def watch(**given: Any) -> Watch:
    return cast(Watch, Seen(**given))


def pod(name: str, *, created: str = "2026-01-01T00:00:00Z", ready: bool = True, leaving: bool = False) -> Pod:
    metadata = {"name": name, "creationTimestamp": created, "deletionTimestamp": created if leaving else None}
    conditions = [{"type": "Ready", "status": str(ready)}]
    return msgspec.convert({"metadata": metadata, "status": {"conditions": conditions}}, Pod)


@pytest.mark.parametrize(
    ("phase", "steps", "over"),
    [
        (None, (), False),
        (Phase.Executing, (), False),
        (Phase.Verifying, (StepState.Applied,), False),
        (Phase.Verifying, (StepState.Verified,), True),
        (Phase.Verifying, (StepState.Ineffective, StepState.Applied), False),
        (Phase.Verifying, (StepState.Ineffective, StepState.Ineffective), True),
        (Phase.Expired, (), True),
    ],
)
def test_it_is_over_once_every_restart_was_judged_or_the_incident_is_closed(
    phase: Phase | None, steps: Sequence[StepState], over: bool
) -> None:
    assert CONNECTIONS.is_over(watch(phase=phase, steps=steps), ONSET) is over


def test_servers_are_its_pods_the_oldest_first() -> None:
    young, old = pod("web-a", created="2026-01-01T00:02:00Z"), pod("web-b")
    assert CONNECTIONS.servers(watch(pods=[young, old])) == ["web-b", "web-a"]
    assert CONNECTIONS.server_of(old) == "web-b"


@pytest.mark.parametrize(
    ("pods", "staffed"),
    [
        ([pod("web-a")], True),
        ([], False),
        ([pod("web-a", ready=False)], False),
        ([pod("web-a", leaving=True)], False),
        ([pod("web-a"), pod("web-b")], False),
    ],
)
def test_it_is_staffed_with_as_many_ready_pods_as_there_should_be(pods: list[Pod], staffed: bool) -> None:
    assert Connections().staffed(watch(pods=pods)) is staffed, "a new one begins with one pod"


def test_the_summary_says_what_was_found_and_which_pods_were_restarted() -> None:
    said = CONNECTIONS.about(7, Results(evenload=run()))
    assert said["finding"]["cause"] == "LongLivedConnections"
    assert said["finding"]["restarted"] == [DROWNS]
    assert said["finding"]["sentence"] == "47% go to one pod"
    assert CONNECTIONS.about(7, Results())["finding"] is None


@pytest.mark.parametrize("arm", [ALONE, EVENLOAD])
def test_the_balancer_is_one_the_operator_can_read_and_names_the_service(arm: Arm) -> None:
    balancer = msgspec.convert(connections.balancer(arm.mode), Balancer)
    assert balancer.spec.mode == arm.mode
    assert (balancer.spec.target_ref.kind, balancer.spec.target_ref.name) == ("Service", "web")
    assert balancer.metadata.name == CONNECTIONS.balancer


def test_the_load_fills_the_first_pod_and_no_other() -> None:
    bears, usual = 18.0, connections.WEB.rate / connections.USUAL
    assert usual + connections.JOB.rate < 0.6 * bears, "nobody is busy before the job"
    assert usual + connections.BUSY_JOB_RATE > 1.2 * bears, "the first pod cannot bear it"
    whole = connections.WEB.rate + connections.BUSY_JOB_RATE
    assert usual + usual / connections.SCALED + connections.BUSY_JOB_RATE / connections.SCALED < 0.7 * bears
    assert whole < 0.4 * bears * connections.SCALED, "all together bear it easily"


def test_a_pod_is_shown_by_its_own_part_of_the_name() -> None:
    assert CONNECTIONS.short(DROWNS) == "…57n4f"


def test_each_story_has_a_folder_and_a_command_of_its_own() -> None:
    assert {name: script.name for name, script in STORIES.items()} == {name: name for name in STORIES}
    assert len({script.folder for script in STORIES.values()}) == len(STORIES)
    assert len({script.command for script in STORIES.values()}) == len(STORIES)
