"""Every rule finds its bad object and is silent about the good one; none raises, whatever an object holds."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenload.audit.finding import Finding, Severity
from evenload.audit.rules import RULES
from evenload.audit.run import audit
from evenload.audit.versions import versions_of
from evenload.audit.world import GROUPS, NOWHERE, Scope, World, objects_of
from evenload.cli.versions import shipped
from tests.unit.audit.cases import (
    ALL,
    CASES,
    TODAY,
    Manifest,
    named,
    route,
    running,
    service,
    slice_,
    thing,
    to,
    toward,
    traefik,
    virtual,
)


def findings(manifests: list[Any], scope: Scope = NOWHERE) -> list[Finding]:
    return audit(World(objects_of(manifests), scope, TODAY, shipped()))


def hits(rule: str, manifests: list[Manifest], scope: Scope) -> list[Finding]:
    return [each for each in findings(manifests, scope) if each.rule == rule]


def test_every_rule_has_a_bad_and_a_good_object() -> None:
    assert list(CASES) == list(RULES)


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_finds_its_bad_object(rule: str) -> None:
    case = CASES[rule]
    found = hits(rule, case.bad, case.scope)
    assert found
    for each in found:
        assert each.severity is RULES[rule].severity
        assert each.path
        assert each.kind in RULES[rule].kinds
        assert each.name in {manifest["metadata"]["name"] for manifest in case.bad}
        assert each.what
        assert each.fix == RULES[rule].fix


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_is_silent_about_its_good_object(rule: str) -> None:
    case = CASES[rule]
    assert hits(rule, case.good, case.scope) == []


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_says_nothing_of_what_is_not_given(rule: str) -> None:
    """Of each bad object alone, in files that need not be all there is, nothing is said to be missing."""
    odd = [
        (each.rule, each.what)
        for manifest in CASES[rule].bad
        for each in findings([manifest])
        if re.search(r"^there is no |^no (pod|ReferenceGrant|DestinationRule) |selects no|has no ready", each.what)
    ]
    assert odd == []


def test_ids_are_readable_and_texts_are_sentences() -> None:
    for rule in RULES.values():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)+", rule.id)
        assert set(rule.kinds) | set(rule.needs) <= GROUPS.keys()
        for text in (rule.meaning, rule.fix):
            assert text.endswith((".", "?"))


# Objects that hold anything.

WORDS = sorted(
    {"spec", "status", "metadata", "labels", "annotations", "rules", "backendRefs", "name", "weight", "http", "route"}
    | {"selector", "matchLabels", "matchExpressions", "template", "containers", "ports", "endpoints", "conditions"}
    | {"subsets", "trafficPolicy", "loadBalancer", "weighted", "services", "kind", "parents", "listeners", "matches"}
    | {"paths", "backend", "service", "port", "number", "targetPort", "livenessProbe", "readinessProbe", "httpGet"}
    | {"scaleTargetRef", "minReplicas", "maxReplicas", "minAvailable", "maxUnavailable", "destination", "host"}
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["a", "shop"])
JUNK = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
        | st.dictionaries(st.none() | st.integers() | st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=12,
)


@st.composite
def spoilt(draw: st.DrawFn) -> Manifest:
    """A good or bad object of the table in which something, somewhere, is replaced by anything."""
    case = draw(st.sampled_from(list(CASES.values())))
    manifest = draw(st.sampled_from(case.bad + case.good))
    return _spoil(draw, manifest, depth=draw(st.integers(1, 8)))  # type: ignore[no-any-return]


def _spoil(draw: st.DrawFn, value: Any, depth: int) -> Any:
    if depth == 0 or not value or not isinstance(value, dict | list):
        return draw(JUNK)
    if isinstance(value, list):
        index = draw(st.integers(0, len(value) - 1))
        return [_spoil(draw, each, depth - 1) if place == index else each for place, each in enumerate(value)]
    key = draw(st.sampled_from(sorted(set(value) - {"apiVersion", "kind"} or set(value))))
    return {**value, key: _spoil(draw, value[key], depth - 1)}


@st.composite
def junk(draw: st.DrawFn) -> Manifest:
    kind = draw(st.sampled_from(sorted(GROUPS)))
    group = GROUPS[kind]
    metadata = {"name": "a", "namespace": draw(st.sampled_from(["shop", "infra"])), "x": draw(JUNK)}
    body = {key: draw(JUNK) for key in draw(st.sets(st.sampled_from(["spec", "status", "endpoints"])))}
    return {"apiVersion": f"{group}/v1" if group else "v1", "kind": kind, "metadata": metadata, **body}


@given(st.lists(junk() | spoilt() | JUNK, max_size=6), st.booleans())
def test_no_object_makes_a_rule_raise(manifests: list[Any], complete: bool) -> None:
    for each in findings(manifests, ALL if complete else Scope()):
        assert each.what
        assert isinstance(each.severity, Severity)


@pytest.mark.parametrize("kind", sorted(GROUPS))
@settings(max_examples=25)
@given(st.data())
def test_junk_of_each_kind_makes_no_rule_raise(kind: str, data: st.DataObject) -> None:
    group = GROUPS[kind]
    manifest = {"apiVersion": f"{group}/v1" if group else "v1", "kind": kind, "metadata": data.draw(JUNK)}
    named = {**manifest, "metadata": {"name": "a", "labels": data.draw(JUNK), "annotations": data.draw(JUNK)}}
    body = {key: data.draw(JUNK) for key in ("spec", "status", "endpoints")}
    findings([manifest, {**named, **body}, {**named, **body}], ALL)


def test_a_number_too_large_to_be_one_is_no_weight() -> None:
    assert hits("route-no-weight", [route(to(a=10**5000, b=0))], Scope()) == []


# Suppression.


def test_a_suppression_with_a_reason_keeps_the_finding_and_its_reason() -> None:
    reason = "service-session-affinity: carts; service-selects-one-pod: x"
    manifest = service(annotations={"evenload.dev/audit-ignore": reason}, sessionAffinity="ClientIP")
    assert [(each.rule, each.suppressed) for each in findings([manifest])] == [("service-session-affinity", "carts")]


def test_a_suppression_without_a_reason_suppresses_nothing() -> None:
    manifest = service(
        annotations={"evenload.dev/audit-ignore": "service-session-affinity"}, sessionAffinity="ClientIP"
    )
    found = {each.rule: each.suppressed for each in findings([manifest])}
    assert found == {"service-session-affinity": None, "suppression-without-reason": None}


# Balancers that run.


@pytest.mark.parametrize(
    ("image", "rules"),
    [
        ("traefik:v3.6.25", ["balancer-end-of-life", "balancer-vulnerable"]),
        ("traefik:3.6", ["balancer-end-of-life", "balancer-vulnerable"]),  # no patch of 3.6 has the fix
        ("traefik:v1.7.34-alpine", ["balancer-end-of-life", "balancer-vulnerable"]),  # older than any in the table
        ("traefik:v3.7.17", ["balancer-vulnerable"]),
        ("traefik:v3.7.18", []),
        ("traefik:v3.7", []),  # of which patch nobody knows
        ("traefik:v9.9", []),  # newer than any in the table
        ("traefik:latest", []),
        ("traefik", []),
        ("registry:5000/traefik", []),
        ("traefik@sha256:0123", []),
        ("docker.io/istio/pilot:1.27.9-distroless", ["balancer-end-of-life", "balancer-vulnerable"]),
        ("example/not-traefik:v2.0", []),
        ("mirror/ingress-nginx/controller", ["balancer-retired"]),
    ],
)
def test_a_balancer_that_gets_no_fixes_is_known_by_its_image(image: str, rules: list[str]) -> None:
    found = [each.rule for each in findings([running(image)]) if each.rule.startswith("balancer-")]
    assert found == rules


def test_before_its_day_and_without_a_date_no_balancer_is_at_its_end() -> None:
    objects = list(objects_of([running("ingress-nginx/controller:v1.15"), running("envoyproxy/gateway:v1.8.0")]))
    for today, count in (("", 0), ("2026-03-30", 0), ("2026-03-31", 1), ("2026-11-07", 1), ("2026-11-08", 2)):
        world = World(objects, today=today, versions=shipped())
        assert (
            len([each for each in audit(world) if each.rule in ("balancer-retired", "balancer-end-of-life")]) == count
        )


def test_the_version_to_go_to_has_the_fixes_of_all_that_is_known() -> None:
    [found] = [each for each in findings([running("traefik:v3.7.10")]) if each.rule == "balancer-vulnerable"]
    assert found.what.startswith("Traefik 3.7.10 is fixed in 3.7.18; CVE-2026-85595: ")
    assert "CVE-2026-114656" in found.what
    assert "https://www.cve.org/CVERecord?id=CVE-2026-137481" in found.what


@pytest.mark.parametrize(
    ("tag", "affected"),
    [("v1.9.9", True), ("v1.11.4", True), ("v1.11.5", False), ("v1.12.0", True), ("v1.12.1", False), ("v1.12", False)],
)
def test_a_version_is_affected_from_the_first_one_on_and_below_the_fixed_one(tag: str, affected: bool) -> None:
    document = {
        "asOf": "2026-08-22",
        "balancers": [
            {
                "name": "Gate",
                "image": "gate",
                "source": "https://example.com",
                "advisories": [
                    {
                        "id": "CVE-2025-1974",
                        "affected": [{"before": "1.11.5"}, {"since": "1.12.0", "before": "1.12.1"}],
                        "sentence": "it is open",
                        "source": "https://example.com",
                    }
                ],
            }
        ],
    }
    world = World(objects_of([running(f"mirror/gate:{tag}")]), today=TODAY, versions=versions_of(document))
    assert ("balancer-vulnerable" in {each.rule for each in audit(world)}) is affected


def test_without_a_table_nothing_is_said_of_a_balancer() -> None:
    world = World(objects_of([running("traefik:v2.0.0")]), today=TODAY)
    assert [each.rule for each in audit(world) if each.rule.startswith("balancer-")] == []


# Weights that a canary controller sets are its work.


def rolled_out(**routing: Any) -> Manifest:
    return thing("Rollout", "shop", {"strategy": {"canary": {"trafficRouting": routing}}})


PLUGIN = "argoproj-labs/gatewayAPI"


@pytest.mark.parametrize(
    ("balancer", "rollout"),
    [
        (route(to(a=100, b=0)), rolled_out(plugins={PLUGIN: {"httpRoute": "shop"}})),
        (route(to(a=100, b=0), kind="GRPCRoute"), rolled_out(plugins={PLUGIN: {"grpcRoutes": [{"name": "shop"}]}})),
        (
            traefik(named("a", weight=100), named("b", weight=0)),
            rolled_out(traefik={"weightedTraefikServiceName": "shop"}),
        ),
        (virtual(toward(a=100, b=0)), rolled_out(istio={"virtualService": {"name": "shop"}})),
        (virtual(toward(a=100, b=0)), rolled_out(istio={"virtualServices": [{"name": "shop"}]})),
    ],
)
def test_all_weight_on_one_is_no_fault_where_a_rollout_names_the_route(balancer: Manifest, rollout: Manifest) -> None:
    def rules(*manifests: Manifest) -> set[str]:
        return {each.rule.partition("-")[2] for each in findings(list(manifests)) if each.kind == balancer["kind"]}

    assert "all-weight-on-one" in rules(balancer)
    assert rules(balancer, rollout) == {"owned-by-canary"}


@pytest.mark.parametrize("manager", ["flagger", "rollouts-controller", "kruise-rollout"])
def test_so_it_is_where_one_wrote_the_weights_last(manager: str) -> None:
    entry = {"manager": manager, "time": "2026-11-28T10:00:00Z", "fieldsV1": {"f:spec": {"f:rules": {}}}}
    found = findings([route(to(a=100, b=0), metadata={"managedFields": [entry]})])
    assert [each.rule for each in found] == ["route-owned-by-canary"]


# Which objects are meant.


def test_a_kind_of_another_group_is_not_taken_for_ours() -> None:
    foreign = {**service(sessionAffinity="ClientIP"), "apiVersion": "serving.knative.dev/v1"}
    assert findings([foreign]) == []


def test_older_versions_of_a_group_are_audited() -> None:
    older = {**route(to(a=0, b=0)), "apiVersion": "gateway.networking.k8s.io/v1beta1"}
    assert [each.rule for each in findings([older])] == ["route-no-weight"]


def test_an_endpoint_whose_readiness_is_unknown_counts_as_ready() -> None:
    unknown = {"addresses": ["10.0.0.1"], "conditions": {}}
    assert hits("route-weight-on-empty-service", [route(to(a=1)), service(), slice_(unknown)], ALL) == []


def test_findings_come_by_object_the_worst_first() -> None:
    bad = [route({**to(a=0, b=0), "sessionPersistence": {}}), service(sessionAffinity="ClientIP")]
    assert [(each.kind, each.severity.value) for each in findings(bad)] == [
        ("HTTPRoute", "error"),
        ("HTTPRoute", "warning"),
        ("Service", "warning"),
    ]
