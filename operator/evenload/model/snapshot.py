"""All that one tick knows about one Balancer. The engine's decision is a function of this and its own memory.

An absent number is None, never 0. The field names in camelCase are the public recording format `recording/v1`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NoReturn, get_args

from msgspec import field

from evenload.model.base import Value
from evenload.model.episode import Disruption, Episode
from evenload.model.spec import Mode
from evenload.model.spec import SignalName as SignalName

SIGNALS: tuple[SignalName, ...] = get_args(SignalName)


class SignalState(StrEnum):
    """Quality of one signal over the whole Balancer."""

    Fresh = "Fresh"
    Missing = "Missing"  # no series at all, or Prometheus did not answer
    Stale = "Stale"  # the newest sample is older than maxAge
    NaN = "NaN"  # the answer held something that is not a number
    Partial = "Partial"  # some ready pods have no series

    def __bool__(self) -> NoReturn:
        raise TypeError("a signal's state is not a truth value: compare it, absence must never read as zero")


class Signal(Value, frozen=True, kw_only=True):
    """How good a signal is, and the age in seconds of its newest sample where known."""

    state: SignalState = SignalState.Fresh
    age: float | None = None
    detail: str = ""


class Pod(Value, frozen=True, kw_only=True):
    """What can be restarted. Counts are over the window; seconds, cores, bytes."""

    ready: bool
    age: float | None = None  # of its newest container
    created_at: float | None = None  # the pod itself, in seconds since the epoch
    uid: str = ""
    node: str | None = None
    zone: str | None = None
    workload: str | None = None  # "Deployment/shop-a"; None: no controller, so never evicted
    terminating: bool = False
    isolable_by: str | None = None  # "app=web": the label whose removal isolates it; None: it cannot be isolated
    protected: bool = False  # by an annotation, or by being in another namespace
    pre_stop_seconds: float | None = None  # preStop sleep, if any
    capacity: float | None = None  # evenload.dev/capacity
    requests: float | None = None
    errors: float | None = None
    latency: float | None = None
    cpu: float | None = None
    cpu_limit: float | None = None
    memory: float | None = None
    memory_limit: float | None = None
    in_flight: float | None = None


class Steers(StrEnum):
    """By what a setting of a Service keeps requests from spreading over all of its pods."""

    Client = "Client"  # each client stays with one pod
    Zone = "Zone"  # requests stay in their client's zone
    Node = "Node"  # or on its node


class Steering(Value, frozen=True, kw_only=True):
    """Such a setting, as people write it: "spec.sessionAffinity: ClientIP"."""

    by: Steers
    setting: str


class Backend(Value, frozen=True, kw_only=True):
    """What the driver can weight: a Service behind a route; or a Service itself. `weight` is what is commanded now."""

    weight: int
    pods: dict[str, Pod] = field(default_factory=dict)
    steering: tuple[Steering, ...] = ()  # of a Service that is the target itself: gateways go past it
    by_service: bool = False  # requests, errors, latency are the whole backend's: each ready pod has an equal part


class RouteWrite(Value, frozen=True, kw_only=True):
    """Who last wrote the route's weights or rules, when, and what the weights were before, as far as was seen.

    `elsewhere`: JSON Pointers of what else it changed; `undo`: a command that puts those back, where one is known.
    """

    manager: str
    time: float
    before: dict[str, int] | None = None
    elsewhere: tuple[str, ...] = ()
    undo: str = ""


class Hold(Value, frozen=True, kw_only=True):
    """A reason from outside the engine not to write now: Paused, Rollout, Autoscaling, NotAccepted ..."""

    reason: str
    detail: str = ""
    restarts_only: bool = False  # weights may be written all the same


class Snapshot(Value, frozen=True, kw_only=True):
    """One tick of one Balancer. `time` in seconds since the epoch, `window` in seconds."""

    time: float
    window: float
    backends: dict[str, Backend]
    isolated: dict[str, Pod] = field(default_factory=dict)  # pods that steps of ours keep out of every Service
    signals: dict[str, Signal] = field(default_factory=dict)
    last_write: RouteWrite | None = None
    known_good: dict[str, int] | None = None  # the last weights under which traffic was seen balanced
    episode: Episode | None = None  # the open Remediation, if any
    ledger: tuple[Disruption, ...] = ()  # disruptions and reverts of the last day, from closed Remediations too
    holds: tuple[Hold, ...] = ()
    max_mode: Mode = Mode.Auto  # the installation's ceiling
    weights_total: int | None = None  # what weights that are planned come to, where the plane counts in parts of that
