"""Whoever says no is heard: modes, pauses, rivals, rollouts. One operator, a shop for each way of saying it."""

from __future__ import annotations

import asyncio

from evenload.kube.resources import DEPLOYMENTS, HPAS, LEASES
from tests.integration.operator.conftest import Start
from tests.integration.operator.outcome import WHOLE, evictions, purposes, touched
from tests.integration.operator.sidebyside import side_by_side
from tests.support.apiproxy import ApiProxy
from tests.support.processes import OperatorProcess
from tests.support.town import BACKENDS, BAD, EQUAL, Shop, Town, shares


class Day:
    """One shop of the day, before the bad update."""

    def __init__(self, shop: Shop, operator: OperatorProcess, proxy: ApiProxy) -> None:
        self.shop, self.operator, self.proxy = shop, operator, proxy

    def untouched(self) -> bool:
        return not touched(self.proxy.writes(), self.shop)

    async def mended(self) -> None:
        """And rightly so."""
        await self.shop.until(self.shop.closed)
        assert await self.shop.phase() == "Succeeded"
        assert shares(await self.shop.weights()) == shares(EQUAL)
        assert len(evictions(self.proxy.writes(), self.shop)) == 1


async def observe(day: Day) -> None:
    """It records what it would do, and writes to nothing but its own kinds and Events."""
    shop = day.shop
    await shop.set_weights(BAD)
    await shop.until(lambda: _phase_is(shop, "Observed"), what="an observed Remediation")
    await shop.until(lambda: _held_for(shop, "ObserveMode"), what="a held action")
    await day.operator.ticked(5)
    assert await shop.weights() == BAD
    await shop.until(lambda: _is(shop, "Balanced", "False", "LoadBalancerSkew"), what="the diagnosis")
    assert _resources_written(day) <= {"balancers", "remediations", "events"}
    assert (await shop.remediation())["status"].get("steps", []) == []


async def approve(day: Day) -> None:
    """It asks, waits, and acts once a person has agreed."""
    shop = day.shop
    await shop.set_weights(BAD)
    await shop.until(lambda: _phase_is(shop, "AwaitingApproval"), what="a question")
    await day.operator.ticked(3)
    assert day.untouched()
    await shop.until(lambda: _told_of(shop, "ApprovalNeeded"), what="an Event that asks for it")
    await shop.decide("Approved")
    await day.mended()
    assert purposes(await shop.remediation()) == WHOLE


async def deny(day: Day) -> None:
    """A no closes the Remediation, and the same is not asked again at once."""
    shop = day.shop
    await shop.set_weights(BAD)
    await shop.until(lambda: _phase_is(shop, "AwaitingApproval"), what="a question")
    await shop.decide("Denied")
    await shop.until(lambda: _phase_is(shop, "Denied"), what="a denied Remediation")
    await day.operator.ticked(4)
    assert day.untouched()
    assert len(await shop.remediations()) == 1


async def annotation(day: Day) -> None:
    """Paused before it began: nothing happens until the annotation is gone."""
    shop = day.shop
    await shop.patch_balancer({"metadata": {"annotations": {"evenload.dev/paused": "on call is looking"}}})
    await shop.until(lambda: _is(shop, "Paused", "True", "Annotation"), what="the condition Paused")
    await shop.set_weights(BAD)
    await shop.until(lambda: _held_for(shop, "Paused"), what="a held action")
    await day.operator.ticked(3)
    assert day.untouched()
    await shop.patch_balancer({"metadata": {"annotations": {"evenload.dev/paused": None}}})
    await day.mended()


async def suspended(day: Day) -> None:
    """Suspended in the middle of it: no further write, and then on from there, without doing anything twice."""
    shop = day.shop
    await shop.set_weights(BAD)
    await shop.until(lambda: touched(day.proxy.writes(), shop), what="the restored weights")
    await shop.patch_balancer({"spec": {"suspend": True}})
    await shop.until(lambda: _is(shop, "Paused", "True", "Suspended"), what="the condition Paused")
    before = len(touched(day.proxy.writes(), shop))
    await day.operator.ticked(8)
    assert len(touched(day.proxy.writes(), shop)) == before
    await shop.patch_balancer({"spec": {"suspend": False}})
    await day.mended()
    assert purposes(await shop.remediation()) == WHOLE


async def rival(day: Day) -> None:
    """Who puts the bad weights back twice is named, and left alone."""
    shop = day.shop
    shop.fragile = False
    await shop.set_weights(BAD, manager="argocd-controller")
    for _ in range(2):
        await shop.until(shop.even, what="restored weights")
        await shop.until(lambda: _last_applied(shop), what="a step that is applied")
        await shop.set_weights(BAD, manager="argocd-controller")
    await shop.until(lambda: _is(shop, "Contested", "True"), what="the condition Contested")
    assert "argocd-controller" in await shop.message("Contested")
    before = len(touched(day.proxy.writes(), shop))
    await day.operator.ticked(6)
    assert len(touched(day.proxy.writes(), shop)) == before
    assert await shop.weights() == BAD
    await shop.until(lambda: _is(shop, "Balanced", "False", "LoadBalancerSkew"), what="the diagnosis")


