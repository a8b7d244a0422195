"""One table of updates and of what the guard says of each: for its Python, and for its CEL in a real API server.

And drawn ones (`drawn`), for which both must say the same, whatever that is.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from evenload.api.v1alpha1 import GUARD_OVERRIDE_ANNOTATION
from evenload.drivers import DRIVERS
from evenload.drivers.base import Driver, Split

Manifest = dict[str, Any]
Weights = dict[str, int | None]
KINDS = {kind: driver for kind, driver in DRIVERS.items() if driver.split is not None}

EVEN: Weights = {"a": 1, "b": 1, "c": 1}
PAIR: Weights = {"a": 1, "b": 1}


def too_much(backend: str, share: float, limit: float) -> str:
    return f"gives Service {backend} {share}% (at most {limit}%) of the traffic"


def rollout(state: str) -> dict[str, Any]:
    return {"labels": {"rollouts.argoproj.io/gatewayapi-canary": state}}


def owner(kind: str) -> dict[str, Any]:
    return {"ownerReferences": [{"apiVersion": "example.com/v1", "kind": kind, "name": "shop", "uid": "u"}]}


TOO_MUCH = too_much("a", 99.3, 50.0)
ALL_ZERO = "gives every Service of a rule weight 0, so that each of its requests would fail"


@dataclass(frozen=True)
class Case:
    """`before` and `after`: a rule each, as weights or as references. `said`: how the sentences go on after "this
    update"; of nothing, the update is none of the guard's business."""

    name: str
    before: list[Any]
    after: list[Any]
    said: tuple[str, ...] = ()
    guard: dict[str, Any] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)
    target: dict[str, Any] = field(default_factory=dict)
    targets: dict[str, int] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    metadata_after: dict[str, Any] | None = None  # None: as before
    override: str = ""  # the reason that lets it pass
    only: tuple[str, ...] = tuple(KINDS)

    def balancer(self, kind: str, namespace: str, name: str = "shop", mode: str = "Deny") -> Manifest:
        spec = {"targetRef": {"kind": kind, "name": name, **self.target}, "guard": {"mode": mode, **self.guard}}
        made: Manifest = {
            "apiVersion": "evenload.dev/v1alpha1",
            "kind": "Balancer",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {**spec, **self.spec},
        }
        return made if self.targets is None else {**made, "status": {"targetShares": self.targets}}

    def objects(self, kind: str, namespace: str, name: str = "shop") -> tuple[Manifest, Manifest]:
        """Before and after."""
        later = self.metadata if self.metadata_after is None else self.metadata_after
        return (
            made(KINDS[kind], namespace, name, self.before, self.metadata),
            made(KINDS[kind], namespace, name, self.after, later),
        )


RULE: dict[str, dict[str, Any]] = {"IngressRoute": {"kind": "Rule", "match": "PathPrefix(`/`)"}}
"""What the API server asks of a rule of that kind, besides its references."""


def made(driver: Driver, namespace: str, name: str, rules: list[Any], metadata: dict[str, Any]) -> Manifest:
    """An object of the driver's kind, with its weights where the driver says that they stand."""
    manifest: Manifest = {
        "apiVersion": driver.resource.api_version,
        "kind": driver.kind,
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": {},
    }
    split = driver.split
    assert isinstance(split, Split)
    written = [
        [_as_destination(each, namespace) if split.mesh else each for each in _references(rule)] for rule in rules
    ]
    found = [
        {**RULE.get(driver.kind, {}), **_put({}, split.references, each), **_name_of(rule)}
        for each, rule in zip(written, rules, strict=True)
    ]
    return _put(manifest, split.rules, found) if split.rules else {**manifest, **found[0]}


