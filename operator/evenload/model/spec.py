"""What a person writes in a Balancer. The CRD, its defaults and its documentation are generated from here.

Durations are Kubernetes duration texts ("30s", "5m"); `policy.py` resolves them to seconds for the engine.
Users say *what*; mechanics (gains, significance levels) are constants beside the code that uses them.
The constraints, CEL rules included, stand at the field they constrain: the API server enforces them, so a wrong
spec never reaches the operator.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from msgspec import Meta, field

from evenload.model.base import Value


def _rule(rule: str, message: str, field_path: str | None = None) -> dict[str, Any]:
    """One CEL rule of the API server; `field_path` is the child that the message is about."""
    path = {} if field_path is None else {"fieldPath": field_path}
    return {"rule": rule, "message": message, "reason": "FieldValueInvalid", **path}


def _rules(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"x-kubernetes-validations": list(rules)}


def _map_by(key: str) -> dict[str, Any]:
    """A list whose items are told apart by `key`: the API server refuses two with the same."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


def _between(least: str, most: str, description: str) -> Meta:
    """A duration text within bounds (both inclusive)."""
    return Meta(
        description=f"{description} From {least} to {most}.",
        pattern=r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$",
        max_length=32,
        extra_json_schema=_rules(
            _rule(
                f"duration(self) >= duration('{least}') && duration(self) <= duration('{most}')",
                f'must be a duration from {least} to {most}, written like "30s", "5m" or "1h30m"',
            )
        ),
    )


# The same that observe/address.py checks; there again, as older objects may be stored and addresses come by flags too.
_ADDRESS = _rules(
    _rule(
        "!self.matches('^https?://[^/]*@|[?#]')",
        "must hold no user name, no ? and no #: an address ends with its path",
    ),
    _rule(
        r"self.matches('^https?://([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?"
        r"(/[A-Za-z0-9._~!$&()*+,;=:@-]+)*/?$') && isURL(self) && url(self).getHostname() != ''",
        "must be an address like http://prometheus.monitoring:9090 or https://thanos.example/prefix",
    ),
    _rule(  # not int(url(self).getPort()): the API server reckons with a port as long as the whole and refuses the cost
        "!self.matches('^https?://[^/]*:[0-9]+(/|$)') || self.matches('^https?://[^/]*:([1-9][0-9]{0,3}|[1-5][0-9]{4}"
        "|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])(/|$)')",
        "must have a port from 1 to 65535",
    ),
)

Name = Annotated[str, Meta(min_length=1, max_length=253)]
LabelName = Annotated[str, Meta(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=128)]
DEFAULT_KIND = "HTTPRoute"
SignalName = Literal["requests", "errors", "latency", "cpu", "memory", "inFlight"]


class Mode(StrEnum):
    """How far Evenload may go; ordered from the strictest."""

    Observe = "Observe"
    Approve = "Approve"
    Auto = "Auto"


class TargetRef(Value, frozen=True, kw_only=True):
    """The balancer to look after. Its kind chooses the driver. Immutable."""

    kind: Annotated[
        str,
        Meta(description="Kind of the balancer."),  # the CRD lists the kinds that have a driver (api/crd.py)
    ] = DEFAULT_KIND
    name: Annotated[str, Meta(description="Name of the balancer.", min_length=1, max_length=253)]
    namespace: Annotated[
        Name | None, Meta(description="Must be the Balancer's own namespace; unset means just that.")
    ] = None
    rule_name: Annotated[
        Name | None,
        Meta(
            description="Which rule of the route, by its name. Unset: every rule that splits over two or more "
            "Services; where there is none, all that lead to the one Service."
        ),
    ] = None


class DesiredType(StrEnum):
    """Even: the same share to each ready pod. ByCapacity: in proportion to capacity. Explicit: as `shares` say."""

    Even = "Even"
    ByCapacity = "ByCapacity"
    Explicit = "Explicit"


class Share(Value, frozen=True, kw_only=True):
    """One backend's share of the traffic, relative to the others' (like a weight)."""

    backend: Annotated[
        str,
        Meta(description="Name of the backend: a Service of the route, or name/subset.", min_length=1, max_length=253),
    ]
    weight: Annotated[int, Meta(description="Relative share; 0 means no traffic.", ge=0, le=1_000_000)]


class Desired(Value, frozen=True, kw_only=True):
    """The share each backend should have."""

    type: Annotated[DesiredType, Meta(description="How the shares are chosen.")] = DesiredType.Even
    shares: Annotated[
        tuple[Share, ...],
        Meta(
            description="The shares themselves, one entry for every backend of the route. Only with type Explicit. "
            "With a name that is no backend, or a backend left out, Ready is False and no weight is written.",
            max_length=64,
            extra_json_schema=_map_by("backend"),
        ),
    ] = ()
    tolerance_percent: Annotated[
        int,
        Meta(description="By how much a pod may exceed its share before it counts as skewed.", ge=5, le=200),
    ] = 30


