"""One leader at a time: two at once, a leader killed, an API server that fails, answers that are lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from evenload.kube import lease
from evenload.kube.client import Client
from evenload.kube.lease import LeaderElector
from evenload.kube.resources import LEASES
from tests.integration.conftest import CLIENT_SECONDS
from tests.support.apiproxy import Answer, ApiProxy, Delay, LoseAnswer
from tests.support.wait import PATIENCE_SECONDS, until

LEASE_SECONDS, DEADLINE_SECONDS = 6.0, 4.0  # real proportions, less than half of the length: to see one die
LONG_LEASE_SECONDS, LONG_DEADLINE_SECONDS = 60.0, 40.0  # that no busy machine loses
RETRY_SECONDS = 0.4


class Candidate:
    """An elector that runs, and how often it was told that it lost."""

    def __init__(self, client: Client, namespace: str, identity: str, *, dies_soon: bool) -> None:
        self.losses = 0
        self.elector = LeaderElector(
            client,
            "evenload",
            namespace,
            identity,
            self._lost,
            lease_seconds=LEASE_SECONDS if dies_soon else LONG_LEASE_SECONDS,
            renew_deadline_seconds=DEADLINE_SECONDS if dies_soon else LONG_DEADLINE_SECONDS,
            retry_seconds=RETRY_SECONDS,
        )
        self.task = asyncio.create_task(self.elector.run())

    def _lost(self) -> None:
        self.losses += 1

    async def stop(self) -> None:
        """As a clean exit does."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


Stand = Callable[..., Candidate]


@pytest.fixture
async def stand(namespace: str) -> AsyncIterator[Stand]:
    """Let somebody stand for election; all are stopped at the end. `dies_soon`: a lease that is not renewed does."""
    candidates: list[Candidate] = []

    def begin(client: Client, identity: str, *, dies_soon: bool = False) -> Candidate:
        candidates.append(Candidate(client, namespace, identity, dies_soon=dies_soon))
        return candidates[-1]

    yield begin
    for candidate in candidates:
        await candidate.stop()


async def holder(client: Client, namespace: str) -> str:
    found = await client.get(LEASES, namespace, "evenload")
    return str(found["spec"].get("holderIdentity", ""))


async def test_a_lone_candidate_is_elected_at_once_and_renews(client: Client, namespace: str, stand: Stand) -> None:
    one = stand(client, "one")
    await until(one.elector.elected.is_set)
    assert one.elector.leads()
    first = (await client.get(LEASES, namespace, "evenload"))["spec"]

    async def renewed() -> bool:
        return bool((await client.get(LEASES, namespace, "evenload"))["spec"]["renewTime"] > first["renewTime"])

    await until(renewed)
    assert first["leaseTransitions"] == 0
    assert first["leaseDurationSeconds"] == LONG_LEASE_SECONDS


async def test_of_two_that_stand_at_once_one_leads(client: Client, namespace: str, stand: Stand) -> None:
    candidates = [stand(client, f"candidate-{number}") for number in range(6)]
    await until(lambda: any(each.elector.leads() for each in candidates))
    for _ in range(20):
        assert sum(each.elector.leads() for each in candidates) == 1
        await asyncio.sleep(0.05)
    leader = next(each for each in candidates if each.elector.leads())
    assert await holder(client, namespace) == leader.elector.identity