def _put(into: dict[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    first, *rest = path
    return {**into, first: _put(into.get(first, {}), tuple(rest), value) if rest else value}


def _references(rule: Any) -> list[dict[str, Any]]:
    given = rule["references"] if isinstance(rule, dict) and "references" in rule else rule
    if isinstance(given, list):
        return given
    return [reference(name, weight) for name, weight in given.items()]


def _as_destination(reference: dict[str, Any], namespace: str) -> dict[str, Any]:
    """The same as one of a mesh: "web/v1" is a subset; with a namespace ("{own}": the object's) it is named in full."""
    host, _, subset = reference["name"].partition("/")
    if "namespace" in reference:
        host = f"{host}.{reference['namespace'].format(own=namespace)}.svc.cluster.local"
    destination = {"host": host, "port": {"number": reference["port"]}, **({"subset": subset} if subset else {})}
    weight = {"weight": reference["weight"]} if "weight" in reference else {}
    return {"destination": destination, **weight}


def _name_of(rule: Any) -> dict[str, str]:
    return {"name": rule["name"]} if isinstance(rule, dict) and "references" in rule else {}


def reference(name: str, weight: int | None = None, **rest: Any) -> dict[str, Any]:
    return {"name": name, "port": 80, **({} if weight is None else {"weight": weight}), **rest}


def named(name: str, **weights: int) -> dict[str, Any]:
    return {"name": name, "references": weights}


def reason(text: str) -> dict[str, Any]:
    return {"annotations": {GUARD_OVERRIDE_ANNOTATION: text}}


ROUTES = ("HTTPRoute", "GRPCRoute")
SPLITS = {kind: driver.split for kind, driver in KINDS.items() if driver.split is not None}
MESH = tuple(kind for kind, split in SPLITS.items() if split.mesh)
OF_GATEWAYS = tuple(kind for kind, split in SPLITS.items() if not split.mesh)
WITH_RULES = tuple(kind for kind, split in SPLITS.items() if split.rules)
WITH_NAMES = tuple(kind for kind, split in SPLITS.items() if split.rules and split.named)
WITHOUT_NAMES = tuple(kind for kind in KINDS if kind not in WITH_NAMES)
WEIGHED_ALONE = tuple(kind for kind, split in SPLITS.items() if split.alone)
NOT_WEIGHED_ALONE = tuple(kind for kind in KINDS if kind not in WEIGHED_ALONE)
OF_TRAEFIK = tuple(kind for kind, driver in KINDS.items() if driver.resource.group == "traefik.io")
BAD: Weights = {"a": 250, "b": 1, "c": 1}
EXPLICIT = {"desired": {"type": "Explicit", "shares": [{"backend": "a", "weight": 80}, {"backend": "b", "weight": 20}]}}

CASES = (
    Case("nearly-all-to-one", [EVEN], [BAD], (TOO_MUCH,)),
    Case("all-to-one-of-two", [PAIR], [{"a": 1, "b": 0}], (too_much("a", 100.0, 66.6),)),
    Case("one-of-two-at-its-limit", [PAIR], [{"a": 2, "b": 1}]),
    Case("one-of-two-just-over", [PAIR], [{"a": 2001, "b": 1000}], (too_much("a", 66.7, 66.6),)),
    Case("one-of-three-drained", [EVEN], [{"a": 0, "b": 1, "c": 1}]),
    Case("two-of-three-drained", [EVEN], [{"a": 1, "b": 0, "c": 0}], (too_much("a", 100.0, 50.0),)),
    Case(
        "two-at-once-too-much",
        [{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1}],
        [{"a": 9, "b": 9, "c": 1, "d": 1, "e": 1, "f": 1}],
        ("gives Service a 41.0% (at most 28.5%), Service b 41.0% (at most 28.5%) of the traffic",),
    ),
    Case(
        "no-weights-written",
        [{"a": None, "b": None}],
        [{"a": 9, "b": None}],
        (too_much("a", 90.0, 66.6),),
        only=OF_GATEWAYS,
    ),
    Case(
        "no-weight-beside-others-in-a-mesh",
        [{"a": 50, "b": 50}],
        [{"a": 50, "b": None}],
        (too_much("a", 100.0, 66.6),),
        only=MESH,
    ),
    Case("no-weights-in-a-mesh", [{"a": 50, "b": 50}], [{"a": None, "b": None}], (ALL_ZERO,), only=MESH),
    Case("the-only-one-at-zero-where-it-counts-for-nothing", [{"a": 100}], [{"a": 0}], only=NOT_WEIGHED_ALONE),
    Case(
        "too-much-to-a-subset",
        [{"web/v1": 50, "web/v2": 50}],
        [{"web/v1": 95, "web/v2": 5}],
        (too_much("web/v1", 95.0, 66.6),),
        only=MESH,
    ),
    Case(
        "a-subset-dropped",
        [{"web": 50, "web/v2": 50}],
        [{"web": 100}],
        ("drops Service web/v2, which had a share of the traffic",),
        only=MESH,
    ),
    Case(
        "a-host-written-in-full",
        [{"a": 50, "b": 50}],
        [[reference("a", 95, namespace="{own}"), reference("b", 5)]],
        (too_much("a", 95.0, 66.6),),
        only=MESH,
    ),
    Case(
        "a-host-that-is-no-service",
        [[reference("a", 50), reference("b", 50)]],
        [[reference("a", 50), reference("b", 50), reference("api.example.com", 900)]],
        only=MESH,
    ),
    Case("as-it-was", [BAD], [BAD]),
    Case("better-than-it-was", [BAD], [{"a": 90, "b": 5, "c": 5}]),
    Case("worse-than-it-was", [{"a": 90, "b": 5, "c": 5}], [BAD], (TOO_MUCH,)),
    Case("out-of-all-zero", [{"a": 0, "b": 0, "c": 0}], [BAD], (TOO_MUCH,)),
    Case("put-back", [BAD], [EVEN]),
    Case(
        "limit-of-its-own",
        [EVEN],
        [{"a": 7, "b": 2, "c": 1}],
        (too_much("a", 70.0, 60.0),),
        guard={"maxSharePercent": 60},
    ),
    Case("within-a-limit-of-its-own", [EVEN], [{"a": 6, "b": 2, "c": 2}], guard={"maxSharePercent": 60}),
    Case("limit-under-the-even-share", [{"a": 9, "b": 1}], [PAIR], guard={"maxSharePercent": 20}),
    Case("limit-of-everything", [PAIR], [{"a": 1, "b": 0}], guard={"maxSharePercent": 100}),
    Case("explicit-as-meant", [{"a": 1, "b": 1}], [{"a": 80, "b": 20}], spec=EXPLICIT),
    Case(
        "explicit-against-the-meaning",
        [{"a": 80, "b": 20}],
        [{"a": 20, "b": 80}],
        (too_much("b", 80.0, 33.3),),
        spec=EXPLICIT,
    ),
    Case("explicit-of-other-backends", [EVEN], [BAD], (TOO_MUCH,), spec=EXPLICIT),
    Case("as-the-status-wants-it", [PAIR], [{"a": 90, "b": 10}], targets={"a": 900, "b": 100}),
    Case(
        "more-than-the-status-wants",
        [PAIR],
        [{"a": 96, "b": 4}],
        (too_much("a", 96.0, 94.7),),
        targets={"a": 900, "b": 100},
    ),
    Case("status-of-other-backends", [EVEN], [BAD], (TOO_MUCH,), targets={"a": 990, "b": 10}),
    Case("status-of-zeros", [EVEN], [BAD], (TOO_MUCH,), targets={"a": 0, "b": 0, "c": 0}),
    Case("all-zero", [EVEN], [{"a": 0, "b": 0, "c": 0}], (ALL_ZERO,)),
    Case("all-zero-as-it-was", [{"a": 0, "b": 0}], [{"a": 0, "b": 0, "c": 0}]),
    Case("the-only-one-at-zero", [{"a": 1}], [{"a": 0}], (ALL_ZERO,), only=WEIGHED_ALONE),
    Case(
        "named-twice",
        [EVEN],
        [[reference("a", 1), reference("b", 1), reference("c", 1), reference("a", 1, port=81)]],
        ("names Service a twice in one rule",),
    ),
    Case(
        "named-twice-as-it-was",
        [[reference("a", 1), reference("b", 2), reference("a", 1, port=81)]],
        [[reference("a", 2), reference("b", 4), reference("a", 2, port=81)]],
    ),
    Case("dropped", [EVEN], [PAIR], ("drops Service c, which had a share of the traffic",)),
    Case("two-dropped", [EVEN], [{"a": 1}], ("drops Service b, Service c, which had a share of the traffic",)),
    Case(
        "all-replaced", [EVEN], [{"d": 1}], ("drops Service a, Service b, Service c, which had a share of the traffic",)
    ),
    Case("dropped-without-weight", [{"a": 1, "b": 1, "c": 0}], [PAIR]),
    Case("added", [PAIR], [EVEN]),
    Case("a-canary-by-hand", [{"a": 1}], [{"a": 95, "b": 5}]),
    Case(
        "worse-and-dropped",
        [EVEN],
        [{"a": 9, "b": 1}],
        (too_much("a", 90.0, 66.6), "drops Service c, which had a share of the traffic"),
    ),
    Case(
        "no-service-with-weight",
        [EVEN],
        [[reference("a", 1), reference("b", 1), reference("c", 1), reference("x", 50, kind="TraefikService")]],
        only=OF_TRAEFIK,
    ),
    Case(
        "no-service-with-weight-in-a-route",
        [PAIR],
        [[reference("a", 1), reference("b", 1), reference("x", 50, kind="Thing", group="example.com")]],
        only=ROUTES,
    ),
    Case(
        "a-service-of-another-namespace",
        [[reference("a", 1, namespace="other"), reference("a", 1)]],
        [[reference("a", 1, namespace="other"), reference("a", 9)]],
        (too_much("a", 90.0, 66.6),),
        only=OF_GATEWAYS,
    ),
    Case(
        "too-much-to-another-namespace",
        [[reference("a", 1, namespace="other"), reference("a", 1)]],
        [[reference("a", 9, namespace="other"), reference("a", 1)]],
        (too_much("other/a", 90.0, 66.6),),
        only=OF_GATEWAYS,
    ),
    Case("in-the-second-of-two-rules", [EVEN, {"x": 1}], [BAD, {"x": 1}], (TOO_MUCH,), only=WITH_RULES),
    Case("a-rule-of-one-beside-a-split", [{"x": 1}, EVEN], [{"y": 1}, EVEN], only=WITH_RULES),
    Case(
        "the-rule-that-it-names",
        [named("main", a=1, b=1, c=1), named("rest", x=1, y=1)],
        [named("main", a=250, b=1, c=1), named("rest", x=1, y=1)],
        (TOO_MUCH,),
        target={"ruleName": "main"},
        only=WITH_NAMES,
    ),
    Case(
        "another-rule-than-it-names",
        [named("main", a=1, b=1, c=1), named("rest", x=1, y=1)],
        [named("main", a=1, b=1, c=1), named("rest", x=99, y=0)],
        target={"ruleName": "main"},
        only=WITH_NAMES,
    ),
    Case(
        "its-rule-is-renamed",
        [named("main", a=1, b=1)],
        [named("first", a=1, b=1)],
        ("drops Service a, Service b, which had a share of the traffic",),
        target={"ruleName": "main"},
        only=WITH_NAMES,
    ),
    Case("a-rule-where-there-are-none", [EVEN], [BAD], target={"ruleName": "main"}, only=WITHOUT_NAMES),
    Case("rules-moved", [EVEN, {"x": 1}], [{"x": 1}, EVEN], only=WITH_RULES),
    Case("off", [EVEN], [BAD], guard={"mode": "Off"}),
    Case("another-object", [EVEN], [BAD], target={"name": "another"}),
    Case("a-canary-controller-owns-it", [EVEN], [BAD], metadata=owner("Canary")),
    Case("another-owner", [EVEN], [BAD], (TOO_MUCH,), metadata=owner("ConfigMap")),
    Case("a-rollout-is-in-progress", [EVEN], [BAD], metadata=rollout("in-progress")),
    Case("a-rollout-ends", [{"a": 1, "b": 0}], [{"a": 0, "b": 1}], metadata=rollout("in-progress"), metadata_after={}),
    Case("a-rollout-is-over", [EVEN], [BAD], (TOO_MUCH,), metadata=rollout("done")),
    Case("overridden", [EVEN], [BAD], (TOO_MUCH,), metadata_after=reason("black friday"), override="black friday"),
    Case("overridden-before", [EVEN], [BAD], (TOO_MUCH,), metadata=reason("black friday")),
    Case(
        "overridden-anew",
        [EVEN],
        [BAD],
        (TOO_MUCH,),
        metadata=reason("black friday"),
        metadata_after=reason("cyber monday"),
        override="cyber monday",
    ),
    Case("overridden-with-nothing", [EVEN], [BAD], (TOO_MUCH,), metadata_after=reason("  ")),
    Case(
        "a-reason-with-more-blanks",
        [EVEN],
        [BAD],
        (TOO_MUCH,),
        metadata=reason("sale"),
        metadata_after=reason(" sale "),
    ),
)


def of_each_kind() -> Iterator[tuple[Case, str]]:
    return ((case, kind) for case in CASES for kind in case.only)


def drawn(seed: int, count: int) -> list[tuple[Case, str]]:
    """Random updates, of any kind; many near a limit, some broken in several ways at once."""
    chance = random.Random(seed)
    return [_drawn(chance, f"drawn-{number}") for number in range(count)]


def _drawn(chance: random.Random, name: str) -> tuple[Case, str]:
    kind = chance.choice(list(KINDS))
    split = KINDS[kind].split
    rules = chance.choice([1, 1, 2]) if split is not None and split.rules else 1
    before = [_rule(chance) for _ in range(rules)]
    after = [_changed(chance, rule) for rule in before]
    names = chance.choice([list("abcd"), sorted({one["name"] for one in after[0]})])
    shares = [{"backend": each, "weight": chance.choice([0, 1, 5, 100])} for each in names]
    explicit = chance.random() < 0.3 and any(each["weight"] for each in shares)
    return Case(
        name,
        before,
        after,
        guard={"maxSharePercent": chance.randint(1, 100)} if chance.random() < 0.4 else {},
        spec={"desired": {"type": "Explicit", "shares": shares}} if explicit else {},
        targets=dict.fromkeys(names, 0) | {each: chance.randint(0, 1000) for each in names}
        if chance.random() < 0.4
        else None,
        metadata_after=reason("meant") if chance.random() < 0.1 else None,
    ), kind


def _rule(chance: random.Random) -> list[dict[str, Any]]:
    count = chance.randint(1, 5)
    return [
        reference(f"{chance.choice('abcdefg')}", chance.choice([None, 0, 1, 1, 2, 3, 50, 100, 1000000]), port=80 + at)
        for at in range(count)
    ]


def _changed(chance: random.Random, rule: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if chance.random() < 0.3:
        return _rule(chance)
    kept = [each for each in rule if chance.random() < 0.9] or rule[:1]
    return [{**each, "weight": chance.choice([each.get("weight", 1), 0, 1, 2, 97, 1000])} for each in kept]
