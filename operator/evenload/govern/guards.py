"""Guard rails: what no diagnosis can talk Evenload out of. An ordered table; the first refusal is the answer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evenload.govern import budget
from evenload.govern.case import Case, disrupts, takes_away, withdraws
from evenload.model.decision import Held, HeldReason
from evenload.model.episode import ApprovalDecision
from evenload.model.guard import Expected, Reference, mistakes, thousandths
from evenload.model.labels import LABELS
from evenload.model.plan import Drain, PodAction, Write
from evenload.model.policy import strictest
from evenload.model.snapshot import Pod
from evenload.model.spec import GuardMode, Mode, RestartWhen
from evenload.model.wording import listing, percent

PANIC_RATIO = 0.5
RESTART_RESERVE = 0.05  # a restart takes minutes: keep this much more room than for a mere shift of weights

Guard = Callable[[Case, Write], Held | None]


def govern(case: Case, write: Write) -> Held | None:
    """The first reason not to do `write` now, or None: it may be done."""
    refusals = (guard(case, write) for guard in GUARDS)
    return next((held for held in refusals if held is not None), None)


def mode(case: Case, write: Write) -> Held | None:
    own = case.policy.restart_mode if disrupts(write) else case.policy.reweight_mode
    effective = strictest(own, case.snapshot.max_mode)
    if effective is Mode.Observe:
        ceiling = "" if own is Mode.Observe else " (the installation's maxMode)"
        return Held(action=write, reason=HeldReason.ObserveMode, detail=f"the mode is Observe{ceiling}")
    approved = case.episode is not None and (
        case.episode.approval is ApprovalDecision.Approved or case.episode.undo_requested
    )
    if effective is Mode.Approve and not approved:
        return Held(action=write, reason=HeldReason.AwaitingApproval, detail="a person has to approve this")
    return None


def holds(case: Case, write: Write) -> Held | None:
    restarts = disrupts(write)
    hold = next((hold for hold in case.snapshot.holds if restarts or not hold.restarts_only), None)
    if hold is None:
        return None
    known = hold.reason in HeldReason.__members__
    reason = HeldReason[hold.reason] if known else HeldReason.Paused
    detail = hold.detail if known else f"{hold.reason}: {hold.detail}".removesuffix(": ")
    return Held(action=write, reason=reason, detail=detail)


def trusted_data(case: Case, write: Write) -> Held | None:
    label = case.diagnosis.label
    permitted = LABELS[label].restart if disrupts(write) else LABELS[label].write or case.diagnosis.early
    if not permitted:
        return Held(action=write, reason=HeldReason.Frozen, detail=f"{label}: {case.diagnosis.sentence}")
    return None


def sane_weights(case: Case, write: Write) -> Held | None:
    """Never all zero, never new weight on a backend that nobody answers behind."""
    if isinstance(write, PodAction):
        return None
    if not any(weight > 0 for weight in write.after.values()):
        return Held(action=write, reason=HeldReason.LastReadyPod, detail="it would leave no backend with weight")
    empty = [name for name in _empty(case) if write.after.get(name, 0) > 0]
    if not empty:
        return None
    detail = f"{listing(empty)} has no ready pod: its share would be answered 503"
    return Held(action=write, reason=HeldReason.EmptyBackend, detail=detail)


def guarded(case: Case, write: Write) -> Held | None:
    """What the API server would refuse of anybody is not tried."""
    if isinstance(write, PodAction) or case.policy.guard.mode is not GuardMode.Deny:
        return None
    expected = Expected(
        shares={name: int(share) for name, share in case.policy.explicit_shares.items()},
        targets=thousandths(case.targets),
        max_share_percent=case.policy.guard.max_share_percent,
    )
    before, after = ([[Reference(*pair) for pair in weights.items()]] for weights in (write.before, write.after))
    found = mistakes(before, after, expected)
    detail = f"spec.guard would refuse it, as it {'; '.join(found.values())}"
    return Held(action=write, reason=HeldReason.Guard, detail=detail) if found else None


def _empty(case: Case) -> list[str]:
    fleet = case.fleet
    return [name for name, ready in zip(fleet.backends, fleet.ready_by_backend, strict=True) if ready == 0]


def restart_allowed(case: Case, write: Write) -> Held | None:
    if not isinstance(write, Drain | PodAction):
        return None
    if case.policy.restart_when is RestartWhen.Never:
        return Held(action=write, reason=HeldReason.RestartNever, detail="spec.restart.when is Never")
    pod = case.pod(write.uid)
    return _untouchable(write, pod) if pod is not None else None


def _untouchable(write: Drain | PodAction, pod: Pod) -> Held | None:
    if pod.workload is None:
        detail = f"{write.pod} has no controller: nobody would bring it back"
        return Held(action=write, reason=HeldReason.NoController, detail=detail)
    if pod.protected:
        detail = f"{write.pod} must not be disrupted: its annotations say so, or it is in another namespace"
        return Held(action=write, reason=HeldReason.Protected, detail=detail)
    return None


def last_ready(case: Case, write: Write) -> Held | None:
    """Somebody else must be ready, and enough of all."""
    if not (takes_away(write) or withdraws(write)):
        return None
    fleet = case.fleet
    if isinstance(write, PodAction) and not _takes_ready_pod(case, write):
        return None
    serving = _serving_after(case, write)
    if serving <= 0:
        detail = "it is the last ready pod of this balancer"
        return Held(action=write, reason=HeldReason.LastReadyPod, detail=detail)
    if takes_away(write) and serving < case.policy.min_ready_ratio * len(fleet.pods):
        detail = f"{serving} of {len(fleet.pods)} pods would serve; {percent(case.policy.min_ready_ratio)} must"
        return Held(action=write, reason=HeldReason.LastReadyPod, detail=detail)
    return None


def _takes_ready_pod(case: Case, write: PodAction) -> bool:
    pod = case.pod(write.uid)
    return pod is not None and pod.ready and not pod.terminating


def _serving_after(case: Case, write: Write) -> int:
    """Ready pods behind a weight, without the one that goes."""
    fleet = case.fleet
    if isinstance(write, PodAction):
        weighted = fleet.weights[fleet.where] > 0
        others = np.array([pod.uid != write.uid for pod in fleet.pods], dtype=bool)
        return int((fleet.ready & weighted & others).sum())
    weighted = np.array([write.after.get(name, 0) > 0 for name in fleet.backends], dtype=bool)[fleet.where]
    return int((fleet.ready & weighted).sum())


def one_at_a_time(case: Case, write: Write) -> Held | None:
    """Whoever replaces the other: a rollout, a drained node, a person. No more than one is missing at a time."""
    if not isinstance(write, Drain | PodAction) or not takes_away(write):
        return None
    fleet = case.fleet
    others = [(name, pod) for name, pod in zip(fleet.names, fleet.pods, strict=True) if pod.uid != write.uid]
    leaving = [name for name, pod in others if pod.terminating]
    if leaving:
        return Held(action=write, reason=HeldReason.OneAtATime, detail=f"{listing(leaving)} is leaving just now")
    starting = [name for name, pod in others if not pod.ready and _may_get_ready(case, pod)]
    if starting:
        return Held(action=write, reason=HeldReason.OneAtATime, detail=f"{listing(starting)} is not ready yet")
    return None


def _may_get_ready(case: Case, pod: Pod) -> bool:
    """What is older than a replacement may be is broken, and waited for no longer."""
    return pod.age is not None and pod.age < case.policy.replacement_timeout_seconds


def panic(case: Case, write: Write) -> Held | None:
    """With most pods bad, taking some away only loads the rest."""
    if not (takes_away(write) or withdraws(write)) or case.bad_ratio <= PANIC_RATIO:
        return None
    return Held(action=write, reason=HeldReason.Panic, detail=f"{percent(case.bad_ratio)} of the pods look bad")


def headroom(case: Case, write: Write) -> Held | None:
    """Whoever gets more must stand it. Without a CPU signal nothing is known, and nothing refused."""
    if isinstance(write, PodAction):
        return _headroom_of_siblings(case, write)
    if not withdraws(write):
        return None
    use = case.predict(write.after)
    limit = case.policy.max_utilization - (RESTART_RESERVE if isinstance(write, Drain) else 0.0)
    after = np.array([write.after.get(name, 0) for name in case.fleet.backends], dtype=float)
    receives = after / after.sum() > case.fleet.commanded  # some weight is left: `sane_weights` came first
    over = receives & (use > limit)
    if not over.any():
        return None
    worst = int(np.nanargmax(np.where(over, use, np.nan)))
    detail = f"{case.fleet.backends[worst]} would run at {percent(float(use[worst]))} of its CPU, over {percent(limit)}"
    return Held(action=write, reason=HeldReason.Headroom, detail=detail)


def _headroom_of_siblings(case: Case, write: PodAction) -> Held | None:
    """One pod of a backend goes: its siblings take its requests. A pod that is not ready has none to hand over."""
    fleet = case.fleet
    if write.backend not in fleet.backends or not _takes_ready_pod(case, write):
        return None
    where = fleet.backends.index(write.backend)
    ready = float(fleet.ready_by_backend[where])
    others = np.array([pod.uid != write.uid for pod in fleet.pods], dtype=bool)
    use = fleet.utilization[fleet.ready & (fleet.where == where) & others]
    known = use[~np.isnan(use)]
    if not known.size:
        return None
    limit = case.policy.max_utilization - RESTART_RESERVE
    predicted = float(known.mean()) * ready / (ready - 1)
    if predicted <= limit:
        return None
    detail = f"the other pods of {write.backend} would run at {percent(predicted)} of their CPU, over {percent(limit)}"
    return Held(action=write, reason=HeldReason.Headroom, detail=detail)


def empty_by_restart(case: Case, write: Write) -> Held | None:
    """The only ready pod of a backend goes only once the backend has no weight: an empty one answers 503."""
    if not isinstance(write, PodAction) or write.backend not in case.fleet.backends:
        return None
    where = case.fleet.backends.index(write.backend)
    if case.fleet.ready_by_backend[where] > 1 or case.fleet.weights[where] == 0 or not _takes_ready_pod(case, write):
        return None
    detail = f"{write.pod} is the only ready pod of {write.backend}, which still has weight"
    return Held(action=write, reason=HeldReason.EmptyBackend, detail=detail)


GUARDS: tuple[Guard, ...] = (
    trusted_data,  # bad data is why nothing else may be believed
    sane_weights,
    guarded,
    budget.denied,  # then what a person said
    budget.frozen_after_revert,  # before the mode: nobody is asked to approve what was just undone
    mode,
    holds,
    budget.contested,
    budget.write_interval,
    restart_allowed,  # then whom it would hit
    last_ready,
    empty_by_restart,
    one_at_a_time,
    panic,
    headroom,
    budget.restarts_per_hour,
    budget.cool_down,
)
