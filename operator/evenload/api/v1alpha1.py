"""Balancer and Remediation as the API server holds them (group evenload.dev, v1alpha1).

Specs come from the model; what is here is the status, and the Remediation, which is the model's Episode written down.
Status holds no floating-point numbers (API conventions: they do not survive a round trip): times are RFC 3339
strings, measured numbers are decimal strings (`values.py` converts), counts are integers. Every list is bounded.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from msgspec import Meta, field

from evenload.model.base import Value
from evenload.model.diagnosis import Label, SkewCause
from evenload.model.episode import ApprovalDecision, Phase, StepState
from evenload.model.plan import Purpose
from evenload.model.spec import BalancerSpec, Mode

GROUP = "evenload.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
FIELD_MANAGER = "evenload"

PAUSED_ANNOTATION = f"{GROUP}/paused"  # on a Balancer: any value but "false" stops all writes
UNDO_ANNOTATION = f"{GROUP}/undo"  # on a Remediation: the user who asks for its weight changes to be undone
GUARD_OVERRIDE_ANNOTATION = f"{GROUP}/guard-override"  # on a balancer: why the guard is to let this update pass
ISOLATED_ANNOTATION = f"{GROUP}/isolated"  # on a pod: by which Remediation it is isolated, and the label it lacks
CAPACITY_ANNOTATION = f"{GROUP}/capacity"  # on a pod: its relative capacity
DO_NOT_DISRUPT_ANNOTATION = f"{GROUP}/do-not-disrupt"  # on a pod: "true" means never restarted
KARPENTER_ANNOTATION = "karpenter.sh/do-not-disrupt"
SAFE_TO_EVICT_ANNOTATION = "cluster-autoscaler.kubernetes.io/safe-to-evict"
PROTECTING = {DO_NOT_DISRUPT_ANNOTATION: "true", KARPENTER_ANNOTATION: "true", SAFE_TO_EVICT_ANNOTATION: "false"}
"""Annotations of a pod, with the value that keeps it from being restarted."""
BALANCER_LABEL = f"{GROUP}/balancer"  # on a Remediation: the Balancer's name, for selectors


def _map_by(*keys: str) -> dict[str, Any]:
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def _rule(rule: str, message: str, field_path: str, reason: str = "FieldValueForbidden") -> dict[str, str]:
    return {"rule": rule, "message": message, "reason": reason, "fieldPath": field_path}


_DECISION_NAMES_ITS_AUTHOR = _rule(
    "!has(self.decision) || has(self.by) && size(self.by) > 0",
    "a decision needs `by`: the user who decides",
    ".by",
    "FieldValueRequired",
)
_ONLY_APPROVAL_CHANGES = [
    *(
        _rule(f"self.{name} == oldSelf.{name}", "is immutable: only approval may change", f".{name}")
        for name in ("balancerRef", "trigger", "diagnosis")
    ),
    _rule(
        "has(self.undoes) == has(oldSelf.undoes) && (!has(self.undoes) || self.undoes == oldSelf.undoes)",
        "is immutable: only approval may change",
        ".undoes",
    ),
    _rule(
        "!has(oldSelf.approval.decision) || self.approval == oldSelf.approval",
        "is final: it was approved or denied already",
        ".approval",
    ),
]

_UNDO_IS_A_PERSONS_WISH = [
    _rule(
        "(self.trigger == 'Undo') == has(self.undoes)",
        "goes with trigger Undo: the closed Remediation to take back",
        ".undoes",
        "FieldValueInvalid",
    ),
    _rule(
        "self.trigger != 'Undo' || self.?approval.?decision.orValue('') == 'Approved'",
        "an undo is a person's wish: decision must be Approved, by the user who is signed in",
        ".approval",
        "FieldValueInvalid",
    ),
]

Name = Annotated[str, Meta(min_length=1, max_length=253)]
PodLabel = Annotated[str, Meta(min_length=2, max_length=381)]  # key=value: 253 + 1 + 63 for the key
Time = Annotated[datetime, Meta(tz=True)]
Number = Annotated[str, Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$", max_length=32)]
Count = Annotated[int, Meta(ge=0)]
Sentence = Annotated[str, Meta(max_length=4096)]
Weights = Annotated[
    dict[str, Annotated[int, Meta(ge=0, le=1_000_000)]],
    Meta(extra_json_schema={"maxProperties": 64}),
]


class ObjectMeta(Value, frozen=True, kw_only=True):
    """The part of an object's metadata that Evenload reads."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)


