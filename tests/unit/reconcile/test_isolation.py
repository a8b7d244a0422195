"""Whatever one tenant's objects hold, the tick goes on, and the neighbour is looked after."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evenload.errors import Refused
from evenload.history import warming
from evenload.kube.resources import Manifest, Resource
from evenload.model.snapshot import SIGNALS
from evenload.observe.prometheus import Interest, Samples
from evenload.sight import Observer
from tests.support.fakeprometheus import FakePrometheus, Mode
from tests.support.inprocess import Site
from tests.support.wait import until

GOOD, EVIL = "good", "evil"
WATCHING = ("True", "Watching")


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Site() as site:
        site.add_shop(GOOD)
        site.send_traffic(GOOD)
        yield site


def served(site: Site) -> bool:
    """The neighbour was judged in the last tick."""
    case, samples = site.reconciler._observer.cases[site.key(GOOD)], site.reconciler._samples[site.key(GOOD)]
    return case.judged is samples and (site.condition(GOOD, "Ready") == WATCHING)


async def look(evil: Callable[[Site], None], **options: Any) -> Site:
    """A new site with both, after a tick."""
    async with Site(**options) as site:
        site.add_shop(GOOD)
        site.send_traffic(GOOD)
        site.add_shop(EVIL)
        evil(site)
        await site.tick()
        await site.tick()
        assert served(site)
        return site


@settings(max_examples=12, deadline=None)
@given(st.text(max_size=40).map("http://".__add__) | st.text(max_size=40))
def test_no_address_of_a_prometheus_ends_a_tick(url: str) -> None:
    def spoil(site: Site) -> None:
        site.edit("Balancer", EVIL, "shop", signals={"prometheusUrl": url})

    asyncio.run(look(spoil))


TIMES = st.sampled_from(
    ["0000-01-01T00:00:00Z", "10000-01-01T00:59:59Z", "0001-01-01T00:00:01Z", "9999-12-31T23:59:59Z", "", "now"]
) | st.text(max_size=30)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TIMES)
def test_no_time_in_the_routes_managed_fields_ends_a_tick(written: str) -> None:
    def spoil(site: Site) -> None:
        entry = {"manager": "m", "operation": "Update", "time": written, "fieldsV1": {"f:spec": {"f:rules": {}}}}
        site.api.objects["HTTPRoute", EVIL, "shop"]["metadata"]["managedFields"] = [entry]

    asyncio.run(look(spoil))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
SPEC_FIELDS = ("targetRef", "mode", "desired", "signals", "guardrails", "restart", "memory", "suspend", "actions")


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(SPEC_FIELDS), JSON)
def test_no_spec_ends_a_tick_even_one_that_the_api_server_would_refuse(field: str, value: object) -> None:
    """An older or newer version of the CRDs may have let it in."""

    def spoil(site: Site) -> None:
        site.edit("Balancer", EVIL, "shop", **{field: value})

    asyncio.run(look(spoil))


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(("rules", "parentRefs")), JSON)
def test_no_route_ends_a_tick(field: str, value: object) -> None:
    def spoil(site: Site) -> None:
        site.edit("HTTPRoute", EVIL, "shop", **{field: value})

    asyncio.run(look(spoil))


@settings(max_examples=12, deadline=None)
@given(st.dictionaries(st.sampled_from(("balancerRef", "diagnosis", "approval", "trigger")), JSON), JSON)
def test_no_remediation_ends_a_tick(spec: dict[str, object], status: object) -> None:
    def spoil(site: Site) -> None:
        known = {"balancerRef": {"name": "shop", "uid": "uid-Balancer-evil-shop"}}
        site.put("Remediation", EVIL, "odd", spec=known | spec, status=status)
        site.put("Remediation", EVIL, "older", spec=known | spec)

    asyncio.run(look(spoil))


async def test_a_spec_that_cannot_be_read_is_a_condition_of_its_balancer() -> None:
    site = await look(lambda site: site.edit("Balancer", EVIL, "shop", suspend="perhaps"))
    assert site.condition(EVIL, "Ready") == ("False", "InvalidSpec")
    assert "suspend" in site.message(EVIL)


async def test_a_run_that_fails_unexpectedly_is_a_condition_of_its_balancer(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add_shop(EVIL)
    site.send_traffic(EVIL)
    await site.tick()
    assert site.condition(EVIL, "Ready") == WATCHING
    real = Observer.sight

    def broken(self: Observer, key: Any) -> Any:
        if key.namespace == EVIL:
            raise ZeroDivisionError("secret detail")
        return real(self, key)

    monkeypatch.setattr(Observer, "sight", broken)
    await site.tick()
    assert served(site)
    assert site.condition(EVIL, "Ready") == ("False", "InternalError")
    assert "ZeroDivisionError" in site.message(EVIL)
    assert "secret detail" not in site.message(EVIL)
    monkeypatch.undo()
    await site.tick()
    assert site.condition(EVIL, "Ready") == WATCHING


# What happens to a Balancer while its signals are read.

CHANGES: dict[str, Callable[[Site], None]] = {
    "deleted": lambda site: site.remove("Balancer", EVIL, "shop"),
    "remade": lambda site: site.add_balancer(EVIL, uid="another"),
    "remade with another Prometheus": lambda site: site.add_balancer(
        EVIL, {"signals": {"window": "1m"}}, uid="another"
    ),
    "edited": lambda site: site.edit("Balancer", EVIL, "shop", signals={"window": "1m"}),
    "suspended": lambda site: site.edit("Balancer", EVIL, "shop", suspend=True),
    "left without a route": lambda site: site.remove("HTTPRoute", EVIL, "shop"),
    "left without pods": lambda site: site.remove("Pod", EVIL, "a-1"),
}


@pytest.mark.parametrize("reconciled", [False, True], ids=["seen by no run", "seen by a run"])
@pytest.mark.parametrize("ticks_before", [0, 3])
@pytest.mark.parametrize("change", CHANGES)
async def test_a_balancer_may_change_while_its_signals_are_read(
    site: Site, monkeypatch: pytest.MonkeyPatch, change: str, ticks_before: int, reconciled: bool
) -> None:
    site.add_shop(EVIL)
    site.send_traffic(EVIL)
    for _ in range(ticks_before):
        await site.tick()
    real = site.reader.read

    async def meanwhile(interests: Any, ready: Any) -> Any:
        found = await real(interests)
        CHANGES[change](site)
        site.sync()
        if reconciled:
            site.reconciler.queue.add(site.key(EVIL))
            await site.runs_end()
        ready(found)
        return found

    monkeypatch.setattr(site.reader, "read", meanwhile)
    site.sync()
    await site.reconciler.tick()
    monkeypatch.undo()
    await site.idle()
    await site.tick()
    await site.tick()
    assert served(site)
    if change in ("remade", "edited", "remade with another Prometheus"):
        assert site.condition(EVIL, "Ready") == WATCHING


async def test_numbers_that_were_asked_for_another_spec_are_not_used(site: Site) -> None:
    site.add_shop(EVIL)
    await site.tick()
    judged = site.reconciler._observer.cases[site.key(EVIL)].judged
    real = site.reader.read

    async def meanwhile(interests: dict[Any, Interest], ready: Any) -> dict[Any, Samples]:
        found = await real(interests)
        site.edit("Balancer", EVIL, "shop", signals={"window": "1m"})
        site.sync("Balancer")
        ready(found)
        return found

    site.reader.read = meanwhile  # type: ignore[method-assign, assignment]
    site.sync()
    await site.reconciler.tick()
    await site.idle()
    assert site.reconciler._observer.cases[site.key(EVIL)].judged in (judged, None)


# Warm start.


@pytest.mark.parametrize("mode", [Mode.Slow, Mode.Drip, Mode.Garbage, Mode.Cut])
async def test_a_prometheus_that_does_not_answer_about_the_past_keeps_nobody_else_waiting(
    monkeypatch: pytest.MonkeyPatch, mode: Mode
) -> None:
    monkeypatch.setattr(warming, "ALONE_AT_ONCE", 1)
    async with (
        Site(query_timeout_seconds=1.0, prometheus_allowed_urls="*") as site,
        type(site.prometheus)() as hostile,
    ):
        hostile.mode = mode
        site.add_shop(GOOD)
        site.send_traffic(GOOD)
        for number in range(3):
            site.add_shop(f"{EVIL}-{number}", {"signals": {"prometheusUrl": hostile.url}})
        site.sync()
        await site.reconciler.tick()
        await until(lambda: site.condition(GOOD, "Ready") == WATCHING, what="the neighbour's turn")


async def test_a_balancer_made_again_while_it_is_warmed_starts_under_its_new_spec(site: Site) -> None:
    site.add_shop(EVIL)
    site.send_traffic(EVIL)
    site.prometheus.history = lambda time: dict(site.prometheus.pods)
    site.prometheus.mode = Mode.Slow
    site.prometheus.delay_seconds = 0.5
    site.sync()
    await site.reconciler.tick()
    site.add_balancer(EVIL, {"desired": {"type": "Even", "tolerancePercent": 40}}, uid="another")
    site.sync("Balancer")
    await site.reconciler.tick()
    await site.idle()
    assert list(site.reconciler._warming) == []
    case = site.reconciler._observer.cases[site.key(EVIL)]
    assert case.identity[0] == "another"
    assert case.engine._policy.tolerance_ratio == pytest.approx(1.4)


async def test_a_warm_start_ends_with_its_time_box(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.reconciler._warming, "_time_box_seconds", 0.2)
    site.prometheus.mode = Mode.Slow
    site.prometheus.delay_seconds = 3.0
    site.sync()
    began = asyncio.get_running_loop().time()
    await site.reconciler.tick()
    await site.idle()
    assert asyncio.get_running_loop().time() - began < 3.0 + site.reconciler._settings.query_timeout_seconds


# Health.


async def test_a_balancer_that_is_not_looked_after_is_noticed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(site.reconciler, "_monotonic", lambda: now)
    await site.tick()
    now += 60
    await site.tick()
    assert site.reconciler.longest_wait_seconds == 0
    real = site.reconciler._run

    async def hangs(key: Any) -> None:
        await (asyncio.Event().wait() if key.namespace == GOOD else real(key))

    monkeypatch.setattr(site.reconciler, "_run", hangs)
    await site.reconciler.tick()
    now += 75
    assert site.reconciler.longest_wait_seconds == 75


async def test_nothing_is_remembered_of_balancers_that_are_gone(site: Site) -> None:
    site.add_shop(EVIL)
    await site.tick()
    site.remove("Balancer", EVIL, "shop")
    await site.tick()
    await site.tick()
    reconciler, key = site.reconciler, site.key(EVIL)
    for memory in (
        reconciler._observer.cases,
        reconciler._samples,
        reconciler._met,
        reconciler._served,
        reconciler._warming,
    ):
        assert key not in memory


async def test_a_balancer_that_is_made_again_and_again_does_not_look_like_one_that_is_not_looked_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    async with Site(query_timeout_seconds=0.5) as site:
        monkeypatch.setattr(site.reconciler, "_monotonic", lambda: now)
        site.add_shop(EVIL)
        await site.tick()
        site.prometheus.mode = Mode.Slow  # its warm starts take longer than it lives
        for number in range(6):
            site.add_balancer(EVIL, uid=f"made-{number}")
            site.sync()
            await site.reconciler.tick()
            now += 20
        waited = now - site.reconciler._served[site.key(EVIL)]
    assert waited <= 40


@contextlib.asynccontextmanager
async def beside_a_slow_tenant(**settings: Any) -> AsyncIterator[tuple[Site, FakePrometheus]]:
    """Whose own Prometheus never answers, once both are watched."""
    async with Site(prometheus_allowed_urls="*", **settings) as site, FakePrometheus() as slow:
        site.add_shop(GOOD)
        site.send_traffic(GOOD)
        site.add_shop(EVIL, {"signals": {"prometheusUrl": slow.url}})
        site.send_traffic(EVIL)
        await site.tick()
        assert site.condition(EVIL, "Ready") == WATCHING
        slow.mode, slow.delay_seconds = Mode.Slow, 600.0
        yield site, slow


async def test_a_tick_does_not_wait_for_a_tenants_slow_server() -> None:
    async with beside_a_slow_tenant(query_timeout_seconds=60.0) as (site, slow):
        asked, judged = slow.asked.total(), []
        for _ in range(3):
            site.sync()
            await asyncio.wait_for(site.reconciler.tick(), 50)
            await site.runs_end()
            assert site.reconciler._reading.keys() == {site.key(EVIL)}
            assert served(site)
            judged.append(site.reconciler._samples[site.key(GOOD)])
            site.clock += 10
        assert len({*map(id, judged)}) == 3
        assert slow.asked.total() <= asked + len(SIGNALS)  # what is being read is not asked anew


async def test_a_slow_tenant_is_judged_once_its_time_is_over_and_asked_again() -> None:
    async with beside_a_slow_tenant(query_timeout_seconds=1.0) as (site, slow):
        await site.tick()
        assert site.condition(EVIL, "SignalsFresh") == ("False", "Missing")
        assert not site.reconciler._reading
        slow.mode = Mode.Ok
        slow.pods.update(site.prometheus.pods)
        await until(lambda: all(future.done() for future in site.reader._under_way.values()), what="no question left")
        await site.tick()
        assert site.condition(EVIL, "SignalsFresh")[0] == "True"


async def test_a_tick_looks_once_at_each(site: Site) -> None:
    site.add_shop(EVIL, {"signals": {"window": "1m"}})  # is read apart
    runs: list[str] = []
    real = site.reconciler._run

    async def counted(key: Any) -> None:
        runs.append(key.namespace)
        await real(key)

    site.reconciler._run = counted  # type: ignore[method-assign]
    await site.tick()
    runs.clear()
    await site.tick()
    assert sorted(runs) == [EVIL, GOOD]


# What is reported does not depend on what can be written.


@pytest.mark.parametrize("mode", ["Observe", "Auto"])
async def test_a_fault_is_reported_though_no_remediation_can_be_created(
    site: Site, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    site.edit("Balancer", GOOD, "shop", mode=mode)
    for _ in range(4):
        await site.tick()
    assert site.condition(GOOD, "Balanced") == ("True", "Healthy")

    async def refuse(resource: Resource, namespace: str | None, body: object) -> Manifest:
        raise Refused("exceeded quota: count/remediations.evenload.dev", status=403)

    monkeypatch.setattr(site.api, "create", refuse)
    refs = site.api.objects["HTTPRoute", GOOD, "shop"]["spec"]["rules"][0]["backendRefs"]
    wrong = [{**refs[0], "weight": 9800}, {**refs[1], "weight": 200}]
    site.edit("HTTPRoute", GOOD, "shop", rules=[{"backendRefs": wrong}])
    for _ in range(6):
        site.send_traffic(GOOD)
        await site.tick()
    assert site.condition(GOOD, "Balanced") == ("False", "LoadBalancerSkew")
    assert site.condition(GOOD, "Remediating") == ("False", "NotRecorded")
    assert "exceeded quota" in site.message(GOOD, "Remediating")
    monkeypatch.undo()
    seen = set()
    for _ in range(7):  # it is tried again within a minute
        site.send_traffic(GOOD)
        await site.tick()
        seen.add(site.condition(GOOD, "Remediating")[0])
    assert "True" in seen


async def test_nothing_is_looked_after_or_closed_in_a_namespace_of_which_not_all_could_be_listed() -> None:
    async with Site() as site:
        site.add_shop(GOOD)
        site.add_shop(EVIL)
        site.send_traffic(GOOD)
        site.store.unlisted.add(EVIL)
        await site.tick()
        assert served(site)
        assert not site.status(EVIL)
        site.store.unlisted.clear()
        await site.tick()
        assert site.condition(EVIL, "Ready") == WATCHING
