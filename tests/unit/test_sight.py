"""One road to a Snapshot: the operator and `evenload record` see the same of the same objects."""

from __future__ import annotations

import copy
import random
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from evenload.api.v1alpha1 import PAUSED_ANNOTATION, RouteChange
from evenload.api.values import moment
from evenload.drivers.base import Writer
from evenload.history.live import Onlooker
from evenload.kube.resources import HTTPROUTES, Manifest
from evenload.model.policy import strictest
from evenload.model.snapshot import RouteWrite, Snapshot
from evenload.record.conditions import Trouble
from evenload.sight import last_write
from tests.support.inprocess import SCRAPE_SECONDS, Site

SHOP, OTHER = "market", "elsewhere"
WRONG = [{"name": "a", "port": 80, "weight": 970}, {"name": "b", "port": 80, "weight": 30}]
World = Callable[[Site], None]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """With an open Remediation that the operator wrote itself."""
    async with Site() as site:
        site.add_shop(SHOP, {"mode": "Approve"})
        site.send_traffic(SHOP)
        await site.tick()
        site.add_route(SHOP, WRONG)
        for _ in range(8):
            site.send_traffic(SHOP)
            await site.tick()
        assert opened(site)
        yield site


def opened(site: Site) -> list[Manifest]:
    return [manifest for (kind, *_), manifest in site.api.objects.items() if kind == "Remediation"]


def seen_by_the_operator(site: Site, samples: Any) -> Snapshot | str:
    observer, key = site.reconciler._observer, site.key(SHOP)
    observer.begin_turn()
    sight = observer.sight(key)
    if isinstance(sight, Trouble):
        return sight.message
    seen = observer.snapshot(key, sight, samples)
    # A status tells the mode in force, which is all that the ceiling is good for.
    return replace(seen, max_mode=strictest(seen.max_mode, sight.balancer.spec.mode))


async def seen_by_both(site: Site) -> tuple[Snapshot | str, Snapshot | str]:
    manifest = copy.deepcopy(site.api.objects["Balancer", SHOP, "shop"])
    onlooker = Onlooker(
        site.api,  # type: ignore[arg-type]
        site.cluster,
        site.reader,
        manifest,
        prometheus_url=site.prometheus.url,
        scrape_seconds=SCRAPE_SECONDS,
        now=lambda: site.clock,
    )
    read: list[Any] = []
    ask = site.reader.read

    async def kept(interests: Mapping[Any, Any]) -> Any:
        read.append(await ask(interests))
        return read[0]

    onlooker._reader = type("Kept", (), {"read": staticmethod(kept)})()  # both are to join the very same answer
    recorded = await onlooker.look()
    samples = next(iter(read[0].values())) if read else None
    return seen_by_the_operator(site, samples), recorded


# What may be the matter: each changes the API server's objects.


def foreign(site: Site) -> None:
    site.add_route(SHOP, [*WRONG, {"name": "c", "namespace": OTHER, "port": 80, "weight": 1}])


def taken(site: Site) -> None:
    site.add_balancer(SHOP, name="elder", creationTimestamp="2020-01-01T00:00:00Z")


def unreadable(site: Site) -> None:
    site.api.objects["Pod", SHOP, "a-1"]["spec"]["containers"] = "none"


def _another(site: Site, name: str, **spec: Any) -> None:
    first = copy.deepcopy(opened(site)[0])
    site.put(
        "Remediation",
        SHOP,
        name,
        {"creationTimestamp": site.at(3600)},
        apiVersion=first["apiVersion"],
        spec=first["spec"] | spec,
        status=first["status"],
    )


def second(site: Site) -> None:
    _another(site, "another-open-one")


def undo(site: Site) -> None:
    _another(site, "an-undo", trigger="Undo")


def nothing_open(site: Site) -> None:
    for manifest in opened(site):
        site.remove("Remediation", SHOP, manifest["metadata"]["name"])


def only_an_undo(site: Site) -> None:
    name = opened(site)[0]["metadata"]["name"]
    undo(site)
    site.remove("Remediation", SHOP, name)


def of_another_balancer(site: Site) -> None:
    opened(site)[0]["spec"]["balancerRef"]["uid"] = "one-that-is-gone"