class ConditionStatus(StrEnum):
    """The three words of every Kubernetes condition; Unknown when the signals do not say."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class ConditionType(StrEnum):
    """Of a Balancer. Ready says Evenload works, Balanced says traffic is fine; an imbalance never makes Ready False,
    or GitOps tools would block the very fix."""

    Ready = "Ready"
    Balanced = "Balanced"
    SignalsFresh = "SignalsFresh"
    Remediating = "Remediating"
    Paused = "Paused"
    Contested = "Contested"
    Audited = "Audited"


class Condition(Value, frozen=True, kw_only=True, omit_defaults=False):
    """As metav1.Condition: one fact, since when, why, and for which generation of the spec."""

    type: Annotated[str, Meta(description="Which fact.", pattern=r"^[A-Z][A-Za-z]*$", max_length=63)]
    status: Annotated[ConditionStatus, Meta(description="Whether it holds; Unknown when the signals do not say.")]
    reason: Annotated[
        str, Meta(description="Why, in one CamelCase word.", pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=128)
    ]
    message: Annotated[str, Meta(description="Why, as a sentence with its numbers.", max_length=4096)]
    last_transition_time: Annotated[Time, Meta(description="When `status` last changed.")]
    observed_generation: Annotated[int, Meta(description="The generation of the spec it is about.", ge=0)] = 0


Conditions = Annotated[tuple[Condition, ...], Meta(max_length=16, extra_json_schema=_map_by("type"))]


class Summary(Value, frozen=True, kw_only=True):
    """The Balancer's state in a handful of numbers, rounded: live numbers are metrics."""

    pods: Annotated[str, Meta(description="Ready pods of all pods: 9/10.", max_length=32)] = ""
    requests_per_second: Annotated[Number | None, Meta(description="Over all backends.")] = None
    worst_share_ratio: Annotated[
        Number | None, Meta(description="The largest share a backend gets, divided by the share it should have.")
    ] = None
    error_percent: Annotated[Number | None, Meta(description="Failed requests of all, in percent.")] = None


class CurrentDiagnosis(Value, frozen=True, kw_only=True):
    """What Evenload thinks now, in one line."""

    label: Annotated[Label, Meta(description="From the closed table of diagnoses.")]
    sentence: Annotated[Sentence, Meta(description="The same as a sentence with its numbers.")] = ""
    since: Annotated[Time | None, Meta(description="Since when.")] = None


class Resolved(Value, frozen=True, kw_only=True):
    """What the spec came down to in this cluster."""

    driver: Annotated[str, Meta(description="The driver in charge.", max_length=63)] = ""
    handles: Annotated[
        tuple[Annotated[str, Meta(max_length=63)], ...],
        Meta(description="What can be done to this balancer and its pods: Weights, Restart.", max_length=8),
    ] = ()
    signals: Annotated[str, Meta(description="The preset of signals in use.", max_length=63)] = ""
    code: Annotated[str, Meta(description="The label that holds the status of a request.", max_length=128)] = ""
    backends: Annotated[
        tuple[Name, ...],
        Meta(description="The Services the route splits over.", max_length=64),
    ] = ()


class OutlierVerdict(StrEnum):
    """Hot: more than its share. Cold: less. Failing: errors. Slow: late. Sick: it stayed bad after an overload."""

    Hot = "Hot"
    Cold = "Cold"
    Failing = "Failing"
    Slow = "Slow"
    Sick = "Sick"


class Outlier(Value, frozen=True, kw_only=True):
    """A backend or pod that stands out."""

    name: Annotated[Name, Meta(description="Of the backend or pod.")]
    verdict: Annotated[OutlierVerdict, Meta(description="In which way.")]
    share_ratio: Annotated[Number | None, Meta(description="Its share divided by the share it should have.")] = None


class ForecastKind(StrEnum):
    """What a pod runs out of."""

    OutOfMemory = "OutOfMemory"
    Saturation = "Saturation"


class Upcoming(Value, frozen=True, kw_only=True):
    """Something that will run full if it goes on like this, and roughly when: the live number is a metric."""

    kind: Annotated[
        ForecastKind, Meta(description="Saturation: no CPU left. OutOfMemory: memory at its limit, by a leak.")
    ]
    within_seconds: Annotated[int, Meta(description="Within so many seconds, as of when this was written.", ge=0)]
    pod: Annotated[str, Meta(description="The pod that is first.", max_length=253)] = ""
    quietest_at: Annotated[
        Time | None,
        Meta(description="The quietest time before it, if that is known: a restart is planned for then if allowed."),
    ] = None


