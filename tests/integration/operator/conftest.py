"""The whole operator as a process, before a real API server that is reached through a proxy which can misbehave."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from evenload.kube.client import Client
from tests.campaign.conftest import SCALE
from tests.support.apiproxy import ApiProxy
from tests.support.invariants import Invariants
from tests.support.kinds import install, install_istio
from tests.support.processes import PATIENT_LEASE, Lease, OperatorProcess, Operators
from tests.support.rights import token_of_all_namespaces
from tests.support.town import SCRAPE_SECONDS, Shop, Town

CAMPAIGN_ONLY = ["test_hostile_matrix.py", "test_leadership.py", "test_late_views.py"]
"""They take so much of a small machine, for so long, that others beside them fail: `make campaign` runs them."""
PLANES_ONLY = ["test_argo_rollouts.py", "test_istiod.py"]
"""They need parts that take minutes to build: `make planes` names them."""
collect_ignore = [*PLANES_ONLY, *(CAMPAIGN_ONLY if SCALE == 1 else ())]

HEAVY = pytest.mark.xdist_group("heavy")
"""Of tests that take much of the machine: one at a time, or they would fail each other."""

TICK_SECONDS = 1.0
SHOWN = 3  # operators of a failed test, the last ones

Start = Callable[..., OperatorProcess]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/integration/operator" in item.path.as_posix() and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def operators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operators]:
    """Shared by all tests, so that imports are paid for once."""
    operators = Operators(tmp_path_factory.mktemp("operators"))
    yield operators
    operators.close()


@pytest.fixture
async def town(client: Client) -> AsyncIterator[Town]:
    await install(client)
    async with Town(client) as town:
        yield town


@pytest.fixture
async def istio_kinds(client: Client) -> None:
    """Istio's kinds are served."""
    await install_istio(client)


@pytest.fixture(autouse=True)
async def invariants(proxy: ApiProxy, client: Client) -> AsyncIterator[Invariants]:
    """Of every write of every operator here, whatever the test is about."""
    invariants = Invariants(client)
    proxy.inspect(invariants.look)
    yield invariants
    assert invariants.broken == []


@pytest.fixture
async def token(client: Client) -> str:
    """Operators under test have the rights of the chart and no other."""
    return await token_of_all_namespaces(client)


@pytest.fixture
def start(operators: Operators, town: Town, proxy: ApiProxy, tmp_path: Path, token: str) -> Iterator[Start]:
    """Start an operator for these shops, its Lease in the first one's namespace; what it said is shown on failure."""
    usual = proxy.write_kubeconfig(tmp_path / "kubeconfig", token=token)
    mine: list[OperatorProcess] = []

    def begin(
        *shops: Shop,
        whole: bool = False,
        clock: Path | None = None,
        kubeconfig: Path | None = None,
        lease: Lease = PATIENT_LEASE,
        **settings: object,
    ) -> OperatorProcess:
        chosen: dict[str, object] = {
            "max_mode": "Auto",
            "tick_seconds": TICK_SECONDS,
            "scrape_seconds": SCRAPE_SECONDS,
            "prometheus_url": town.prometheus.url,
            "prometheus_allowed_urls": "*",  # a shop may have a stand-in of its own
            "query_timeout_seconds": 10.0,  # a stand-in on a busy machine may be late
            "watch_namespaces": ",".join(shop.namespace for shop in shops),
            "pod_namespace": shops[0].namespace,
        }
        process = operators.start(kubeconfig or usual, whole=whole, clock=clock, lease=lease, **(chosen | settings))
        mine.append(process)
        return process

    yield begin
    for process in mine[-SHOWN:]:
        print(f"--- operator {process.pid}\n{process.tail()}")  # noqa: T201
    for process in mine:
        process.kill()
    assert [f"{seen.method} {seen.path}" for seen in proxy.denied] == []
