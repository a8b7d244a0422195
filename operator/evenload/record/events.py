"""Events: each decision a person would want to know of, told once, on the Balancer and on the workload it is about.

What happened is worked out purely, by comparing two ticks (`Chronicle`) and from executed steps (`applied`,
`refused`); `post` turns each into Events whose names follow from what they say, so that a restarted operator, or a
second one, meets its own Event there and does not repeat it.

The same happenings make a Remediation's timeline.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType

from evenload.api.v1alpha1 import API_VERSION, FIELD_MANAGER, ObjectMeta, TimelineEntry
from evenload.api.values import moment
from evenload.clock import rfc3339
from evenload.errors import Conflict, KubeError
from evenload.kube.resources import DEPLOYMENTS, EVENTS, REPLICASETS, STATEFULSETS, Manifest
from evenload.kube.verbs import Sink
from evenload.model.base import Value
from evenload.model.decision import Decision, EpisodeMove, Held, HeldReason, Verdict
from evenload.model.diagnosis import Label
from evenload.model.episode import Phase, Step, StepState
from evenload.model.plan import POD_ACTIONS, Drain, PodAction, RestartPod, Write
from evenload.model.proposal import MOST_BACKENDS, effect, said
from evenload.model.snapshot import RouteWrite, Snapshot
from evenload.model.wording import printable, reweighting

CONTROLLER = "evenload.dev/operator"
PROXY_DELAY_SECONDS = (
    2.0  # Traefik's throttle; a preStop sleep must outlast it (~170 failed requests without, in the lab)
)
_NOTE_BYTES = 1024  # of events.k8s.io/v1
_REMEMBERED = 4096
_TOLD_AGAIN_SECONDS = (
    1800.0  # what comes and goes (signals with too few requests at night, say) is told once in so long
)


class Reason(StrEnum):
    """Of an Event. Stable words; REASONS documents each."""

    ImbalanceDetected = "ImbalanceDetected"
    FaultDetected = "FaultDetected"
    SignalsLost = "SignalsLost"
    RouteChanged = "RouteChanged"
    Reweighted = "Reweighted"
    Drained = "Drained"
    Isolated = "Isolated"
    Restarted = "Restarted"
    GivenBack = "GivenBack"
    Verified = "Verified"
    Ineffective = "Ineffective"
    RolledBack = "RolledBack"
    Overwritten = "Overwritten"
    Held = "Held"
    ApprovalNeeded = "ApprovalNeeded"
    Contested = "Contested"
    RestartRefused = "RestartRefused"
    WriteFailed = "WriteFailed"
    NoPreStop = "NoPreStop"
    Resolved = "Resolved"
    Unresolved = "Unresolved"
    AuditErrors = "AuditErrors"
    AuditWarnings = "AuditWarnings"
    GuardOverridden = "GuardOverridden"


REASONS: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.ImbalanceDetected: "Traffic is not spread as desired; a Remediation was opened.",
        Reason.FaultDetected: "Something other than an imbalance is wrong; a Remediation was opened.",
        Reason.SignalsLost: "Prometheus does not tell what is needed to decide anything: nothing is written.",
        Reason.RouteChanged: "Somebody else changed the weights of the route; the field manager is named.",
        Reason.Reweighted: "Evenload changed the weights of the route.",
        Reason.Drained: "Evenload took traffic off a backend, ahead of a restart.",
        Reason.Isolated: "Evenload took a pod out of its Service, ahead of its eviction; it finishes its requests.",
        Reason.GivenBack: "A pod that was isolated has its label back: it was not evicted, and the reason is named.",
        Reason.Restarted: "Evenload evicted a pod; its controller brings the replacement.",
        Reason.Verified: "Traffic did what a step was meant to bring about.",
        Reason.Ineffective: "Traffic did not move after a step; Evenload stops trying that.",
        Reason.RolledBack: "A step made things worse, or a person asked, and it was undone.",
        Reason.Overwritten: "Somebody else overwrote the weights that Evenload had written.",
        Reason.Held: "Evenload would act and does not; the reason is named.",
        Reason.ApprovalNeeded: "Evenload waits for a person: evenload approve REMEDIATION, or deny.",
        Reason.Contested: "Another writer keeps putting its weights back; Evenload stopped writing and names it.",
        Reason.RestartRefused: "A pod was not evicted: a PodDisruptionBudget or a last check says no.",
        Reason.WriteFailed: "A write that was decided is not made: the API server refuses it, or cannot do it.",
        Reason.NoPreStop: "A workload has no preStop sleep that outlasts the proxy's delay: restarts fail requests.",
        Reason.Resolved: "The Remediation closed with all well again.",
        Reason.Unresolved: "The Remediation closed without all being well; a person should look.",
        Reason.AuditErrors: "The audit finds errors in the balancer's object; one Event for each new set of findings.",
        Reason.AuditWarnings: "The audit finds warnings in the balancer's object, and no error.",
        Reason.GuardOverridden: "Somebody changed the balancer with a reason to override the guard; it is quoted.",
    }
)

_WARNINGS = frozenset(
    {
        Reason.ImbalanceDetected,
        Reason.FaultDetected,
        Reason.SignalsLost,
        Reason.Ineffective,
        Reason.RolledBack,
        Reason.Overwritten,
        Reason.ApprovalNeeded,
        Reason.Contested,
        Reason.RestartRefused,
        Reason.WriteFailed,
        Reason.NoPreStop,
        Reason.Unresolved,
        Reason.AuditErrors,
    }
)
_IN_TIMELINE = frozenset(Reason) - {Reason.NoPreStop, Reason.SignalsLost}


class Happening(Value, frozen=True, kw_only=True):
    """Something worth telling. Two with the same `key` are the same; `workload` like "Deployment/shop-a"."""

    time: float
    reason: Reason
    note: str
    key: str
    workload: str | None = None

    @property
    def entry(self) -> TimelineEntry:
        return TimelineEntry(at=moment(self.time), event=self.reason.value, detail=printable(self.note)[:4096])


def timeline(happenings: tuple[Happening, ...]) -> tuple[TimelineEntry, ...]:
    """What belongs into a Remediation's timeline."""
    return tuple(happening.entry for happening in happenings if happening.reason in _IN_TIMELINE)