class BudgetState(Value, frozen=True, kw_only=True):
    """What is left of a budget."""

    action: Annotated[Literal["Restart", "Reweight"], Meta(description="Which kind of action it bounds.")]
    remaining: Annotated[int, Meta(description="How many are left in the running hour.", ge=0)]
    until: Annotated[Time | None, Meta(description="When the next one comes free, if none is left.")] = None


class KnownGood(Value, frozen=True, kw_only=True):
    """The last weights under which traffic was seen balanced: what a bad update is put back to."""

    weights: Annotated[Weights, Meta(description="Backend to weight.")]
    at: Annotated[Time | None, Meta(description="When traffic was last seen balanced under them.")] = None


MOST_CHANGES = 20
MOST_PLACES = 10
MOST_BROUGHT = 10
LONGEST_PLACE = LONGEST_CAUSE = 256
LONGEST_UNDO = 1024


class ProbationState(StrEnum):
    """Running; Passed: nothing got worse because of it; Failed: something did, and a Remediation was opened; Replaced:
    by another change before it ended; Unknown: the signals did not tell."""

    Running = "Running"
    Passed = "Passed"
    Failed = "Failed"
    Replaced = "Replaced"
    Unknown = "Unknown"


class RouteChange(Value, frozen=True, kw_only=True):
    """A change of the balancer's weights or rules."""

    manager: Annotated[str, Meta(description="Who made it: the field manager.", max_length=128)]
    time: Annotated[Time, Meta(description="When.")]
    generation: Annotated[int, Meta(description="The generation of the object after it.", ge=0)] = 0
    before: Annotated[Weights | None, Meta(description="The weights before, as far as they were seen.")] = None
    after: Annotated[Weights | None, Meta(description="The weights after.")] = None
    elsewhere: Annotated[
        tuple[Annotated[str, Meta(max_length=LONGEST_PLACE)], ...],
        Meta(description="What else of the spec changed: JSON Pointers.", max_length=MOST_PLACES),
    ] = ()
    cause: Annotated[
        str,
        Meta(
            description="Why, as the object says: its annotation kubernetes.io/change-cause, or of a commit.",
            max_length=LONGEST_CAUSE,
        ),
    ] = ""
    undo: Annotated[
        str,
        Meta(
            description="A command that puts back what else of the spec it changed; none where a value may be secret.",
            max_length=LONGEST_UNDO,
        ),
    ] = ""
    override: Annotated[
        str,
        Meta(
            description="The reason to override the guard that came with it, by the annotation "
            "evenload.dev/guard-override.",
            max_length=LONGEST_CAUSE,
        ),
    ] = ""
    brought: Annotated[
        tuple[Annotated[str, Meta(max_length=63)], ...],
        Meta(description="Rules of the audit that it broke: errors and warnings.", max_length=MOST_BROUGHT),
    ] = ()
    remediation: Annotated[
        Name | None, Meta(description="The Remediation that made it, or that was opened because of it.")
    ] = None
    probation: Annotated[
        ProbationState | None, Meta(description="What came of its probation (spec.guard.probation).")
    ] = None
    writes: Annotated[int, Meta(description="How many writes it took.", ge=1)] = 1


class BalancerStatus(Value, frozen=True, kw_only=True):
    """What Evenload sees and thinks. Written only when it changes."""

    observed_generation: Annotated[int, Meta(description="The generation of the spec this status is about.", ge=0)] = 0
    mode: Annotated[
        Mode | None, Meta(description="The mode in force: the strictest of the spec's and the installation's.")
    ] = None
    conditions: Annotated[
        Conditions,
        Meta(
            description="Ready (Evenload works), Balanced (traffic is fine), SignalsFresh, Remediating, Paused, "
            "Contested, Audited (no misconfiguration is found)."
        ),
    ] = ()
    diagnosis: Annotated[CurrentDiagnosis | None, Meta(description="What Evenload thinks now.")] = None
    summary: Annotated[Summary | None, Meta(description="The state in a handful of rounded numbers.")] = None
    resolved: Annotated[Resolved | None, Meta(description="What the spec came down to in this cluster.")] = None
    outliers: Annotated[
        tuple[Outlier, ...],
        Meta(description="Backends and pods that stand out.", max_length=20, extra_json_schema=_map_by("name")),
    ] = ()
    forecasts: Annotated[
        tuple[Upcoming, ...],
        Meta(description="What will run full soon.", max_length=4, extra_json_schema=_map_by("kind")),
    ] = ()
    active_remediation: Annotated[Name | None, Meta(description="The open Remediation.")] = None
    budgets: Annotated[
        tuple[BudgetState, ...],
        Meta(description="What is left of each budget.", max_length=8, extra_json_schema=_map_by("action")),
    ] = ()
    known_good: Annotated[
        KnownGood | None, Meta(description="The last weights under which traffic was seen balanced.")
    ] = None
    target_shares: Annotated[
        Weights | None,
        Meta(description="The share of the traffic that each backend should have now, in thousandths."),
    ] = None
    changes: Annotated[
        tuple[RouteChange, ...],
        Meta(description="The last changes of the weights or rules, newest first.", max_length=MOST_CHANGES),
    ] = ()


