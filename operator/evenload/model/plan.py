"""What may be done. An action is the next safe move, never more: the loop closes on every tick."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import get_args

from evenload.model.base import Value


class Purpose(StrEnum):
    """Why weights are written."""

    Restore = "Restore"  # the commanded weights were wrong: desired or last known good ones come back
    Rollback = "Rollback"  # a bad update: what it added gets nothing, the others what they had
    Rebalance = "Rebalance"  # the estimate-and-invert law
    Eject = "Eject"  # away from a failing or sinkhole backend
    Drain = "Drain"  # before a restart
    Ramp = "Ramp"  # after a restart
    Revert = "Revert"  # a step made things worse, or a person asked for undo


class SetWeights(Value, frozen=True, kw_only=True, tag_field="action", tag="SetWeights"):
    """Write these backend weights: both maps name every backend. `reverts` names the step this one undoes.

    `step` names the stored step when the action resumes one a crash left behind.
    """

    before: dict[str, int]
    after: dict[str, int]
    purpose: Purpose
    because: str
    reverts: str | None = None
    step: str | None = None


class Drain(Value, frozen=True, kw_only=True, tag_field="action", tag="Drain"):
    """Take traffic off `backend` ahead of the restart of `pod`; weights as in SetWeights."""

    before: dict[str, int]
    after: dict[str, int]
    backend: str
    pod: str
    uid: str
    because: str
    purpose: Purpose = Purpose.Drain
    step: str | None = None


class Isolate(Value, frozen=True, kw_only=True, tag_field="action", tag="Isolate"):
    """Take `label` ("app=web") off this very pod: no Service sends it anything new, its controller lets go of it and
    brings a replacement at once. The label is the inverse."""

    backend: str
    pod: str
    uid: str
    workload: str
    label: str
    because: str
    step: str | None = None


class RestartPod(Value, frozen=True, kw_only=True, tag_field="action", tag="RestartPod"):
    """Evict this very pod (the UID is a precondition); its controller brings the replacement.

    `label`: the one that it was isolated by. Then it has no controller any more, and its replacement is there already.
    """

    backend: str
    pod: str
    uid: str
    workload: str
    because: str
    label: str | None = None
    step: str | None = None


class Freeze(Value, frozen=True, kw_only=True, tag_field="action", tag="Freeze"):
    """Touch nothing; say why, and until when (seconds since epoch) where known."""

    because: str
    until: float | None = None


class Advise(Value, frozen=True, kw_only=True, tag_field="action", tag="Advise"):
    """Something only people can do. `topic` is a stable CamelCase word."""

    topic: str
    because: str


Action = SetWeights | Drain | Isolate | RestartPod | Freeze | Advise
WeightAction = SetWeights | Drain
PodAction = Isolate | RestartPod
Write = SetWeights | Drain | Isolate | RestartPod

WEIGHT_ACTIONS = frozenset(kind.__name__ for kind in get_args(WeightAction))
POD_ACTIONS = frozenset(kind.__name__ for kind in get_args(PodAction))
"""As steps call them."""


def lowered(before: Mapping[str, int], after: Mapping[str, int]) -> tuple[str, ...]:
    """Backends whose share falls by more than a tenth from the weights `before` to those `after`."""
    old, new = sum(before.values()), sum(after.values())
    return tuple(name for name in before if after.get(name, 0) * old < 0.9 * before[name] * new)