def refused(site: Site) -> None:
    condition = {"type": "Accepted", "status": "False", "reason": "NoMatchingParent", "message": "no listener"}
    parents = [{"parentRef": {"name": "web"}, "conditions": [condition]}]
    site.api.objects["HTTPRoute", SHOP, "shop"]["status"] = {"parents": parents}


def paused(site: Site) -> None:
    site.api.objects["Balancer", SHOP, "shop"]["metadata"]["annotations"] = {PAUSED_ANNOTATION: "by ann"}


def suspended(site: Site) -> None:
    site.edit("Balancer", SHOP, "shop", suspend=True)


def leaving(site: Site) -> None:
    site.remove("Pod", SHOP, "b-1")


def deleted(site: Site) -> None:
    site.api.objects["Balancer", SHOP, "shop"]["metadata"]["deletionTimestamp"] = site.at(1)


def no_route(site: Site) -> None:
    site.remove(HTTPROUTES.kind, SHOP, "shop")


EVERYTHING: tuple[World, ...] = (
    foreign,
    taken,
    unreadable,
    second,
    undo,
    nothing_open,
    only_an_undo,
    of_another_balancer,
    refused,
    paused,
    suspended,
    leaving,
    deleted,
    no_route,
)


def worlds() -> list[tuple[World, ...]]:
    """Each alone, and many together."""
    chance = random.Random(7)
    return [(), *((each,) for each in EVERYTHING), *(tuple(chance.sample(EVERYTHING, 3)) for _ in range(40))]


async def test_record_sees_what_the_operator_sees(site: Site) -> None:
    start = copy.deepcopy(site.api.objects)
    troubles, holds, episodes = set(), set(), set()
    for world in worlds():
        site.api.objects = copy.deepcopy(start)
        for manifest in site.api.objects.values():
            site.api.version += 1
            manifest["metadata"]["resourceVersion"] = str(site.api.version)
        for change in world:
            change_if_possible(change, site)
        site.sync()
        ours, recorded = await seen_by_both(site)
        assert ours == recorded, [change.__name__ for change in world]
        if isinstance(ours, Snapshot):
            holds |= {hold.reason for hold in ours.holds}
            episodes.add((ours.episode.name, ours.episode.undo_requested) if ours.episode else None)
        else:
            troubles.add(ours[:30])
    assert holds == {"Paused", "NotAccepted"}
    assert len(episodes) >= 3  # none, the operator's own, an undo
    assert len(troubles) >= 5


def change_if_possible(change: World, site: Site) -> None:
    try:
        change(site)
    except (KeyError, IndexError):  # another change has taken away what this one is about
        return


class TestLastWrite:
    """Of the route: who, over what, and what else it changed."""

    writer = Writer(manager="helm", time=5.0)
    change = RouteChange(
        manager="helm", time=moment(5.0), before={"a": 1}, elsewhere=("/spec/rules/0/timeouts",), undo="kubectl patch"
    )
    whole = RouteWrite(
        manager="helm", time=5.0, before={"a": 1}, elsewhere=("/spec/rules/0/timeouts",), undo="kubectl patch"
    )

    def test_it_is_as_it_was_seen(self) -> None:
        earlier = replace(self.change, time=moment(4.0), before={"a": 2})
        assert last_write(self.writer, (earlier, self.change), ()) == self.whole

    def test_an_operator_that_begins_knows_it_from_the_status(self) -> None:
        fresh = replace(self.change, before=None, elsewhere=(), undo="")
        assert last_write(self.writer, (fresh,), (self.change, replace(self.change, time=moment(4.0)))) == self.whole

    @pytest.mark.parametrize("other", [{"manager": "kubectl-edit"}, {"time": moment(4.0)}, {"before": None}])
    def test_what_another_write_changed_is_not_laid_to_it(self, other: dict[str, Any]) -> None:
        bare = RouteWrite(manager="helm", time=5.0)
        assert last_write(self.writer, (), (replace(self.change, **other),)) == bare

    def test_without_a_writer_there_is_none(self) -> None:
        assert last_write(None, (self.change,), ()) is None