class Chronicle:
    """Tells what is new from tick to tick of one Balancer. Its memory is one tick."""

    def __init__(self, namespace: str = "") -> None:
        """`namespace`: of the Balancer, for the commands that are told."""
        self._namespace = namespace
        self._label: Label | None = None
        self._held: frozenset[HeldReason] = frozenset()
        self._write: RouteWrite | None = None

    def happenings(self, snapshot: Snapshot, decision: Decision) -> tuple[Happening, ...]:
        """What happened since the last call. The first call tells only what this tick decides."""
        told = (
            *self._route_changed(snapshot),
            *self._lost(decision),
            *_opened(decision),
            *_judged(snapshot, decision),
            *self._newly_held(snapshot, decision),
            *_endangered(snapshot, decision),
            *_closed(snapshot, decision),
        )
        self._label = decision.diagnosis.label
        self._held = frozenset(held.reason for held in decision.held if _tellable(snapshot, held))
        self._write = snapshot.last_write
        return told

    def _route_changed(self, snapshot: Snapshot) -> Iterator[Happening]:
        write, known = snapshot.last_write, self._write
        if write is None or known is None or write.manager == FIELD_MANAGER:
            return
        if (write.manager, write.time) != (known.manager, known.time):
            weights = ", ".join(f"{name}={backend.weight}" for name, backend in sorted(snapshot.backends.items()))
            note = f"{write.manager} changed the route; its weights now: {weights}"
            yield Happening(
                time=write.time, reason=Reason.RouteChanged, note=note, key=f"route/{write.manager}/{write.time}"
            )

    def _lost(self, decision: Decision) -> Iterator[Happening]:
        label = decision.diagnosis.label
        lost = label is Label.NoData and not decision.diagnosis.early
        if lost and self._label not in (None, Label.NoData):
            note = decision.diagnosis.sentence or REASONS[Reason.SignalsLost]
            yield Happening(
                time=decision.time,
                reason=Reason.SignalsLost,
                note=note,
                key=f"signals/{decision.time // _TOLD_AGAIN_SECONDS}",
            )

    def _newly_held(self, snapshot: Snapshot, decision: Decision) -> Iterator[Happening]:
        for held in decision.held:
            if held.reason not in self._held and _tellable(snapshot, held):
                yield _held(snapshot, decision, held, self._namespace)


def _tellable(snapshot: Snapshot, held: Held) -> bool:
    """Two seconds are no news; and who is asked to approve needs the name of the Remediation, a tick later."""
    if held.reason is HeldReason.AwaitingApproval:
        return snapshot.episode is not None
    return held.reason is not HeldReason.WriteInterval


def _episode(snapshot: Snapshot, decision: Decision) -> str:
    return snapshot.episode.name if snapshot.episode else str(round(decision.time))


def _opened(decision: Decision) -> Iterator[Happening]:
    if decision.episode is EpisodeMove.Open:
        skewed = decision.diagnosis.label is Label.LoadBalancerSkew
        yield Happening(
            time=decision.time,
            reason=Reason.ImbalanceDetected if skewed else Reason.FaultDetected,
            note=f"{decision.diagnosis.label.value}: {decision.diagnosis.sentence}",
            key=f"opened/{decision.diagnosis.since or decision.time}",
        )


