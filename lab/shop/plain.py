"""The usual shape of a service on Kubernetes: one Deployment with several pods behind one plain Service. Pure.

No gateway and no route: kube-proxy balances connections, at random, and each stays where it was opened. A pod names
itself in its answers. A request costs twice as much here as in the postmortem's shop, so that fewer of them fill a pod;
and none falls ill: what drowns here recovers as soon as it gets less.

Measured (250m, two busy cores): a pod answers 18 to 19 requests a second; the rest of what it is sent gets a 503.
"""

from __future__ import annotations

from typing import Final

from lab.shop.manifests import Manifest, deployment, labels, metadata, namespace, service

WEB: Final = "web"
COST_CPU_MS: Final = 12.0
NEVER: Final = 1_000_000

_ENVIRONMENT: Final[tuple[Manifest, ...]] = (
    {"name": "SHOP_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    {"name": "SHOP_COST_CPU_MS", "value": str(COST_CPU_MS)},
    {"name": "SHOP_SICK_REJECTIONS", "value": str(NEVER)},
)


def objects(replicas: int, connection_seconds: float = 0.0) -> list[Manifest]:
    """All of it, in the order to create it in. With `connection_seconds`, connections end when they are so old."""
    aged = {"name": "SHOP_CONNECTION_SECONDS", "value": f"{connection_seconds:g}"}
    pods = deployment(WEB, (*_ENVIRONMENT, aged))
    pods["spec"]["replicas"] = replicas
    return [namespace(), pods, service(WEB), _budget()]


def _budget() -> Manifest:
    """No more than one pod may be missing."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(WEB, labels(WEB)),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels(WEB)}},
    }
