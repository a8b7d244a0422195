"""The engine: verify what is in flight, diagnose, plan, govern. Pure and deterministic; time is in the Snapshot.

It learns what became of its last command only from the next Snapshot, so a write that failed or was made twice cannot
mislead it. What must survive a crash is in the Snapshot's episode and ledger; what is here is filters, a few minutes
deep. The same engine serves the live operator, warm start, replay, backtest and simulation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from evenload import verify as verification
from evenload.diagnose.diagnosis import diagnose
from evenload.diagnose.facts import Facts, slowness
from evenload.diagnose.memory import Memory
from evenload.govern.case import Case
from evenload.govern.ruling import Ruling, episode_move, phase, rule
from evenload.model.decision import Decision, EpisodeMove, HeldReason
from evenload.model.diagnosis import Diagnosis, Label, SkewCause
from evenload.model.episode import FIELD_MANAGER
from evenload.model.fleet import Fleet, Floats
from evenload.model.plan import Advise
from evenload.model.policy import Policy
from evenload.model.snapshot import Snapshot
from evenload.model.spec import BalancerSpec
from evenload.plan.headroom import Cost
from evenload.plan.law import Law
from evenload.plan.moves import Plan
from evenload.plan.strategy import Scene, plan
from evenload.plan.targets import desired_shares, shares_of
from evenload.plan.work import Work, under_way
from evenload.verify import Verification, verify

SETTLED_TICKS = 3  # calm ticks in a row until the weights are worth remembering


class Engine:
    """One Balancer's judgement. Raises InputError (at construction only) naming the spec's field that is wrong."""

    def __init__(self, spec: BalancerSpec) -> None:
        self._policy = Policy.of(spec)
        self._memory = Memory()
        self._judging = verification.Memory()
        self._cost = Cost()
        self._law = Law()

    def step(self, snapshot: Snapshot) -> Decision:
        """What this Snapshot shows, what may be done now, what is held back and why."""
        fleet = Fleet(snapshot)
        before = self._memory.time
        work = under_way(snapshot.episode)
        facts = self._facts(snapshot, fleet, work)
        verified = verify(snapshot, fleet, self._policy, self._judging, readable=facts.problem is None)
        work = under_way(verified.episode)
        diagnosis = diagnose(facts, self._memory)
        overloaded = _overloaded(facts, diagnosis)
        if diagnosis.label is not Label.NoData:
            self._follow(facts, diagnosis)
        predict = partial(self._predicted, fleet, snapshot)
        scene = Scene(
            snapshot=snapshot,
            fleet=fleet,
            policy=self._policy,
            diagnosis=diagnosis,
            episode=verified.episode,
            work=work,
            resume=verified.resume,
            harmful=verified.harmful,
            predict=predict,
            calm_ticks=self._memory.calm_ticks,
            clean=diagnosis.label is not Label.NoData and facts.clean,
            law=self._law,
            tick_seconds=_tick_seconds(snapshot, before),
            overloaded=overloaded,
        )
        planned = plan(scene)
        case = Case(
            snapshot=snapshot,
            fleet=fleet,
            policy=self._policy,
            diagnosis=diagnosis,
            episode=verified.episode,
            predict=predict,
            bad_ratio=0.0 if facts.problem else facts.bad_ratio,
            contested_by=verified.contested_by,
            waiting=verified.waiting and not planned.verdicts,
        )
        self._learn(facts, diagnosis, work)
        return self._decision(facts, verified, diagnosis, scene, planned, case)

    def _decision(
        self,
        facts: Facts,
        verified: Verification,
        diagnosis: Diagnosis,
        scene: Scene,
        planned: Plan,
        case: Case,
    ) -> Decision:
        ruling = rule(case, () if planned.close else planned.writes)
        tell = (*planned.tell, *_advice(ruling))
        told = bool(planned.writes or tell)
        move = episode_move(case, ruling, wanted=told, close=planned.close)
        ongoing = case.episode is not None or move is EpisodeMove.Open
        known = facts.problem is None
        return Decision(
            time=facts.time,
            diagnosis=diagnosis,
            actions=(*((ruling.write,) if ruling.write is not None else ()), *tell),
            held=ruling.held,
            verdicts=(*verified.verdicts, *planned.verdicts),
            episode=move,
            phase=planned.close or (phase(case, ruling, idle=scene.work.idle) if ongoing else None),
            overloaded_pods=scene.overloaded if ongoing else {},
            error_ratio=facts.error_ratio if known else None,
            requests_per_second=facts.rps if known else None,
            balanced=_balanced(diagnosis),
            settled=_settled(scene),
            worst_ratio=_worst_ratio(facts) if known else None,
            shares=_by_backend(facts.fleet, facts.fleet.shares) if known else {},
            targets=_by_backend(facts.fleet, facts.targets_by_backend),
            sentence=_sentence(diagnosis, planned, ruling),
        )

    def _facts(self, snapshot: Snapshot, fleet: Fleet, work: Work) -> Facts:
        """What the weights should ask for now: what is desired, or less where we hold a backend back ourselves."""
        ours = _ours(snapshot, work)
        targets = (
            fleet.commanded
            if work.held_back and ours
            else self._law.leaning(fleet, desired_shares(fleet, self._policy))
        )
        episode = snapshot.episode
        return Facts(
            snapshot=snapshot,
            fleet=fleet,
            policy=self._policy,
            targets_by_backend=targets,
            told=_told_change(snapshot, work),
            ours=ours and not work.held_back,
            compensating=work.compensating,
            overloaded=episode.overloaded_pods if episode is not None else {},
            held_back=work.held_back,
            memory=self._memory,
        )

    def _follow(self, facts: Facts, diagnosis: Diagnosis) -> None:
        """Let the law see this tick: what traffic does with the weights, and who is slow without being to blame."""
        self._law.observe(facts.fleet, facts.time, facts.snapshot.window, self._policy.actuator_lag_seconds)
        if facts.clean and (diagnosis.label is Label.Slow or self._law.leans):
            self._law.penalise(facts.time, slowness(facts, diagnosis))

    def _predicted(self, fleet: Fleet, snapshot: Snapshot, weights: Mapping[str, int]) -> Floats:
        return self._cost.predicted(fleet, snapshot.window, shares_of(fleet, weights))

    def _learn(self, facts: Facts, diagnosis: Diagnosis, work: Work) -> None:
        if diagnosis.label is Label.Healthy and facts.clean and work.idle:
            self._cost.learn(facts.fleet, facts.snapshot.window)


def _ours(snapshot: Snapshot, work: Work) -> bool:
    """Whether the weights commanded now are the ones we wrote last."""
    if work.last is not None:
        return work.last.after == {name: backend.weight for name, backend in snapshot.backends.items()}
    return snapshot.last_write is not None and snapshot.last_write.manager == FIELD_MANAGER


def _told_change(snapshot: Snapshot, work: Work) -> float | None:
    """When the cluster says that the weights changed: whoever wrote them, or our own last step."""
    times = [snapshot.last_write.time] if snapshot.last_write is not None else []
    if work.last is not None and work.last.applied_at is not None:
        times.append(work.last.applied_at)
    return max((time for time in times if time <= snapshot.time), default=None)


def _tick_seconds(snapshot: Snapshot, before: float | None) -> float:
    """Between the last tick and this one; for the first, a third of the window, as windows are three scrapes."""
    usual = snapshot.window / 3
    return usual if before is None or snapshot.time <= before else min(snapshot.time - before, snapshot.window)


def _overloaded(facts: Facts, diagnosis: Diagnosis) -> dict[str, str]:
    """Pods this skew overloads, beside those already known: if they stay sick, they may be restarted."""
    lingering = not facts.weights_wrong and diagnosis.cause is SkewCause.WeightsWrong
    if diagnosis.label is not Label.LoadBalancerSkew or not diagnosis.pods or lingering:
        return facts.overloaded
    hot = np.flatnonzero(facts.skew.hot & (facts.busy | np.isnan(facts.fleet.utilization))).tolist()
    return {
        **facts.overloaded,
        **{facts.fleet.names[i]: facts.fleet.pods[i].uid for i in hot if facts.fleet.pods[i].uid},
    }


def _advice(ruling: Ruling) -> Iterator[Advise]:
    """Where only capacity is missing, only people can help."""
    for held in ruling.held:
        if held.reason is HeldReason.Headroom and ruling.write is None:
            yield Advise(topic="ScaleUp", because=f"{held.detail}: add capacity first")


def _balanced(diagnosis: Diagnosis) -> bool | None:
    if diagnosis.label in (Label.NoData, Label.RolloutInProgress):
        return None
    return diagnosis.label in (Label.Healthy, Label.WarmUp)


def _settled(scene: Scene) -> bool:
    """Weights learnt while a backend is empty would be remembered as good without it."""
    if not bool((scene.fleet.ready_by_backend > 0).all()):
        return False
    return scene.calm_ticks >= SETTLED_TICKS and scene.clean and scene.work.idle


def _worst_ratio(facts: Facts) -> float | None:
    known = facts.skew.ratio[~np.isnan(facts.skew.ratio)]
    return float(known.max()) if known.size else None


def _by_backend(fleet: Fleet, values: Floats) -> dict[str, float]:
    return {name: value for name, value in zip(fleet.backends, values.tolist(), strict=True) if value == value}


def _sentence(diagnosis: Diagnosis, planned: Plan, ruling: Ruling) -> str:
    """One line for a tired person: what is wrong, and what is done about it or why nothing is."""
    if ruling.write is not None:
        return ruling.write.because
    if ruling.held:
        first = ruling.held[0]
        return f"{first.action.because}: held back ({first.reason}), {first.detail}".rstrip(", ")
    return f"{planned.busy}; {diagnosis.sentence}" if planned.busy else diagnosis.sentence