async def test_a_clean_exit_hands_over_without_waiting(
    client: Client, namespace: str, stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RELEASE_SECONDS", 30.0)
    one = stand(client, "one")
    await one.elector.elected.wait()
    two = stand(client, "two")
    await until(lambda: two.elector.holder == "one")
    started = asyncio.get_running_loop().time()
    await one.stop()
    assert not one.elector.leads()
    assert one.losses == 0
    await until(two.elector.elected.is_set)
    assert asyncio.get_running_loop().time() - started < LONG_LEASE_SECONDS / 2
    assert (await client.get(LEASES, namespace, "evenload"))["spec"]["leaseTransitions"] == 1


async def test_a_killed_leader_is_replaced_when_its_lease_is_dead_and_not_before(
    proxy: ApiProxy, proxied: Client, client: Client, stand: Stand
) -> None:
    one = stand(proxied, "one", dies_soon=True)
    await one.elector.elected.wait()
    two = stand(client, "two", dies_soon=True)
    await until(lambda: two.elector.holder == "one")
    proxy.inject(Delay(600), path="/leases", times=None)  # nothing of what a killed process might say arrives
    one.task.cancel()
    killed_at = asyncio.get_running_loop().time()
    await until(two.elector.elected.is_set)
    # It dies that long after its last renewal, which on a busy machine was seen some time before.
    assert asyncio.get_running_loop().time() - killed_at > LEASE_SECONDS / 2


async def test_a_leader_that_cannot_renew_stops_before_another_begins(
    proxy: ApiProxy, proxied: Client, client: Client, stand: Stand
) -> None:
    one = stand(proxied, "one", dies_soon=True)
    await one.elector.elected.wait()
    two = stand(client, "two", dies_soon=True)
    proxy.inject(Answer(500), path="/leases", times=None)
    while not two.elector.leads():
        assert not (one.elector.leads() and two.elector.leads())
        await asyncio.sleep(0.01)
    assert not one.elector.leads()
    await until(lambda: one.losses == 1)
    await asyncio.wait_for(one.task, PATIENCE_SECONDS)
    assert one.losses == 1


async def test_an_api_server_that_hangs_ends_the_leadership_at_the_deadline(
    proxy: ApiProxy, proxied: Client, stand: Stand
) -> None:
    one = stand(proxied, "one", dies_soon=True)
    await one.elector.elected.wait()
    proxy.inject(Delay(600), path="/leases", times=None)
    started = asyncio.get_running_loop().time()
    await until(lambda: one.losses == 1)
    assert asyncio.get_running_loop().time() - started < CLIENT_SECONDS  # after which the request is given up


@pytest.mark.parametrize("status", [409, 429, 500])
async def test_a_few_failed_renewals_do_not_end_it(proxy: ApiProxy, proxied: Client, stand: Stand, status: int) -> None:
    one = stand(proxied, "one")
    await one.elector.elected.wait()
    broken = proxy.inject(Answer(status), method="PUT", path="/leases", times=2)
    await until(lambda: broken.hits == 2)
    seen = len(proxy.writes(leases=True))
    await until(lambda: len(proxy.writes(leases=True)) >= seen + 2)
    assert one.elector.leads()
    assert one.losses == 0


async def test_a_renewal_whose_answer_is_lost_is_looked_up_not_given_up(
    proxy: ApiProxy, proxied: Client, stand: Stand
) -> None:
    one = stand(proxied, "one")
    await one.elector.elected.wait()
    lost = proxy.inject(LoseAnswer(), method="PUT", path="/leases", times=2)
    await until(lambda: lost.hits == 2)
    seen = len(proxy.writes(leases=True))
    await until(lambda: len(proxy.writes(leases=True)) >= seen + 2)
    assert one.elector.leads()
    assert one.losses == 0


async def test_an_election_whose_answer_is_lost_is_won_all_the_same(
    proxy: ApiProxy, proxied: Client, stand: Stand
) -> None:
    proxy.inject(LoseAnswer(), method="POST", path="/leases")
    one = stand(proxied, "one")
    await until(one.elector.elected.is_set)
    assert len([seen for seen in proxy.writes(leases=True) if seen.method == "POST"]) == 1


async def test_a_lease_taken_by_force_ends_the_leadership_at_once(client: Client, namespace: str, stand: Stand) -> None:
    one = stand(client, "one")
    await one.elector.elected.wait()
    await client.patch_merge(LEASES, namespace, "evenload", {"spec": {"holderIdentity": "usurper"}})
    await until(lambda: one.losses == 1, seconds=LONG_DEADLINE_SECONDS / 2)
    assert not one.elector.leads()
    assert await holder(client, namespace) == "usurper"
