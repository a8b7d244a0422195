"""The engine's answer for one tick: what it sees, what it does now, what it holds back and why."""

from __future__ import annotations

from enum import StrEnum

from msgspec import field

from evenload.model.base import Value
from evenload.model.diagnosis import Diagnosis
from evenload.model.episode import Phase, StepState
from evenload.model.forecast import Forecast
from evenload.model.plan import Action


class HeldReason(StrEnum):
    """Why an action that the plan wants is not done now. A stable word: events, metrics and docs use it."""

    ObserveMode = "ObserveMode"
    AwaitingApproval = "AwaitingApproval"
    Denied = "Denied"
    Paused = "Paused"
    Rollout = "Rollout"
    Autoscaling = "Autoscaling"
    Contested = "Contested"
    CoolDown = "CoolDown"
    Budget = "Budget"
    OneAtATime = "OneAtATime"
    LastReadyPod = "LastReadyPod"
    Headroom = "Headroom"
    Panic = "Panic"
    Frozen = "Frozen"
    WriteInterval = "WriteInterval"
    NoController = "NoController"
    Protected = "Protected"
    RestartNever = "RestartNever"
    NotAccepted = "NotAccepted"
    NotPermitted = "NotPermitted"
    ProgressiveDelivery = "ProgressiveDelivery"
    EmptyBackend = "EmptyBackend"
    Guard = "Guard"


class Held(Value, frozen=True, kw_only=True):
    """An action held back, by which budget, until when (seconds since epoch) where known, in a sentence."""

    action: Action
    reason: HeldReason
    detail: str = ""
    until: float | None = None


class Verdict(Value, frozen=True, kw_only=True):
    """What became of a stored step, told by this Snapshot. `state` is the step's new state."""

    step: str
    state: StepState
    because: str
    manager: str | None = None


class EpisodeMove(StrEnum):
    """What should happen to the Remediation."""

    Stay = "Stay"
    Open = "Open"
    Close = "Close"


class Decision(Value, frozen=True, kw_only=True):
    """`actions` are allowed now (at most one write); `held` are wanted but not allowed; `phase` is the episode's."""

    time: float
    diagnosis: Diagnosis
    actions: tuple[Action, ...] = ()
    held: tuple[Held, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    episode: EpisodeMove = EpisodeMove.Stay
    phase: Phase | None = None
    overloaded_pods: dict[str, str] = field(default_factory=dict)  # to be stored with the episode: see Episode
    error_ratio: float | None = None
    requests_per_second: float | None = None
    balanced: bool | None = None  # None: cannot tell
    settled: bool = False  # balanced for long enough that these weights are worth remembering as good
    worst_ratio: float | None = None  # the largest share / target share
    shares: dict[str, float] = field(default_factory=dict)  # backend -> share of requests seen
    targets: dict[str, float] = field(default_factory=dict)  # backend -> share it should have
    saturation: Forecast | None = None  # when the first pod has no CPU left; None: unknown
    out_of_memory: Forecast | None = None  # when the first leaking pod is full
    sentence: str = ""
