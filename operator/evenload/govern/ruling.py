"""From plan to what is done now: the first write that no guard refuses, and what is held back with its reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from evenload.govern.budget import keeps_still
from evenload.govern.case import Case
from evenload.govern.guards import govern
from evenload.model.base import Value
from evenload.model.decision import EpisodeMove, Held, HeldReason
from evenload.model.episode import EFFECTIVE_STATES, Phase
from evenload.model.labels import LABELS
from evenload.model.plan import Advise, RestartPod, Write


class Ruling(Value, frozen=True, kw_only=True):
    """At most one write."""

    write: Write | None = None
    held: tuple[Held, ...] = ()

    def holds_for(self, reason: HeldReason) -> bool:
        """Whether anything is held for this reason."""
        return any(held.reason is reason for held in self.held)


def rule(case: Case, writes: Iterable[Write]) -> Ruling:
    """The first allowed of `writes`, which are in order of preference."""
    held: list[Held] = []
    for write in writes:
        refusal = govern(case, write)
        if refusal is None:
            return Ruling(write=write, held=tuple(held))
        if not any(known.reason is refusal.reason for known in held):  # a second choice held alike says nothing new
            held.append(refusal)
    return Ruling(held=tuple(held))


def episode_move(case: Case, *, wanted: bool, close: Phase | None) -> EpisodeMove:
    """Open on the first fault that wants something done or told, close when the plan says so."""
    if case.episode is not None:
        return EpisodeMove.Stay if close is None else EpisodeMove.Close
    opens = wanted and not keeps_still(case) and LABELS[case.diagnosis.label].fault
    return EpisodeMove.Open if opens else EpisodeMove.Stay


def phase(case: Case, ruling: Ruling, *, idle: bool) -> Phase:
    """What an open Remediation should show."""
    if ruling.write is not None or not idle:
        return Phase.Executing
    if ruling.holds_for(HeldReason.AwaitingApproval):
        return Phase.AwaitingApproval
    written = any(step.state in EFFECTIVE_STATES for step in case.steps)
    return Phase.Verifying if written else Phase.Observed


def advice(case: Case, ruling: Ruling) -> Iterator[Advise]:
    """What only people can do about what was ruled: add capacity, give a pod time to leave."""
    for held in ruling.held:
        if held.reason is HeldReason.Headroom and ruling.write is None:
            yield Advise(topic="ScaleUp", because=f"{held.detail}: add capacity first")
    if isinstance(ruling.write, RestartPod) and _leaves_too_fast(case, ruling.write):
        because = (
            f"{ruling.write.pod} takes traffic until it ends: give it a preStop sleep longer than the "
            f"{case.policy.actuator_lag_seconds:.1f} s that a proxy may need to notice, or its last requests fail"
        )
        yield Advise(topic="PreStopTooShort", because=because)


def _leaves_too_fast(case: Case, write: RestartPod) -> bool:
    """Whether a pod that was not drained by weight has no preStop sleep that outlasts the proxy's delay."""
    backend, pod = case.snapshot.backends.get(write.backend), case.pod(write.uid)
    weighted = backend is not None and backend.weight > 0
    return weighted and pod is not None and (pod.pre_stop_seconds or 0.0) < case.policy.actuator_lag_seconds