async def rollout(day: Day) -> None:
    """Pods come and go by intention: it holds, and goes on when the rollout is over."""
    shop = day.shop
    shop.starts_pods = False
    change = {"spec": {"template": {"metadata": {"annotations": {"version": "2"}}}}}
    await shop.client.patch_merge(DEPLOYMENTS, shop.namespace, BACKENDS[0], change)
    await shop.until(lambda: _is(shop, "Balanced", "Unknown", "RolloutInProgress"), what="the rollout")
    await shop.set_weights(BAD)
    await day.operator.ticked(5)
    assert day.untouched()
    shop.starts_pods = True
    await day.mended()


async def autoscaler(day: Day) -> None:
    """An autoscaler is changing the number of pods: it holds until that is done."""
    shop = day.shop
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": BACKENDS[0]}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 9}
    await shop.client.create(HPAS, shop.namespace, {"metadata": {"name": "web"}, "spec": spec})
    moving = {"status": {"currentReplicas": 1, "desiredReplicas": 2}}
    await shop.client.patch_merge(HPAS, shop.namespace, "web", moving, subresource="status")
    await day.operator.ticked(2)
    await shop.set_weights(BAD)
    await shop.until(lambda: _held_for(shop, "Autoscaling"), what="a held action")
    await day.operator.ticked(3)
    assert day.untouched()
    await shop.client.delete(HPAS, shop.namespace, "web")
    await day.mended()


async def brake(day: Day) -> None:
    """One annotation on the Lease stops all writes of an installation: here of one that is about to restart a pod."""
    shop = day.shop
    await shop.set_weights(BAD)
    await shop.until(lambda: touched(day.proxy.writes(), shop), what="the restored weights")
    await _annotate_lease(shop, "all hands off")
    await shop.until(lambda: _is(shop, "Paused", "True", "Installation"), what="the condition Paused")
    before = len(touched(day.proxy.writes(), shop))
    await day.operator.ticked(8)
    assert len(touched(day.proxy.writes(), shop)) == before
    assert "all hands off" in await shop.message("Paused")
    await _annotate_lease(shop, None)
    await day.mended()
    assert purposes(await shop.remediation()) == WHOLE


async def test_modes_pauses_and_others_at_work_are_respected(town: Town, start: Start, proxy: ApiProxy) -> None:
    modes = {"observe": "Observe", "approve": "Approve", "deny": "Approve"}
    days = {each.__name__: each for each in (observe, approve, deny, annotation, suspended, rival, rollout, autoscaler)}
    *opened, braked = await asyncio.gather(
        *(town.open_shop(mode=modes.get(name, "Auto")) for name in days), town.open_shop()
    )
    shops = dict(zip(days, opened, strict=True))
    operator, other_installation = start(*opened), start(braked)
    await asyncio.gather(*(shop.until(shop.remembers_good_weights) for shop in (*opened, braked)))
    await side_by_side(
        **{name: day(Day(shops[name], operator, proxy)) for name, day in days.items()},
        brake=brake(Day(braked, other_installation, proxy)),
    )


async def _annotate_lease(shop: Shop, word: str | None) -> None:
    patch = {"metadata": {"annotations": {"evenload.dev/paused": word}}}
    await shop.client.patch_merge(LEASES, shop.namespace, "evenload", patch)


def _resources_written(day: Day) -> set[str]:
    """Of everything in the shop's namespace, Events included; the Lease is the installation's."""
    mine = [seen.path.split("/") for seen in day.proxy.writes(leases=True) if day.shop.namespace in seen.path]
    return {parts[parts.index("namespaces") + 2] for parts in mine} - {"leases"}


async def _phase_is(shop: Shop, phase: str) -> bool:
    return await shop.phase() == phase


async def _held_for(shop: Shop, reason: str) -> bool:
    found = await shop.remediations()
    return bool(found) and reason in found[-1].get("status", {}).get("held", "")


async def _is(shop: Shop, kind: str, status: str, reason: str | None = None) -> bool:
    told = await shop.condition(kind)
    return told[0] == status and reason in (None, told[1])


async def _told_of(shop: Shop, reason: str) -> bool:
    return reason in await shop.event_reasons()


async def _last_applied(shop: Shop) -> bool:
    steps = await shop.steps()
    return bool(steps) and steps[-1][2] in ("Applied", "Verified")
