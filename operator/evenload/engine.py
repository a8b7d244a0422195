"""The engine: verify what is in flight, diagnose, plan, govern. Pure and deterministic; time is in the Snapshot.

It learns what became of its last command only from the next Snapshot, so a write that failed or was made twice cannot
mislead it. What must survive a crash is in the Snapshot's episode and ledger; what is here is filters, a few minutes
deep. The same engine serves the live operator, warm start, replay, backtest and simulation.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
from msgspec.structs import replace

from evenload import verify as verification
from evenload.diagnose.diagnosis import diagnose
from evenload.diagnose.facts import Facts, overloaded_pods, slowness
from evenload.diagnose.memory import Memory
from evenload.episode.under_way import Work, is_ours, told_change, under_way
from evenload.govern.case import Case
from evenload.govern.ruling import Ruling, advice, episode_move, phase, rule
from evenload.model.decision import Decision, EpisodeMove
from evenload.model.diagnosis import Diagnosis, Label, SkewCause
from evenload.model.episode import Episode
from evenload.model.fleet import Fleet, Floats, some
from evenload.model.forecast import Forecast
from evenload.model.labels import LABELS
from evenload.model.policy import Policy
from evenload.model.snapshot import Snapshot
from evenload.model.spec import BalancerSpec, DesiredType
from evenload.plan.capacity import Capacity
from evenload.plan.headroom import Cost
from evenload.plan.law import Law
from evenload.plan.moves import Plan
from evenload.plan.scene import Scene
from evenload.plan.sick import quiet_time
from evenload.plan.strategy import plan
from evenload.plan.targets import annotated, desired_shares, shares_of
from evenload.verify import Verification, verify


class Engine:
    """One Balancer's judgement. Raises InputError (at construction only) naming the spec's field that is wrong."""

    def __init__(self, spec: BalancerSpec, before: Engine | None = None) -> None:
        """`before`: judged the same Balancer until its spec changed. What it has learnt goes on to be used, unless it
        learnt it of other pods, by other numbers or for other shares."""
        self._spec = spec
        self._policy = Policy.of(spec)
        if before is not None and _looks_alike(before._spec, spec):
            self._go_on(before)
            return
        self._memory = Memory()
        self._judging = verification.Memory()
        self._cost = Cost()
        self._capacity = Capacity()
        self._law = Law()

    def _go_on(self, before: Engine) -> None:
        """Else a bad update just after, say, the guard was turned on would have nothing to be measured against."""
        self._memory, self._judging = before._memory, before._judging
        self._cost, self._capacity, self._law = before._cost, before._capacity, before._law

    def step(self, snapshot: Snapshot) -> Decision:
        """What this Snapshot shows, what may be done now, what is held back and why."""
        fleet = self._fleet(snapshot)
        facts = self._facts(snapshot, fleet, under_way(snapshot.episode))
        verified = verify(snapshot, fleet, self._policy, self._judging, readable=facts.problem is None)
        diagnosis = self._diagnosis(facts)
        scene = self._scene(facts, verified, diagnosis)
        planned = plan(scene)
        case = self._case(facts, verified, scene, planned)
        ruling = rule(case, () if planned.close else planned.writes)
        self._learn(facts, diagnosis, scene.work)
        return _decision(facts, verified, scene, planned, case, ruling)

    def _fleet(self, snapshot: Snapshot) -> Fleet:
        """Where capacity decides and nobody declares it, with what was learnt of it."""
        fleet = Fleet(snapshot)
        if self._by_use(fleet):
            ours = is_ours(snapshot, under_way(snapshot.episode))
            if self._capacity.unknown and ours and snapshot.known_good is not None:
                self._capacity.adopt(fleet, snapshot.known_good)
            fleet.learnt_by_backend = self._capacity.factors(fleet)
        return fleet

    def _by_use(self, fleet: Fleet) -> bool:
        """Whether capacity decides, and is learnt from use because nobody declares it."""
        return self._policy.desired is DesiredType.ByCapacity and not annotated(fleet)

    def _shares_known(self, fleet: Fleet) -> bool:
        """Else nobody can say that a pod stays sick at its fair share: it may just be a weak one."""
        return not self._by_use(fleet) or self._capacity.known

    def _diagnosis(self, facts: Facts) -> Diagnosis:
        diagnosis = diagnose(facts, self._memory)
        if diagnosis.label is not Label.NoData or diagnosis.early:
            self._follow(facts, diagnosis)
        return diagnosis

    def _scene(self, facts: Facts, verified: Verification, diagnosis: Diagnosis) -> Scene:
        snapshot, readable = facts.snapshot, facts.problem is None
        return Scene(
            snapshot=snapshot,
            fleet=facts.fleet,
            policy=self._policy,
            diagnosis=diagnosis,
            episode=verified.episode,
            work=under_way(verified.episode),
            resume=verified.resume,
            harmful=verified.harmful,
            predict=partial(self._predicted, facts),
            calm_ticks=self._memory.calm_ticks,
            clean=diagnosis.label is not Label.NoData and facts.clean,
            law=self._law,
            tick_seconds=self._memory.tick_seconds(snapshot.window),
            overloaded=overloaded_pods(facts, diagnosis) if self._shares_known(facts.fleet) else {},
            blind=frozenset(facts.backends(facts.blind_by_backend)) if readable else _by_service(facts.fleet),
            saturation=self._memory.outlook.saturation(facts.time, facts.fleet) if readable else None,
            out_of_memory=self._memory.outlook.out_of_memory(facts.time, facts.fleet) if readable else None,
            usual=self._memory.outlook.day.usual,
        )

    def _case(self, facts: Facts, verified: Verification, scene: Scene, planned: Plan) -> Case:
        return Case(
            snapshot=facts.snapshot,
            fleet=facts.fleet,
            policy=self._policy,
            diagnosis=scene.diagnosis,
            episode=verified.episode,
            predict=scene.predict,
            bad_ratio=0.0 if facts.problem else facts.bad_ratio,
            contested_by=verified.contested_by,
            waiting=verified.waiting and not planned.verdicts,
            targets=_by_backend(facts.fleet, facts.targets_by_backend),
        )

    def _facts(self, snapshot: Snapshot, fleet: Fleet, work: Work) -> Facts:
        """What the weights should ask for now: what is desired, or less where we hold a backend back ourselves."""
        ours, episode = is_ours(snapshot, work), snapshot.episode
        targets = fleet.commanded if work.held_back and ours else self._leaning(fleet, work, episode)
        return Facts(
            snapshot=snapshot,
            fleet=fleet,
            policy=self._policy,
            targets_by_backend=targets,
            told=told_change(snapshot, work),
            ours=ours and not work.held_back,
            compensating=work.compensating and not work.held_back,
            overloaded=episode.overloaded_pods if episode is not None else {},
            held_back=work.held_back,
            gains_by_backend=self._law.known_gains(fleet),
            memory=self._memory,
        )

    def _leaning(self, fleet: Fleet, work: Work, episode: Episode | None) -> Floats:
        """Desired shares, less for backends that get less because they are slow."""
        desired = desired_shares(fleet, self._policy)
        if not work.compensating:
            self._law.forgive()
        elif episode is not None and episode.label is Label.Slow:
            self._law.adopt(fleet, desired)
        return _on_the_way(fleet, desired, self._law.leaning(fleet, desired))

    def _follow(self, facts: Facts, diagnosis: Diagnosis) -> None:
        """Let the law see this tick: what traffic does with the weights, and who is slow without being to blame."""
        window, lag = facts.snapshot.window, self._policy.actuator_lag_seconds
        ignored = diagnosis.cause is SkewCause.WeightsIgnored and not diagnosis.compensated
        drawing = frozenset(diagnosis.backends if ignored else ())
        self._law.observe(facts.fleet, facts.time, window, lag, changed_at=facts.changed_at, drawing=drawing)
        if facts.clean and (diagnosis.label is Label.Slow or self._law.leans):
            self._law.penalise(facts.time, slowness(facts, diagnosis))

    def _predicted(self, facts: Facts, weights: Mapping[str, float]) -> Floats:
        fleet, clean = facts.fleet, facts.clean and facts.steady
        return self._cost.predicted(fleet, facts.snapshot.window, shares_of(fleet, weights), clean=clean)

    def _learn(self, facts: Facts, diagnosis: Diagnosis, work: Work) -> None:
        # A cost is not learnt during an incident: after a crash its window may still hold the fault. Nor while traffic
        # begins to flow: CPU is of this moment, requests are of a window that was empty. Either would be a cost that
        # holds a restart back for want of headroom.
        known = LABELS[diagnosis.label].usual or diagnosis.early  # calm ticks tell the rest
        well = known and facts.clean
        if well and work.restart is None:
            self._learn_capacity(facts)
        if well and work.idle and facts.snapshot.episode is None and facts.steady and self._memory.calm_ticks > 1:
            self._cost.learn(facts.fleet, facts.snapshot.window)

    def _learn_capacity(self, facts: Facts) -> None:
        """Only where nothing is even suspected, and nothing moves pods: else a sick pod would teach its sickness.

        In an incident too, once it is calm, and while a backend is held back: what it cannot bear may be why it was
        slow or failed, and will be again at its old share.
        """
        if self._by_use(facts.fleet) and self._memory.calm_ticks and facts.undisturbed:
            self._capacity.learn(facts.fleet, facts.time, facts.snapshot.window, self._policy.tolerance_ratio)


def _looks_alike(before: BalancerSpec, now: BalancerSpec) -> bool:
    """Whether the two specs ask for the same numbers of the same pods, and for the same shares."""
    return (before.target_ref, before.signals, before.desired) == (now.target_ref, now.signals, now.desired)


def _on_the_way(fleet: Fleet, desired: Floats, leaning: Floats) -> Floats:
    """What the weights ask for, where that lies between what is desired and what they are to lean to.

    A step that headroom cut short leaves a slow pod more than it is to have: that is no skew.
    """
    if leaning is desired or np.isnan(fleet.commanded).any():
        return desired
    way = np.clip(fleet.commanded, np.minimum(desired, leaning), np.maximum(desired, leaning))
    return np.asarray(way * (desired.sum() / max(float(way.sum()), 1e-12)))


def _decision(
    facts: Facts, verified: Verification, scene: Scene, planned: Plan, case: Case, ruling: Ruling
) -> Decision:
    tell = (*planned.tell, *advice(case, ruling))
    move = episode_move(case, wanted=bool(planned.writes or tell), close=planned.close)
    ongoing = case.episode is not None or move is EpisodeMove.Open
    known = facts.problem is None
    return Decision(
        time=facts.time,
        diagnosis=_named(scene.diagnosis, facts.fleet),
        actions=(*((ruling.write,) if ruling.write is not None else ()), *tell),
        held=ruling.held,
        verdicts=(*verified.verdicts, *planned.verdicts),
        episode=move,
        phase=planned.close or (phase(case, ruling, idle=scene.work.idle) if ongoing else None),
        overloaded_pods=scene.overloaded if ongoing else {},
        error_ratio=facts.error_ratio if known else None,
        requests_per_second=facts.rps if known else None,
        balanced=scene.diagnosis.compensated or LABELS[scene.diagnosis.label].balanced,
        settled=_settled(scene),
        worst_ratio=facts.skew.worst if known else None,
        shares=_by_backend(facts.fleet, facts.fleet.shares) if known else {},
        targets=case.targets,
        saturation=scene.saturation,
        out_of_memory=_out_of_memory(scene),
        sentence=_sentence(scene.diagnosis, planned, ruling),
    )


def _by_service(fleet: Fleet) -> frozenset[str]:
    return frozenset(name for name, whole in zip(fleet.backends, fleet.by_service.tolist(), strict=True) if whole)


def _named(diagnosis: Diagnosis, fleet: Fleet) -> Diagnosis:
    """Without pods that are named for no number of their own: their backends are."""
    if not some(fleet.by_service) or diagnosis.label is Label.MemoryLeak:
        return diagnosis
    several = fleet.by_service & (fleet.ready_by_backend > 1)
    unknown = {fleet.names[index] for index in np.flatnonzero(several[fleet.where]).tolist()}
    return replace(diagnosis, pods=tuple(name for name in diagnosis.pods if name not in unknown))


def _out_of_memory(scene: Scene) -> Forecast | None:
    """With the quietest time before it, where that is known and yet to come."""
    known, moment = scene.out_of_memory, quiet_time(scene)
    later = known is not None and moment is not None and moment > scene.snapshot.time
    return replace(known, quietest_at=moment) if known is not None and later else known


def _settled(scene: Scene) -> bool:
    """Weights that lean, or that leave an empty backend out, would be remembered as good when they no longer are."""
    plain = scene.work.idle and not scene.work.compensating
    return scene.calm and plain and _complete(scene)


def _complete(scene: Scene) -> bool:
    """Whether each backend has a ready pod, or none at all and is parked at 0: not only since it lost its pods."""
    good, backends = scene.snapshot.known_good or {}, scene.snapshot.backends
    empty = [name for name, ready in zip(scene.fleet.backends, scene.fleet.ready_by_backend, strict=True) if not ready]
    return not any(backends[name].pods or backends[name].weight or good.get(name) for name in empty)


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
