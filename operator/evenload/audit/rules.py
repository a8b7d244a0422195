"""All rules, in the order of their reference page. An id never changes: suppressions and pipelines name it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from evenload.audit import (
    autoscaling,
    balancers,
    disruption,
    endpoints,
    envoy_gateway,
    gateway,
    ingress_nginx,
    istio,
    service,
    suppression,
    traefik,
    workloads,
)
from evenload.audit.finding import Rule

CHAPTERS: Final[Mapping[str, tuple[Rule, ...]]] = MappingProxyType(
    {
        "Gateway API": gateway.RULES,
        "Services": service.RULES,
        "EndpointSlices": endpoints.RULES,
        "The life of pods": workloads.RULES,
        "PodDisruptionBudgets": disruption.RULES,
        "Autoscalers": autoscaling.RULES,
        "Traefik": traefik.RULES,
        "Istio": istio.RULES,
        "Envoy Gateway": envoy_gateway.RULES,
        "Ingress and ingress-nginx": ingress_nginx.RULES,
        "Balancers that run": balancers.RULES,
        "Suppressions": suppression.RULES,
    }
)

RULES: Final[Mapping[str, Rule]] = MappingProxyType({rule.id: rule for rules in CHAPTERS.values() for rule in rules})