_VERDICTS = {
    StepState.Verified: Reason.Verified,
    StepState.Ineffective: Reason.Ineffective,
    StepState.Reverted: Reason.RolledBack,
    StepState.Overwritten: Reason.Overwritten,
}


def _judged(snapshot: Snapshot, decision: Decision) -> Iterator[Happening]:
    steps = {step.name: step for step in snapshot.episode.steps} if snapshot.episode else {}
    for verdict in decision.verdicts:
        if reason := _VERDICTS.get(verdict.state):
            step = steps.get(verdict.step)
            yield Happening(
                time=decision.time,
                reason=reason,
                note=_verdict_note(verdict),
                key=f"{verdict.state}/{_episode(snapshot, decision)}/{verdict.step}",
                workload=step.workload if step else None,
            )


def _verdict_note(verdict: Verdict) -> str:
    by = f" by {verdict.manager}" if verdict.manager else ""
    return f"step {verdict.step}{by}: {verdict.because}"


def _held(snapshot: Snapshot, decision: Decision, held: Held, namespace: str) -> Happening:
    special = {HeldReason.AwaitingApproval: Reason.ApprovalNeeded, HeldReason.Contested: Reason.Contested}
    episode = _episode(snapshot, decision)
    return Happening(
        time=decision.time,
        reason=special.get(held.reason, Reason.Held),
        note=f"{held.reason.value}: {said(held)}{_asked(held, episode, namespace)}",
        key=f"held/{held.reason}/{episode}",
        workload=held.action.workload if isinstance(held.action, PodAction) else None,
    )


def _asked(held: Held, episode: str, namespace: str) -> str:
    """What whoever can let it go has to know, the commands first: an Event has little room."""
    if not isinstance(held.action, Write):
        return ""
    brings = f"it should bring: {effect(held.action)}"
    match held.reason:
        case HeldReason.AwaitingApproval:
            where = f"{episode} -n {namespace}" if namespace else episode
            return f"; evenload approve {where} (or deny; later: undo); {brings}"
        case HeldReason.ObserveMode:
            return f"; {brings}"
        case _:
            return ""


def _endangered(snapshot: Snapshot, decision: Decision) -> Iterator[Happening]:
    """Before the first restart of a workload: does it leave its proxies the time to notice?"""
    wanted = [*decision.actions, *(held.action for held in decision.held)]
    pods = {name: pod for backend in snapshot.backends.values() for name, pod in backend.pods.items()}
    for action in wanted:
        pod = pods.get(action.pod) if isinstance(action, Drain | RestartPod) else None
        if pod is not None and pod.workload and (pod.pre_stop_seconds or 0.0) <= PROXY_DELAY_SECONDS:
            yield Happening(
                time=decision.time,
                reason=Reason.NoPreStop,
                note=f"{pod.workload} has no preStop sleep longer than {PROXY_DELAY_SECONDS:g} s, so requests fail "
                "while proxies still send to a pod that is ending; set lifecycle.preStop.sleep.seconds to 5 or more",
                key=f"prestop/{pod.workload}",
                workload=pod.workload,
            )


def _closed(snapshot: Snapshot, decision: Decision) -> Iterator[Happening]:
    if decision.episode is EpisodeMove.Close:
        phase = decision.phase.value if decision.phase else "closed"
        note = f"Remediation {_episode(snapshot, decision)}: {phase}. {decision.sentence}".rstrip()
        yield Happening(
            time=decision.time,
            reason=Reason.Resolved if decision.phase is Phase.Succeeded else Reason.Unresolved,
            note=note,
            key=f"closed/{_episode(snapshot, decision)}",
        )


def applied(episode: str, step: Step, time: float) -> Happening:
    """A step that stands in the cluster now."""
    reason = _DONE[step.action]
    if step.purpose == "Revert":
        reason = Reason.RolledBack
    return Happening(
        time=time,
        reason=reason,
        note=f"{_done(step)}; {step.message}".removesuffix("; "),
        key=f"applied/{episode}/{step.name}",
        workload=step.workload,
    )


_DONE = {
    "SetWeights": Reason.Reweighted,
    "Drain": Reason.Drained,
    "Isolate": Reason.Isolated,
    "RestartPod": Reason.Restarted,
}


def given_back(episode: str, step: Step, why: str, time: float) -> Happening:
    """A pod that was isolated takes requests again."""
    return Happening(
        time=time,
        reason=Reason.GivenBack,
        note=f"pod {step.pod} has its label {step.label} back: {why}",
        key=f"given-back/{episode}/{step.name}",
        workload=step.workload,
    )


