"""A pod that drowns in long-lived connections is restarted, within limits; one that only has many is not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from evenload.engine import Engine
from evenload.model.decision import Decision
from evenload.model.diagnosis import Label, SkewCause
from evenload.model.episode import Disruption, Episode, Phase, Step, StepState
from evenload.model.plan import Advise, RestartPod
from evenload.model.snapshot import Backend, Pod, Snapshot, Steering, Steers
from evenload.model.spec import Restart, RestartWhen
from tests.unit.engine.build import HALF_WINDOW, NOW, later, pod, snapshot, steps, write_of
from tests.unit.engine.plant import spec

CALM, FAULTY = 20, 30
LAST = NOW + HALF_WINDOW * (CALM + FAULTY - 1)
AFFINITY = Steering(by=Steers.Client, setting="spec.sessionAffinity: ClientIP")


def decide(
    *, drowning: bool = True, steering: tuple[Steering, ...] = (), restart: Restart | None = None, **changes: Any
) -> Decision:
    """Eight pods that were well; then the oldest has seven times what each of the others has."""
    calm = {f"web-{at}": _pod(at) for at in range(8)}
    faulty = {f"web-{at}": msgspec.structs.replace(_pod(at), requests=100.0 + 5 * at) for at in range(8)}
    sick = {"errors": 250.0, "cpu": 0.25} if drowning else {}
    faulty["web-7"] = msgspec.structs.replace(_pod(7), requests=840.0, **sick)
    engine = Engine(spec(restart=restart or Restart()))
    steps(engine, _sight(calm, steering), CALM)
    return steps(engine, later(_sight(faulty, steering), HALF_WINDOW * CALM, **changes), FAULTY)


def _pod(at: int) -> Pod:
    return pod(f"web-{at}", age=600.0 * 2**at, workload="Deployment/web")


def _sight(pods: dict[str, Pod], steering: tuple[Steering, ...]) -> Snapshot:
    backend = Backend(weight=1, pods=pods, steering=steering)
    return msgspec.structs.replace(snapshot(), backends={"web": backend})


def topics(decision: Decision) -> list[str]:
    return [action.topic for action in decision.actions if isinstance(action, Advise)]


def restarts(count: int, ago: float) -> tuple[Disruption, ...]:
    entry = Disruption(time=LAST - ago, kind="Restart", pod="web-x", workload="Deployment/web", label=Label.Slow)
    return (entry,) * count


def test_the_pod_that_drowns_is_restarted() -> None:
    decision = decide()
    assert decision.diagnosis.cause is SkewCause.LongLivedConnections
    write = write_of(decision)
    assert isinstance(write, RestartPod)
    assert (write.pod, write.workload) == ("web-7", "Deployment/web")
    assert "its restart spreads its connections" in write.because


@pytest.mark.parametrize(
    "case",
    [
        {"drowning": False},
        {"steering": (AFFINITY,)},
        {"restart": Restart(when=RestartWhen.Never)},
        {"restart": Restart(when=RestartWhen.OnlyAfterOverload)},
    ],
    ids=["it bears what it gets", "another cause", "never", "only after an overload"],
)
def test_else_it_is_advice_alone(case: dict[str, Any]) -> None:
    decision = decide(**case)
    assert write_of(decision) is None
    assert topics(decision) == ["UnevenService"]


def test_after_two_restarts_without_effect_there_is_only_advice() -> None:
    assert topics(decide(ledger=restarts(2, ago=1800))) == ["RestartDidNotHelp"]
    assert isinstance(write_of(decide(ledger=restarts(1, ago=1800))), RestartPod)
    assert isinstance(write_of(decide(ledger=restarts(2, ago=4000))), RestartPod)


@pytest.mark.parametrize(
    ("drowning", "state", "says"),
    [(True, StepState.Ineffective, "web-7 drowns though"), (False, StepState.Verified, "no pod drowns")],
    ids=["still", "no more"],
)
def test_a_restart_is_judged_by_whether_anybody_drowns_after_it(drowning: bool, state: StepState, says: str) -> None:
    step = Step(
        name="1-restart",
        action="RestartPod",
        state=StepState.Applied,
        planned_at=NOW - 500,
        applied_at=NOW - 500,
        backend="web",
        pod="web-old",
        uid="uid-old",
        workload="Deployment/web",
    )
    episode = Episode(
        name="rem", opened_at=NOW - 600, label=Label.LoadBalancerSkew, phase=Phase.Executing, steps=(step,)
    )
    decision = decide(drowning=drowning, episode=episode)
    assert [(verdict.step, verdict.state) for verdict in decision.verdicts] == [("1-restart", state)]
    assert says in decision.verdicts[0].because
