"""Both ways of installing, on a real node: the chart and the plain manifests bring an operator that runs and leads."""

from __future__ import annotations

import pytest

from lab import clients, state
from tests.e2e.conftest import MANIFESTS, NAMESPACE, REPOSITORY
from tests.support.wait import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

CHART = REPOSITORY / "charts" / "evenload"


def deployed(lab: state.LabState) -> bool:
    """Every replica is ready, and one of them holds the lease."""
    ready = clients.kubectl(
        lab, "get", "deployment", "evenload", f"--namespace={NAMESPACE}", "--output=jsonpath={.status.readyReplicas}"
    )
    leases = clients.kubectl(
        lab, "get", "lease", f"--namespace={NAMESPACE}", "--output=jsonpath={.items[*].spec.holderIdentity}"
    )
    return ready.strip() not in ("", "0") and leases.strip() != ""


def install(lab: state.LabState, *values: str) -> None:
    settings = [f"--set={value}" for value in ("image.repository=evenload", "image.tag=lab", *values)]
    clients.helm(
        lab, "install", "evenload", str(CHART), f"--namespace={NAMESPACE}", "--create-namespace", "--wait", *settings
    )


async def test_the_chart_installs_an_operator_that_passes_its_own_check(clean: state.LabState) -> None:
    install(clean, f"prometheus.url={clean.prometheus_url}")
    await until(lambda: deployed(clean), seconds=120, what="an operator that leads", pause=0.5)
    clients.helm(clean, "test", "evenload", f"--namespace={NAMESPACE}")


def test_uninstalling_leaves_the_route_and_the_record_and_nothing_that_hangs(clean: state.LabState) -> None:
    install(clean, f"prometheus.url={clean.prometheus_url}")
    example = next(iter(sorted((MANIFESTS / "examples").glob("*.yaml"))))
    clients.kubectl(clean, "create", "namespace", "shop")
    try:
        clients.kubectl(clean, "apply", f"--filename={example}")
        clients.helm(clean, "uninstall", "evenload", f"--namespace={NAMESPACE}", "--wait")
        left = clients.kubectl(clean, "get", "crd", "--output=name")
        assert "balancers.evenload.dev" in left, "the CRDs stay, or every Balancer would be deleted with them"
        clients.kubectl(clean, "delete", f"--filename={example}", "--timeout=60s")
        roles = clients.kubectl(clean, "get", "clusterroles,clusterrolebindings", "--output=name")
        assert "evenload" not in roles
    finally:
        clients.kubectl(clean, "delete", "namespace", "shop", "--wait=true", "--timeout=60s")


async def test_the_plain_manifests_install_the_same_operator(clean: state.LabState) -> None:
    clients.kubectl(clean, "apply", "--server-side", f"--filename={MANIFESTS}")
    # The lab has no registry to pull the released image from.
    clients.kubectl(clean, "set", "image", "deployment/evenload", "evenload=evenload:lab", f"--namespace={NAMESPACE}")
    await until(lambda: deployed(clean), seconds=120, what="an operator that leads", pause=0.5)