def _done(step: Step) -> str:
    if step.action == "Isolate":
        return f"isolated pod {step.pod} of {step.workload}: its label {step.label} is off, and no Service sends to it"
    if step.action == "RestartPod":
        return f"evicted pod {step.pod} of {step.workload}"
    what = f"drained {step.backend}" if step.action == "Drain" else "set the weights"
    return f"{what}: {reweighting(step.before or {}, step.after or {}, MOST_BACKENDS)}"


def refused(episode: str, step: Step, detail: str, time: float) -> Happening:
    """A step that the API server, or a last check, said no to, or that fails again and again. Told once, however often
    it is tried, and whether as this step or as another in its place."""
    restart = step.action in POD_ACTIONS
    return Happening(
        time=time,
        reason=Reason.RestartRefused if restart else Reason.WriteFailed,
        note=f"step {step.name}: {detail}",
        key=f"refused/{episode}/{step.name if restart else step.purpose}",
        workload=step.workload,
    )


def not_made(why: str, time: float) -> tuple[Happening, ...]:
    """A write that fails again and again before there is a step to tell it of; nothing where `why` is empty."""
    if not why:
        return ()
    note = f"what was decided cannot be written: {why}"
    return (Happening(time=time, reason=Reason.WriteFailed, note=note, key=f"not-made/{time // _TOLD_AGAIN_SECONDS}"),)


class Bulletin:
    """Posts Events, each once, and never raises for it: an Event is a courtesy."""

    def __init__(self, sink: Sink, instance: str, on_failure: Callable[[], None] = lambda: None) -> None:
        """`on_failure` is called for each Event that could not be posted."""
        self._sink = sink
        self._instance = instance
        self._told: dict[str, None] = {}
        self._on_failure = on_failure

    async def post(self, balancer: ObjectMeta, happening: Happening, pods_namespace: str | None = None) -> None:
        """On the Balancer, and on the workload where there is one (in `pods_namespace`, or the Balancer's)."""
        name = _event_name(balancer, happening)
        if name in self._told:
            return
        self._remember(name)
        try:
            await self._create(name, happening, _reference_of(balancer))
            if happening.workload:
                reference = await self._workload(happening.workload, pods_namespace or balancer.namespace)
                if reference:
                    await self._create(f"{name}-w", happening, reference)
        except KubeError:
            self._told.pop(name, None)  # what still happens is told when it can be
            self._on_failure()

    def _remember(self, name: str) -> None:
        self._told[name] = None
        if len(self._told) > _REMEMBERED:
            del self._told[next(iter(self._told))]

    async def _workload(self, workload: str, namespace: str) -> Manifest | None:
        """A reference with the UID, without which `kubectl describe` does not show the Event."""
        kind, _, name = workload.partition("/")
        resource = _WORKLOADS.get(kind)
        if resource is None:
            return None
        found = await self._sink.get(resource, namespace, name)
        return {
            "apiVersion": resource.api_version,
            "kind": kind,
            "name": name,
            "namespace": namespace,
            "uid": found["metadata"]["uid"],
        }

    async def _create(self, name: str, happening: Happening, regarding: Manifest) -> None:
        event = {
            "metadata": {"name": name, "namespace": regarding["namespace"]},
            "eventTime": rfc3339(happening.time),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance[:128],
            "action": happening.reason.value,
            "reason": happening.reason.value,
            "regarding": regarding,
            "note": _cut(printable(happening.note)),  # it may quote annotations, managers, answers
            "type": "Warning" if happening.reason in _WARNINGS else "Normal",
        }
        try:
            await self._sink.create(EVENTS, regarding["namespace"], event)
        except Conflict:
            return  # told already, before a restart or by another operator


_WORKLOADS = {resource.kind: resource for resource in (DEPLOYMENTS, STATEFULSETS, REPLICASETS)}


def _event_name(balancer: ObjectMeta, happening: Happening) -> str:
    digest = hashlib.sha256(f"{balancer.uid}/{happening.reason}/{happening.key}".encode()).hexdigest()[:16]
    return f"{balancer.name[:200].rstrip('.-')}.{digest}"


def _reference_of(balancer: ObjectMeta) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": "Balancer",
        "name": balancer.name,
        "namespace": balancer.namespace,
        "uid": balancer.uid,
    }


def _cut(note: str) -> str:
    """To the bytes an Event may hold."""
    raw = note.encode()
    return note if len(raw) <= _NOTE_BYTES else raw[: _NOTE_BYTES - 4].decode(errors="ignore") + "…"
