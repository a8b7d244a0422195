"""The loop writes ahead as a cluster would, and its referee sees broken rules: a judge that breaks each proves it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from msgspec.structs import replace

from evenload.model.decision import Decision, EpisodeMove, Verdict
from evenload.model.diagnosis import Diagnosis, Label
from evenload.model.episode import Phase, StepState
from evenload.model.plan import Action, Purpose, RestartPod, SetWeights
from evenload.model.snapshot import Hold, Snapshot
from evenload.model.spec import BalancerSpec, TargetRef
from evenload.simulate.loop import CrashPoint, Operator
from evenload.simulate.trials import healthy
from evenload.simulate.world import START, Trial, World

SPEC = BalancerSpec(target_ref=TargetRef(name="shop"))

Script = Callable[[Snapshot], Decision]


class Puppet:
    """Does as the script says, tick by tick; then nothing."""

    def __init__(self, *script: Script) -> None:
        self.script = list(script)
        self.seen: list[Snapshot] = []

    def step(self, snapshot: Snapshot) -> Decision:
        self.seen.append(snapshot)
        return self.script.pop(0)(snapshot) if self.script else decide(snapshot)


def decide(
    snapshot: Snapshot,
    *actions: Action,
    move: EpisodeMove = EpisodeMove.Open,
    verdicts: tuple[Verdict, ...] = (),
    settled: bool = False,
) -> Decision:
    diagnosis = Diagnosis(label=Label.Failing if actions else Label.Healthy)
    return Decision(
        time=snapshot.time,
        diagnosis=diagnosis,
        actions=actions,
        episode=move,
        verdicts=verdicts,
        settled=settled,
        phase=Phase.Executing,
    )


def weigh(snapshot: Snapshot, step: str | None = None, **changed: int) -> SetWeights:
    before = {name: backend.weight for name, backend in snapshot.backends.items()}
    after = before | {name.replace("_", "-"): weight for name, weight in changed.items()}
    return SetWeights(before=before, after=after, purpose=Purpose.Rebalance, because="told to", step=step)


def restart(snapshot: Snapshot, backend: str, step: str | None = None) -> RestartPod:
    (name, pod), *_ = snapshot.backends[backend].pods.items()
    return RestartPod(backend=backend, pod=name, uid=pod.uid, workload=pod.workload or "", because="told to", step=step)


def again(snapshot: Snapshot) -> RestartPod:
    """The restart of a pod that is gone already: an answer got lost, and nobody looked."""
    return replace(restart(snapshot, "shop-000"), uid="uid-1")


def trial() -> Trial:
    return healthy(World(np.random.default_rng(1), 3))


def operate(puppet: Puppet, ticks: int = 3, prepare: Callable[[Operator], None] = lambda operator: None) -> Operator:
    played = trial()
    operator = Operator(SPEC, played.plant, window_seconds=30, judge=lambda spec: puppet)
    prepare(operator)
    for tick in range(1, ticks + 1):
        played.plant.advance(START + 10.0 * tick)
        operator.tick()
    return operator


def test_a_write_is_stored_planned_then_applied_and_seen_in_the_next_snapshot() -> None:
    puppet = Puppet(lambda s: decide(s, weigh(s, shop_000=500)))
    operator = operate(puppet)
    assert puppet.seen[0].episode is None
    episode = puppet.seen[1].episode
    assert episode is not None
    assert [(step.name, step.state) for step in episode.steps] == [("1-rebalance", StepState.Applied)]
    assert puppet.seen[1].backends["shop-000"].weight == 500
    assert puppet.seen[1].last_write is not None
    assert puppet.seen[1].last_write.manager == "evenload"
    assert operator.run.faults == []


@pytest.mark.parametrize(("point", "weight"), [(CrashPoint.BeforeWrite, 1000), (CrashPoint.AfterWrite, 500)])
def test_a_crash_leaves_the_step_planned_with_or_without_its_write(point: CrashPoint, weight: int) -> None:
    puppet = Puppet(lambda s: decide(s, weigh(s, shop_000=500)))
    operate(puppet, prepare=lambda operator: operator.crashes.update({0: point}))
    episode = puppet.seen[1].episode
    assert episode is not None
    assert [step.state for step in episode.steps] == [StepState.Planned]
    assert puppet.seen[1].backends["shop-000"].weight == weight


def test_verdicts_move_steps_and_closed_episodes_leave_their_restarts_in_the_ledger() -> None:
    done = Verdict(step="1-restart", state=StepState.Verified, because="it is well")
    puppet = Puppet(
        lambda s: decide(s, restart(s, "shop-001")),
        lambda s: decide(s, verdicts=(done,), move=EpisodeMove.Close),
    )
    operator = operate(puppet)
    assert [step.state for step in operator.run.episodes[0].steps] == [StepState.Verified]
    assert [(entry.kind, entry.workload) for entry in puppet.seen[1].ledger] == [("Restart", "Deployment/shop-001")]
    assert puppet.seen[2].ledger == puppet.seen[1].ledger
    assert puppet.seen[2].episode is None
    assert operator.run.faults == []


@pytest.mark.parametrize(("managers", "contests"), [(("helm", "evenload"), 0), (("helm", "argocd"), 1)])
def test_the_ledger_counts_a_contest_as_a_cluster_does(managers: tuple[str, str], contests: int) -> None:
    def taken(at: int) -> tuple[Verdict, ...]:
        because = "other weights stand there"
        return (
            Verdict(step=f"{at}-rebalance", state=StepState.Overwritten, because=because, manager=managers[at - 1]),
        )

    puppet = Puppet(
        lambda s: decide(s, weigh(s, shop_000=500)),
        lambda s: decide(s, weigh(s, shop_000=600), verdicts=taken(1)),
        lambda s: decide(s, verdicts=taken(2)),
    )
    operator = operate(puppet, ticks=5)
    contested = [entry.time for entry in puppet.seen[-1].ledger if entry.kind == "Contested"]
    assert contested == [START + 30.0] * contests  # from when it was seen
    assert operator.run.faults == []


def test_settled_weights_are_remembered() -> None:
    puppet = Puppet(lambda s: decide(s, settled=True, move=EpisodeMove.Stay))
    operate(puppet)
    assert puppet.seen[0].known_good is None
    assert puppet.seen[1].known_good == dict.fromkeys(("shop-000", "shop-001", "shop-002"), 1000)


def test_a_refused_eviction_stays_planned_with_the_time_of_the_first_refusal() -> None:
    puppet = Puppet(
        lambda s: decide(s, restart(s, "shop-001")), lambda s: decide(s, restart(s, "shop-001", "1-restart"))
    )

    def refuse(operator: Operator) -> None:
        operator.plant.cluster.budget_refuses = True

    operator = operate(puppet, prepare=refuse)
    assert operator.episode is not None
    (step,) = operator.episode.steps
    assert (step.state, step.refused_since) == (StepState.Planned, START + 10)
    assert operator.run.restarts() == []
    assert operator.run.faults == []


def _hold(operator: Operator) -> None:
    operator.plant.cluster.holds.append(Hold(reason="Paused"))


def _slow_starts(operator: Operator) -> None:
    operator.plant.cluster.start_seconds = (60.0, 60.0)


def _only_one_ready(operator: Operator) -> None:
    operator.plant.servers["ready_at"][[1, 2]] = float("inf")


def _uncontrolled(operator: Operator) -> None:
    operator.plant.cluster.controlled = False


@pytest.mark.parametrize(
    ("script", "prepare", "fault"),
    [
        ([lambda s: decide(s, weigh(s, shop_000=1), weigh(s, shop_001=1))], None, "2 writes in one decision"),
        ([lambda s: decide(s, weigh(s, shop_000=1), move=EpisodeMove.Stay)], None, "without an episode"),
        ([lambda s: decide(s, weigh(s, shop_000=1, other=2))], None, "do not name every backend"),
        ([lambda s: decide(s, weigh(s, shop_000=0, shop_001=0, shop_002=0))], None, "all zero"),
        ([lambda s: decide(s, weigh(s, shop_000=-1))], None, "negative"),
        ([lambda s: decide(s, weigh(s, shop_000=1))], _hold, "SetWeights during Paused"),
        ([lambda s: decide(s, weigh(s, shop_001=2000))], _only_one_ready, "no ready pod"),
        ([lambda s: decide(s, restart(s, "shop-000"))], _only_one_ready, "the last ready pod"),
        ([lambda s: decide(s, restart(s, "shop-000"))], _uncontrolled, "no controller"),
        (
            [lambda s: decide(s, restart(s, "shop-000")), lambda s: decide(s, again(s))],
            None,
            "evicted twice",
        ),
        (
            [lambda s: decide(s, restart(s, "shop-000")), lambda s: decide(s, restart(s, "shop-001"))],
            _slow_starts,
            "while another pod is being replaced",
        ),
        ([lambda s: decide(s, weigh(s, "9-lost", shop_000=1))], None, "resumes step 9-lost, which is not there"),
        (
            [lambda s: decide(s, weigh(s, shop_000=1)), lambda s: decide(s, weigh(s, "1-rebalance", shop_000=1))],
            None,
            "resumes step 1-rebalance, which is Applied",
        ),
        ([lambda s: decide(s, move=EpisodeMove.Close)], None, "closed an episode that is not open"),
        (
            [
                lambda s: decide(
                    s, verdicts=(Verdict(step="x", state=StepState.Applied, because=""),), move=EpisodeMove.Stay
                )
            ],
            None,
            "a verdict without an episode",
        ),
    ],
)
def test_the_referee_sees_the_broken_rule(
    script: list[Script], prepare: Callable[[Operator], None] | None, fault: str
) -> None:
    operator = operate(Puppet(*script), prepare=prepare or (lambda operator: None))
    assert any(fault in told for told in operator.run.faults), operator.run.faults


def test_writing_on_stale_data_is_seen() -> None:
    def silence(snapshot: Snapshot) -> Decision:
        operators[0].plant.scraper.down = True
        return decide(snapshot, move=EpisodeMove.Stay)

    operators: list[Operator] = []
    puppet = Puppet(decide, silence, *[decide] * 7, lambda s: decide(s, weigh(s, shop_000=1)))
    operator = operate(puppet, ticks=10, prepare=operators.append)
    assert any("on data that is stale" in told for told in operator.run.faults)
