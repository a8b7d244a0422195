"""A write that fails for good, whatever it writes: it is reported, told once, and tried ever more rarely."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from evenload.errors import KubeError, Refused, Unknown
from evenload.kube.resources import HTTPROUTES, REMEDIATIONS, Manifest, Resource
from tests.support.inprocess import Site

SHOP = "market"
UNEVEN = {"desired": {"type": "Explicit", "shares": [{"backend": "a", "weight": 3}, {"backend": "b", "weight": 1}]}}
BROKEN = Unknown('500 failed calling webhook "policy.example.com"', status=500)
DENIED = Refused("403 admission webhook denied the request", status=403)


class Failing:
    """The API server fails one verb for one kind; `calls` counts them."""

    def __init__(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, verb: str, kind: Resource, error: KubeError
    ) -> None:
        self.calls = 0
        real: Callable[..., Any] = getattr(site.api, verb)

        async def fail(resource: Resource, *arguments: Any, **options: Any) -> Manifest:
            if resource is not kind:
                return dict(await real(resource, *arguments, **options))
            self.calls += 1
            raise error

        monkeypatch.setattr(site.api, verb, fail)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Site() as site:
        site.add_shop(SHOP)
        for _ in range(4):
            await tick(site)
        site.edit("Balancer", SHOP, "shop", **UNEVEN)
        yield site


async def tick(site: Site) -> None:
    site.send_traffic(SHOP)
    await site.tick()


def events(site: Site, reason: str) -> list[str]:
    return [
        each["note"] for (kind, *_), each in site.api.objects.items() if kind == "Event" if each["reason"] == reason
    ]


@pytest.mark.parametrize("error", [BROKEN, DENIED])
@pytest.mark.parametrize(
    ("verb", "kind", "reason"),
    [
        ("create", REMEDIATIONS, "NotRecorded"),
        ("patch_merge", REMEDIATIONS, "NotRecorded"),
        ("patch_json", HTTPROUTES, "WriteFailed"),
    ],
)
async def test_it_is_a_condition_and_one_event_and_tried_ever_more_rarely(
    site: Site, monkeypatch: pytest.MonkeyPatch, verb: str, kind: Resource, reason: str, error: KubeError
) -> None:
    failing = Failing(site, monkeypatch, verb, kind, error)
    for _ in range(10):
        await tick(site)
    assert site.condition(SHOP, "Balanced") == ("False", "LoadBalancerSkew")
    assert site.condition(SHOP, "Remediating") == ("False", reason)
    assert str(error) in site.message(SHOP, "Remediating")
    assert sum(str(error) in note for note in events(site, "WriteFailed")) == 1
    calls = failing.calls
    for _ in range(30):
        await tick(site)
    assert 5 <= failing.calls - calls <= 20  # twice a try at most, every 30 to 60 s
    monkeypatch.undo()
    for _ in range(8):
        await tick(site)
    assert site.weights(SHOP) != {"a": 250, "b": 250}
    assert site.condition(SHOP, "Remediating")[1] not in ("NotRecorded", "WriteFailed")


async def test_a_single_failure_is_no_news(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Failing(site, monkeypatch, "create", REMEDIATIONS, BROKEN)
    while not failing.calls:
        await tick(site)
    monkeypatch.undo()
    for _ in range(3):
        await tick(site)
    assert events(site, "WriteFailed") == []
    assert site.weights(SHOP) != {"a": 250, "b": 250}


@pytest.mark.parametrize("error", [BROKEN, DENIED])
async def test_what_an_earlier_balancer_left_keeps_nobody_from_being_looked_after(
    site: Site, monkeypatch: pytest.MonkeyPatch, error: KubeError
) -> None:
    site.put("Remediation", SHOP, "orphan", spec={"balancerRef": {"name": "shop", "uid": "an-earlier-one"}})
    failing = Failing(site, monkeypatch, "patch_merge", REMEDIATIONS, error)
    for _ in range(30):
        await tick(site)
    assert site.condition(SHOP, "Balanced") == ("False", "LoadBalancerSkew")
    assert failing.calls <= 40