class Balancer(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Keeps the servers behind one load balancer evenly loaded, and mends it when they are not."""

    api_version: Literal["evenload.dev/v1alpha1"] = "evenload.dev/v1alpha1"
    kind: Literal["Balancer"] = "Balancer"
    metadata: ObjectMeta
    spec: BalancerSpec
    status: BalancerStatus = field(default_factory=BalancerStatus)


class BalancerReference(Value, frozen=True, kw_only=True):
    """The Balancer a Remediation belongs to, and the generation of its spec at that time."""

    name: Annotated[Name, Meta(description="Its name, in the same namespace.")]
    uid: Annotated[str, Meta(description="Its UID: a new Balancer of the same name is another one.", max_length=64)] = (
        ""
    )
    generation: Annotated[Count | None, Meta(description="The generation of its spec.")] = None


class Trigger(StrEnum):
    """Why a Remediation was opened."""

    Diagnosis = "Diagnosis"
    User = "User"
    Undo = "Undo"


class Evidence(Value, frozen=True, kw_only=True):
    """One number the diagnosis rests on."""

    metric: Annotated[str, Meta(description="What was measured.", max_length=128)]
    subject: Annotated[str, Meta(description="A pod or backend; empty: the whole Balancer.", max_length=253)] = ""
    observed: Annotated[Number | None, Meta(description="What was seen.")] = None
    expected: Annotated[Number | None, Meta(description="What it should have been.")] = None
    threshold: Annotated[Number | None, Meta(description="The limit it crossed.")] = None
    sentence: Annotated[Sentence, Meta(description="The same as a sentence.")] = ""


class RuledOut(Value, frozen=True, kw_only=True):
    """A diagnosis that was considered and refuted, and why."""

    label: Annotated[Label, Meta(description="The diagnosis.")]
    because: Annotated[Sentence, Meta(description="Why it is not this one.")]


class RecordedDiagnosis(Value, frozen=True, kw_only=True):
    """The diagnosis that opened the Remediation, with everything it rests on."""

    label: Annotated[Label, Meta(description="From the closed table of diagnoses.")]
    also: Annotated[tuple[Label, ...], Meta(description="Labels that are true beside it.", max_length=16)] = ()
    cause: Annotated[SkewCause | None, Meta(description="Which skew it is, if it is one.")] = None
    manager: Annotated[
        Annotated[str, Meta(max_length=128)] | None, Meta(description="The field manager that wrote the wrong weights.")
    ] = None
    sentence: Annotated[Sentence, Meta(description="The diagnosis as a sentence with its numbers.")] = ""
    since: Annotated[Time | None, Meta(description="Since when it held.")] = None
    route_change: Annotated[
        RouteChange | None, Meta(description="The write of the route that caused it, where the weights are wrong.")
    ] = None
    pods: Annotated[tuple[Name, ...], Meta(description="The pods it names.", max_length=64)] = ()
    backends: Annotated[tuple[Name, ...], Meta(description="The backends it names.", max_length=64)] = ()
    evidence: Annotated[tuple[Evidence, ...], Meta(description="The numbers it rests on.", max_length=64)] = ()
    ruled_out: Annotated[
        tuple[RuledOut, ...],
        Meta(description="What it is not, and why.", max_length=16),
    ] = ()


class Approval(Value, frozen=True, kw_only=True):
    """Whether a person must agree, and what they said. Final once given."""

    required: Annotated[bool, Meta(description="Nothing is written until someone approves.")] = False
    decision: Annotated[ApprovalDecision | None, Meta(description="Approved or Denied. Final once set.")] = None
    by: Annotated[
        Annotated[str, Meta(max_length=256)] | None,
        Meta(description="Who decided: the signed-in user, which the admission policy checks."),
    ] = None
    note: Annotated[Annotated[str, Meta(max_length=1024)] | None, Meta(description="Why.")] = None


class RemediationSpec(Value, frozen=True, kw_only=True):
    """Why it was opened, and a person's decision. Only `approval` may change, once."""

    balancer_ref: Annotated[BalancerReference, Meta(description="The Balancer it belongs to.")]
    trigger: Annotated[Trigger, Meta(description="Why it was opened.")] = Trigger.Diagnosis
    undoes: Annotated[
        Name | None, Meta(description="With trigger Undo: the closed Remediation whose weight changes are taken back.")
    ] = None
    diagnosis: Annotated[RecordedDiagnosis, Meta(description="The diagnosis that opened it.")]
    approval: Annotated[
        Approval,
        Meta(
            description="Whether a person must agree, and what they said.",
            extra_json_schema={"x-kubernetes-validations": [_DECISION_NAMES_ITS_AUTHOR]},
        ),
    ] = field(default_factory=Approval)


class StepRecord(Value, frozen=True, kw_only=True):
    """One write, stored before it is made. `before` is the stored inverse."""

    name: Annotated[Name, Meta(description="Unique in this Remediation.")]
    action: Annotated[Literal["SetWeights", "Drain", "Isolate", "RestartPod"], Meta(description="What is written.")]
    state: Annotated[StepState, Meta(description="How far it is.")]
    purpose: Annotated[Purpose | None, Meta(description="Why weights are written.")] = None
    planned_at: Annotated[Time, Meta(description="When it was stored, before the write.")]
    applied_at: Annotated[Time | None, Meta(description="When the write was confirmed.")] = None
    judged_at: Annotated[Time | None, Meta(description="When traffic gave its verdict.")] = None
    before: Annotated[Weights | None, Meta(description="Weights before: the inverse.")] = None
    after: Annotated[Weights | None, Meta(description="Weights after.")] = None
    backend: Annotated[Name | None, Meta(description="The backend that is drained or whose pod is restarted.")] = None
    pod: Annotated[Name | None, Meta(description="The pod that is restarted.")] = None
    uid: Annotated[Name | None, Meta(description="Its UID: a precondition of the write.")] = None
    workload: Annotated[Name | None, Meta(description="Its controller: Deployment/shop-a.")] = None
    label: Annotated[
        PodLabel | None, Meta(description="The pod's label, key=value, that isolates it while it is off: the inverse.")
    ] = None
    error_ratio: Annotated[Number | None, Meta(description="Failed share of requests just before the write.")] = None
    requests_per_second: Annotated[Number | None, Meta(description="Requests just before the write.")] = None
    reverts: Annotated[Name | None, Meta(description="The step this one undoes.")] = None
    manager: Annotated[Name | None, Meta(description="The field manager that overwrote it.")] = None
    refused_since: Annotated[
        Time | None, Meta(description="Since when a PodDisruptionBudget has refused that the pod goes.")
    ] = None
    message: Annotated[Sentence, Meta(description="Why, or what became of it.")] = ""


class Proposal(Value, frozen=True, kw_only=True):
    """A write that is wanted and not made: what an approval allows first, or what would be done in Observe mode."""

    action: Annotated[
        Literal["SetWeights", "Drain", "Isolate", "RestartPod"], Meta(description="What would be written.")
    ]
    purpose: Annotated[Purpose | None, Meta(description="Why weights would be written.")] = None
    before: Annotated[Weights | None, Meta(description="Weights now.")] = None
    after: Annotated[Weights | None, Meta(description="Weights then.")] = None
    backend: Annotated[Name | None, Meta(description="The backend that is drained or whose pod is restarted.")] = None
    pod: Annotated[Name | None, Meta(description="The pod that is restarted.")] = None
    uid: Annotated[Name | None, Meta(description="Its UID.")] = None
    workload: Annotated[Name | None, Meta(description="Its controller: Deployment/shop-a.")] = None
    label: Annotated[PodLabel | None, Meta(description="The pod's label, key=value, that would be taken off.")] = None
    because: Annotated[Sentence, Meta(description="Why it is wanted.")] = ""
    effect: Annotated[Sentence, Meta(description="What it should bring.")] = ""
    computed_at: Annotated[
        Time, Meta(description="When it was worked out. Numbers that moved little since are not written anew.")
    ]


class Outcome(Value, frozen=True, kw_only=True):
    """What it came to, or has come to so far while it is open: an operator that takes over counts on from here.

    Seconds since the onset of the fault, as far as it is known: the route's write that caused it, or the first sign.
    """

    until: Annotated[Time | None, Meta(description="Counted until then; live numbers are metrics.")] = None
    time_to_detect_seconds: Annotated[Count | None, Meta(description="Onset until the diagnosis.")] = None
    time_to_mitigate_seconds: Annotated[Count | None, Meta(description="Onset until errors were gone.")] = None
    time_to_resolve_seconds: Annotated[
        Count | None, Meta(description="Onset until all was verified well, if it was.")
    ] = None
    requests: Annotated[Count | None, Meta(description="Requests seen while it was open.")] = None
    requests_failed: Annotated[Count | None, Meta(description="Of those, how many failed.")] = None
    requests_per_second: Annotated[Number | None, Meta(description="Requests a second, then.")] = None
    restarts: Annotated[Count | None, Meta(description="Pods restarted.")] = None
    weight_writes: Annotated[Count | None, Meta(description="Changes of weights.")] = None
    error_percent_before: Annotated[
        Number | None, Meta(description="Failed requests when it was opened, in percent.")
    ] = None
    error_percent_after: Annotated[Number | None, Meta(description="Failed requests then, in percent.")] = None


class TimelineEntry(Value, frozen=True, kw_only=True):
    """One thing that happened."""

    at: Annotated[Time, Meta(description="When.")]
    event: Annotated[str, Meta(description="A stable CamelCase word.", pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=63)]
    detail: Annotated[Sentence, Meta(description="A sentence.")] = ""


class RemediationStatus(Value, frozen=True, kw_only=True):
    """How far it is: the write-ahead record. After a crash the operator goes on from here."""

    observed_generation: Annotated[int, Meta(description="The generation of the spec this status is about.", ge=0)] = 0
    phase: Annotated[Phase | None, Meta(description="How far it is; the last five phases are final.")] = None
    conditions: Annotated[Conditions, Meta(description="Approved, Executed, Verified, RolledBack.")] = ()
    opened_at: Annotated[Time | None, Meta(description="When the fault was diagnosed.")] = None
    closed_at: Annotated[Time | None, Meta(description="When it was closed.")] = None
    steps: Annotated[
        tuple[StepRecord, ...],
        Meta(description="Every write, in order.", max_length=128, extra_json_schema=_map_by("name")),
    ] = ()
    overloaded_pods: Annotated[
        dict[str, Annotated[str, Meta(max_length=64)]],
        Meta(
            description="Pods that the skew overloaded, with their UIDs: candidates for a restart.",
            extra_json_schema={"maxProperties": 64},
        ),
    ] = field(default_factory=dict)
    undo_requested: Annotated[bool, Meta(description="A person asked for its weight changes to be undone.")] = False
    held: Annotated[Sentence, Meta(description="What it waits for, as a sentence.")] = ""
    proposal: Annotated[
        Proposal | None, Meta(description="The write that it would make next, while that is held back.")
    ] = None
    outcome: Annotated[Outcome | None, Meta(description="What it came to; while it is open, so far.")] = None
    timeline: Annotated[tuple[TimelineEntry, ...], Meta(description="What happened, in order.", max_length=64)] = ()
    recording: Annotated[
        str,
        Meta(
            description="The flight recording: recording/v1 JSON lines, gzip, base64. "
            "Only the newest few Remediations of a Balancer keep theirs.",
            max_length=360_000,  # 256 KiB in base64 and a little
        ),
    ] = ""


class Remediation(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One incident: what was wrong, what Evenload did about it, and what came of it. Outlives its Balancer."""

    api_version: Literal["evenload.dev/v1alpha1"] = "evenload.dev/v1alpha1"
    kind: Literal["Remediation"] = "Remediation"
    metadata: ObjectMeta
    spec: Annotated[
        RemediationSpec,
        Meta(extra_json_schema={"x-kubernetes-validations": [*_ONLY_APPROVAL_CHANGES, *_UNDO_IS_A_PERSONS_WISH]}),
    ]
    status: RemediationStatus = field(default_factory=RemediationStatus)
