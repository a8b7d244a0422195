"""`evenload audit` against a real API server: what it lists is served, and what is refused is named."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.integration.cli.conftest import Run
from tests.support.kubectl import Kubectl

SHOP = """
apiVersion: v1
kind: Service
metadata: {name: shop}
spec:
  selector: {app: shop}
  sessionAffinity: ClientIP
  ports: [{port: 80, targetPort: web}]
---
apiVersion: v1
kind: Pod
metadata: {name: shop-1, labels: {app: shop}}
spec:
  containers: [{name: shop, image: shop, ports: [{name: http, containerPort: 8080}]}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: shop}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: shop}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: all}
spec: {maxUnavailable: 1, selector: {}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec: {defaultBackend: {service: {name: shpo, port: {number: 80}}}}
"""


@pytest.fixture
def shop(kubectl: Kubectl) -> Kubectl:
    kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=60s")  # no pod is taken before
    for manifest in yaml.safe_load_all(SHOP):
        kubectl.create(manifest)
    return kubectl


def audited(run: Run, *arguments: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(run("audit", "-o", "json", *arguments).stdout)
    return answer


def test_faults_of_a_namespace_are_found_as_its_objects_are_served(run: Run, shop: Kubectl) -> None:
    found = {(each["rule"], each["kind"], each["name"]) for each in audited(run)["findings"]}
    assert {
        ("service-session-affinity", "Service", "shop"),
        ("service-named-port-missing", "Service", "shop"),
        ("pdb-overlap", "PodDisruptionBudget", "shop"),
        ("pdb-overlap", "PodDisruptionBudget", "all"),
        ("ingress-backend-missing", "Ingress", "shop"),
    } <= found
    assert run("audit").exit_code == 1


def test_a_suppression_on_the_object_holds(run: Run, shop: Kubectl) -> None:
    shop("annotate", "ingress/shop", "evenload.dev/audit-ignore=ingress-backend-missing: comes next week")
    found = audited(run, "--show-suppressed")["findings"]
    assert [each["suppressed"] for each in found if each["rule"] == "ingress-backend-missing"] == ["comes next week"]


def test_whoever_may_list_services_alone_gets_their_findings_and_the_rest_named(run: Run, shop: Kubectl) -> None:
    shop("create", "role", "some", "--verb=list", "--resource=services")
    shop("create", "rolebinding", "some", "--role=some", "--user=mallory")
    result = run("audit", "--as", "mallory", "--fail-on", "error")
    assert result.exit_code == 3
    assert "service-session-affinity" in result.stdout
    assert "service-named-port-missing" not in result.stdout
    assert "Pod: not audited, nor what needs it: not allowed: " in result.stderr


def test_all_namespaces_are_audited_by_whoever_may(run: Run, shop: Kubectl) -> None:
    found = audited(run, "-A")["findings"]
    assert ("ingress-backend-missing", shop.namespace) in {(each["rule"], each["namespace"]) for each in found}