class SignalLabels(Value, frozen=True, kw_only=True):
    """Label names of the application's own metrics."""

    namespace: Annotated[LabelName, Meta(description="Label that holds the pod's namespace.")] = "namespace"
    pod: Annotated[LabelName, Meta(description="Label that holds the pod's name.")] = "pod"
    code: Annotated[
        LabelName | None,
        Meta(
            description="Label that holds the status (200, 5xx). Unset: the preset's, or, where the preset is found by "
            "looking, the one that is found. Where no series has one, errors are unknown."
        ),
    ] = None


class Query(Value, frozen=True, kw_only=True):
    """A PromQL template that overrides one signal of the preset; one series a pod."""

    signal: Annotated[SignalName, Meta(description="The signal it overrides.")]
    query: Annotated[
        str,
        Meta(
            description="PromQL; $(namespace), $(pods) and $(window) are filled in, quoted for a regular expression. "
            "In one for errors, no row means no errors.",
            min_length=1,
            max_length=4096,
        ),
    ]


class Signals(Value, frozen=True, kw_only=True):
    """Where the numbers come from."""

    preset: Annotated[
        Annotated[str, Meta(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)] | None,
        Meta(
            description="Whose metrics: app, otel, otel-old, micrometer, grpc, istio, linkerd, envoy-gateway, traefik, "
            "or one that the installation has of its own. Unset: whichever answers for most of these pods, of those "
            "that name pods and not addresses; status.resolved.signals says which that is.",
        ),
    ] = None
    labels: Annotated[SignalLabels, Meta(description="Label names of the application's own metrics.")] = field(
        default_factory=SignalLabels
    )
    window: Annotated[
        Annotated[str, _between("5s", "10m", "Over which time rates are taken.")] | None,
        Meta(description="Over which time rates are taken. Unset: three scrape intervals, at least 15s."),
    ] = None
    max_age: Annotated[str, _between("5s", "15m", "Older samples count as missing.")] = "60s"
    min_requests_per_pod: Annotated[
        int,
        Meta(description="Fewer requests a pod in the window prove nothing about its share.", ge=1, le=100_000),
    ] = 20
    queries: Annotated[
        tuple[Query, ...],
        Meta(description="Overrides of single signals.", max_length=16, extra_json_schema=_map_by("signal")),
    ] = ()
    matchers: Annotated[
        tuple[
            Annotated[
                str, Meta(pattern=r'^ *[a-zA-Z_][a-zA-Z0-9_]* *(=|!=|=~|!~) *"([^"\\]|\\["\\])*" *$', max_length=256)
            ],
            ...,
        ],
        Meta(
            description="Which series are meant, where Prometheus has several under the names of these pods: of "
            'several clusters, or of several containers of a pod. PromQL matchers, as in cluster="east". They are '
            "added to the preset's queries of the application's metrics; those that name a cluster to all of the "
            "preset's.",
            max_length=8,
        ),
    ] = ()
    prometheus_url: Annotated[
        Annotated[str, Meta(pattern=r"^https?://", max_length=2048, extra_json_schema=_ADDRESS)] | None,
        Meta(description="Address of Prometheus. Unset: the installation's. Others are the installation's to allow."),
    ] = None


class Guardrails(Value, frozen=True, kw_only=True):
    """Budgets that no diagnosis can talk Evenload out of."""

    max_utilization_percent: Annotated[
        int,
        Meta(description="Predicted CPU of any receiver of moved traffic, in percent of its limit.", ge=10, le=100),
    ] = 85
    min_ready_percent: Annotated[
        int, Meta(description="Pods that must stay ready, in percent of all.", ge=51, le=100)
    ] = 51
    restarts_per_hour: Annotated[
        int,
        Meta(
            description="Restarts in any hour of pods of the workloads behind it, by whichever Balancer; 0 means none.",
            ge=0,
            le=60,
        ),
    ] = 3
    pod_cooldown: Annotated[str, _between("1s", "24h", "Rest of a pod's place after a restart.")] = "10m"
    workload_cooldown: Annotated[str, _between("1s", "24h", "Rest of a workload after a restart.")] = "5m"
    min_write_interval: Annotated[str, _between("1s", "10m", "Least time between two writes of weights.")] = "2s"


class RestartWhen(StrEnum):
    """Never; OnlyAfterOverload: a pod that an overload left sick; Allowed: any pod the rules find failing."""

    Never = "Never"
    OnlyAfterOverload = "OnlyAfterOverload"
    Allowed = "Allowed"


