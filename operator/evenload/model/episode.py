"""An incident episode as the engine sees it: the open Remediation, its steps, and the ledger of past disruptions.

It is the write-ahead record. A step is stored as Planned before its write and as Applied after it, so whoever comes
next can tell from the cluster alone what was done, what was about to be, and how to undo it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import field

from evenload.model.base import Value
from evenload.model.diagnosis import Label
from evenload.model.plan import Purpose


class Phase(StrEnum):
    """Of a Remediation; the last five are final."""

    Observed = "Observed"
    AwaitingApproval = "AwaitingApproval"
    Executing = "Executing"
    Verifying = "Verifying"
    Succeeded = "Succeeded"
    RolledBack = "RolledBack"
    Failed = "Failed"
    Denied = "Denied"
    Expired = "Expired"


FINAL_PHASES = frozenset({Phase.Succeeded, Phase.RolledBack, Phase.Failed, Phase.Denied, Phase.Expired})


FIELD_MANAGER = "evenload"  # under which our writes stand in managedFields: whoever else is there is foreign
ANOTHER_EVENLOAD = "another evenload"  # as a step's manager: our name stands there, and no step of ours wrote that


class StepState(StrEnum):
    """Of a step. A step moves rightwards only."""

    Planned = "Planned"  # stored, not yet known to be written
    Applied = "Applied"  # written
    Verified = "Verified"  # traffic did what was predicted
    Ineffective = "Ineffective"  # traffic did not move
    Reverted = "Reverted"  # made things worse, undone
    Overwritten = "Overwritten"  # another writer put something else there; `manager` says who
    Abandoned = "Abandoned"  # never written, and no longer wanted


EFFECTIVE_STATES = frozenset({StepState.Applied, StepState.Verified, StepState.Ineffective})  # stands in the cluster


class Step(Value, frozen=True, kw_only=True):
    """One write. `name` is unique in the episode. Times in seconds since the epoch."""

    name: str
    action: Literal["SetWeights", "Drain", "Isolate", "RestartPod"]
    state: StepState
    planned_at: float
    applied_at: float | None = None
    judged_at: float | None = None
    purpose: Purpose | None = None
    before: dict[str, int] | None = None
    after: dict[str, int] | None = None  # `before` is the stored inverse
    backend: str | None = None
    pod: str | None = None
    uid: str | None = None
    workload: str | None = None
    label: str | None = None  # "app=web": taken off the pod by an Isolate, which is its stored inverse
    error_ratio: float | None = None  # of the whole Balancer just before the write: what "worse" is measured against
    requests_per_second: float | None = None
    reverts: str | None = None
    manager: str | None = None
    refused_since: float | None = None  # since when a PodDisruptionBudget has refused that this pod goes
    message: str = ""


class ApprovalDecision(StrEnum):
    Approved = "Approved"
    Denied = "Denied"


class Undoing(Value, frozen=True, kw_only=True):
    """What taking back the closed Remediation `of` comes to: from the weights it left to those it found.

    `refusal` says in a sentence why there is nothing to take back.
    """

    of: str
    left: dict[str, int] = field(default_factory=dict)
    found: dict[str, int] = field(default_factory=dict)
    refusal: str = ""


class Episode(Value, frozen=True, kw_only=True):
    """The open Remediation."""

    name: str
    opened_at: float
    label: Label
    phase: Phase
    steps: tuple[Step, ...] = ()
    approval: ApprovalDecision | None = None
    undo_requested: bool = False  # a person asked for every effective weight change to be undone
    undoes: Undoing | None = None  # all this one is for: a person wants a closed one taken back
    overloaded_pods: dict[str, str] = field(
        default_factory=dict
    )  # pod -> uid of those the skew overloaded: candidates for a restart later


class Disruption(Value, frozen=True, kw_only=True):
    """Something budgets count: a pod taken away, a revert, a person's no; `until` carries a freeze that it set."""

    time: float
    kind: Literal["Restart", "Revert", "Contested", "Denied"]
    pod: str | None = None
    workload: str | None = None
    label: Label | None = None
    until: float | None = None