class Restart(Value, frozen=True, kw_only=True):
    """When and how a pod may be restarted: always by eviction, always drained first."""

    when: Annotated[RestartWhen, Meta(description="Which pods may be restarted.")] = RestartWhen.Allowed
    drain_timeout: Annotated[str, _between("1s", "30m", "How long to wait for in-flight requests to end.")] = "60s"
    eviction_deadline: Annotated[
        str, _between("1s", "1h", "How long to wait out a PodDisruptionBudget that refuses.")
    ] = "5m"
    replacement_timeout: Annotated[str, _between("1s", "1h", "How long a replacement may take to get ready.")] = "5m"
    ramp_window: Annotated[str, _between("1s", "1h", "Over which time a replacement gets its full share.")] = "60s"
    keep_isolated: Annotated[
        bool,
        Meta(
            description="Whether a pod that was isolated is kept for inspection instead of evicted: at most one of a "
            "workload, until a person deletes it."
        ),
    ] = False


class Actions(Value, frozen=True, kw_only=True):
    """A stricter mode for one kind of action; unset means `mode`."""

    reweight: Annotated[Mode | None, Meta(description="For changes of weights.")] = None
    restart: Annotated[Mode | None, Meta(description="For restarts of pods.")] = None


class GuardMode(StrEnum):
    """Off: nothing is looked at. Warn: who updates is warned, and never stopped. Deny: the update is refused."""

    Off = "Off"
    Warn = "Warn"
    Deny = "Deny"


class Guard(Value, frozen=True, kw_only=True):
    """What is done about an update of the balancer that looks like a mistake, or turns out to be one."""

    mode: Annotated[
        GuardMode,
        Meta(
            description="Off, Warn (who updates is warned, and never stopped) or Deny (the update is refused). The "
            "installation must have the guard's policies."
        ),
    ] = GuardMode.Warn
    max_share_percent: Annotated[
        Annotated[int, Meta(ge=1, le=100)] | None,
        Meta(
            description="The largest share of the traffic that an update may give one backend, in percent; never less "
            "than the share it should have. Unset: its weight may be at most twice what it should be beside the "
            "others' (67% of two even backends, 50% of three, 40% of four)."
        ),
    ] = None
    probation: Annotated[
        str,
        _between(
            "0s",
            "1h",
            "How long an update by another writer is on probation: if requests fail or are late because of it, its "
            "weights are put back, as far as the mode allows. 0s: not at all.",
        ),
    ] = "3m"


class BalancerSpec(Value, frozen=True, kw_only=True):
    """Desired state of a Balancer. The common case is `targetRef` alone."""

    target_ref: Annotated[
        TargetRef,
        Meta(
            description="The balancer to look after. Its kind chooses the driver. Immutable.",
            extra_json_schema=_rules(
                _rule("self == oldSelf", "is immutable: delete this Balancer and create one for the other target")
            ),
        ),
    ]
    mode: Annotated[
        Mode,
        Meta(
            description="How far Evenload may go: Observe (look and record), Approve (ask first), Auto (act). "
            "The strictest of this, actions and the installation's maxMode holds."
        ),
    ] = Mode.Observe
    actions: Annotated[Actions, Meta(description="A stricter mode for one kind of action.")] = field(
        default_factory=Actions
    )
    desired: Annotated[
        Desired,
        Meta(
            description="The share each backend should have.",
            extra_json_schema=_rules(
                _rule(
                    "self.type != 'Explicit' || self.shares.exists(s, s.weight > 0)",
                    "type Explicit needs at least one share above zero: name each backend and its weight here",
                    ".shares",
                ),
                _rule(
                    "self.type == 'Explicit' || size(self.shares) == 0",
                    "shares are read only with desired.type: Explicit; set that, or remove them",
                    ".shares",
                ),
            ),
        ),
    ] = field(default_factory=Desired)
    signals: Annotated[Signals, Meta(description="Where the numbers come from.")] = field(default_factory=Signals)
    guardrails: Annotated[Guardrails, Meta(description="Budgets that no diagnosis can talk Evenload out of.")] = field(
        default_factory=Guardrails
    )
    restart: Annotated[Restart, Meta(description="When and how a pod may be restarted.")] = field(
        default_factory=Restart
    )
    guard: Annotated[
        Guard, Meta(description="What is done about an update that looks like a mistake, or turns out to be one.")
    ] = field(default_factory=Guard)
    suspend: Annotated[bool, Meta(description="Stop all writes for this Balancer; it is still observed.")] = False
    history_limit: Annotated[int, Meta(description="How many closed Remediations are kept.", ge=1, le=500)] = 50
