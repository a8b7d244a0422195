"""Every bad day of a Prometheus, on a real socket: an answer in words by the deadline, and never a number made up."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenload.errors import InputError, SignalsUnavailable
from evenload.history.ranges import Grid, parse_range
from evenload.model.snapshot import SIGNALS, SignalName
from evenload.model.spec import Query, Signals
from evenload.observe import transport
from evenload.observe.access import Access
from evenload.observe.prometheus import Interest, Limits, Reading, SignalReader, _Ask, _in_turn, parse, redacted
from evenload.observe.queries import PodLabels, Source, source_of
from tests.support.fakeprometheus import FakePrometheus, Mode
from tests.support.rawserver import RawServer, answering, reply
from tests.support.wait import PATIENCE_SECONDS, until

ENOUGH_SECONDS = 3.0  # where those who answer are beside those who do not
PODS = {
    ("shop", "a"): {"requests": 100.0, "errors": 4.0, "latency": 0.02, "cpu": 0.3, "memory": 8e7, "inFlight": 3.0},
    ("shop", "b"): {"requests": 20.0, "errors": 0.0, "latency": 0.01, "cpu": 0.1, "memory": 7e7, "inFlight": 1.0},
}

SECRET = Access(token=lambda: "s3cret")


@pytest.fixture
async def prometheus() -> AsyncIterator[FakePrometheus]:
    async with FakePrometheus() as prometheus:
        prometheus.pods.update(PODS)
        yield prometheus


@pytest.fixture
def hasty() -> Any:
    """For answers that do not come."""
    reader = SignalReader(deadline_seconds=1.0)
    yield reader
    reader.close()


@pytest.fixture
def reader() -> Any:
    """For answers that come: however busy the machine is."""
    reader = SignalReader(deadline_seconds=PATIENCE_SECONDS)
    yield reader
    reader.close()


def source(prometheus: FakePrometheus, *queries: Query, **signals: Any) -> Source:
    return source_of(Signals(preset="app", queries=queries, **signals), default_url=prometheus.url, scrape_seconds=5.0)


async def read(reader: SignalReader, wanted: Source, *namespaces: str) -> dict[Any, Reading]:
    interest = Interest(source=wanted, namespaces=frozenset(namespaces or {"shop"}))
    samples = await reader.read({"shop": interest})
    return dict(samples["shop"].readings)


class TestGoodDays:
    async def test_each_signal_is_read_by_pod_with_its_age(
        self, prometheus: FakePrometheus, reader: SignalReader
    ) -> None:
        readings = await read(reader, source(prometheus))
        assert set(readings) == set(SIGNALS)
        assert readings["requests"].values == {"shop": {"a": 150.0, "b": 30.0}}
        assert readings["errors"].values == {"shop": {"a": 6.0}}
        assert readings["cpu"].values == {"shop": {"a": 0.3, "b": 0.1}}
        assert all(reading.ages == {"shop": 2.0} and not reading.problem for reading in readings.values())

    async def test_pods_that_counted_nothing_yet_are_told(
        self, prometheus: FakePrometheus, reader: SignalReader
    ) -> None:
        prometheus.idle["shop", "c"] = 3.0
        assert (await read(reader, source(prometheus)))["requests"].idle == {"shop": {"c": 3.0}}

    async def test_pods_whose_counter_carries_no_status_are_told_with_their_labels(
        self, prometheus: FakePrometheus, reader: SignalReader
    ) -> None:
        prometheus.uncoded["shop", "b"] = {
            "__name__": "http_requests_total",
            "job": "pods",
            "status": "503",
            "path": "/",
        }
        errors = (await read(reader, source(prometheus)))["errors"]
        assert errors.uncoded == {"shop": {"b": ("path", "status")}}
        assert errors.values == {"shop": {"a": 6.0}}

    async def test_whose_counter_carries_one_is_asked_only_where_a_person_counts_the_requests(
        self, prometheus: FakePrometheus, reader: SignalReader
    ) -> None:
        assert (await read(reader, source(prometheus)))["errors"].coded == {}
        own = source(prometheus, Query(signal="requests", query="my_requests"))
        assert set((await read(reader, own))["errors"].coded["shop"]) == {"a", "b"}

    async def test_one_query_a_signal_serves_all_balancers_with_the_same_wishes(
        self, prometheus: FakePrometheus, reader: SignalReader
    ) -> None:
        prometheus.pods["till", "x"] = {"requests": 7.0}
        wanted = source(prometheus)
        interests = {number: Interest(source=wanted, namespaces=frozenset({"shop"})) for number in range(50)}
        interests[50] = Interest(source=wanted, namespaces=frozenset({"till"}))
        samples = await reader.read(interests)
        assert set(prometheus.asked.values()) == {1}
        assert samples[50].readings["requests"].values["till"] == {"x": 10.5}
        assert any('namespace=~"shop|till"' in query for query in prometheus.queries)

    async def test_a_query_about_a_balancers_own_pods_is_asked_for_each(
        self, prometheus: FakePrometheus, reader: SignalReader
    ) -> None:
        own = source(prometheus, Query(signal="cpu", query='container_cpu_usage_seconds_total{pod=~"$(pods)"}'))
        interests = {name: Interest(source=own, namespaces=frozenset({"shop"}), pods=(name,)) for name in ("a", "b")}
        await reader.read(interests)
        assert prometheus.asked["cpu"] == 2
        assert prometheus.asked["requests"] == 1
        assert sum('pod=~"a"' in query for query in prometheus.queries) == 1

    async def test_the_query_travels_in_the_body(self, prometheus: FakePrometheus, reader: SignalReader) -> None:
        many = [f"namespace-{number:04}" for number in range(3000)]
        readings = await read(reader, source(prometheus), *many)
        assert not readings["requests"].problem

    async def test_warnings_are_kept(self, prometheus: FakePrometheus, reader: SignalReader) -> None:
        prometheus.warnings = ["one store did not answer"]
        readings = await read(reader, source(prometheus))
        assert readings["requests"].warnings == ("one store did not answer",)


class TestBadDays:
    @pytest.mark.parametrize(
        ("mode", "words"),
        [
            (Mode.Http500, "answered 500: disk on fire"),
            (Mode.Html, "web page"),
            (Mode.Garbage, "not a list of series"),
            (Mode.Cut, "cannot be reached"),
            (Mode.Slow, "did not answer within 1s"),
            (Mode.Drip, "did not answer within 1s"),
        ],
    )
    async def test_no_answer_is_a_reading_that_says_why(
        self, prometheus: FakePrometheus, reader: SignalReader, hasty: SignalReader, mode: Mode, words: str
    ) -> None:
        prometheus.mode, prometheus.delay_seconds = mode, 600.0
        readings = await read(hasty if mode in (Mode.Slow, Mode.Drip) else reader, source(prometheus))
        for reading in readings.values():
            assert words in reading.problem or "too long" in reading.problem
            assert not reading.values
            assert prometheus.url in reading.problem

    async def test_a_prometheus_that_is_down_is_told_at_once(self, reader: SignalReader) -> None:
        nowhere = source_of(Signals(preset="app"), default_url="http://127.0.0.1:9", scrape_seconds=5.0)
        readings = await read(reader, nowhere)
        assert "cannot be reached: Connection refused" in readings["requests"].problem

    async def test_nan_is_kept_for_the_join_to_name(self, prometheus: FakePrometheus, reader: SignalReader) -> None:
        prometheus.mode = Mode.NaN
        value = (await read(reader, source(prometheus)))["cpu"].values["shop"]["a"]
        assert value != value

    async def test_empty_and_half_and_stale_are_answers(self, prometheus: FakePrometheus, reader: SignalReader) -> None:
        prometheus.modes = {"requests": Mode.Empty, "cpu": Mode.Half, "memory": Mode.Stale}
        readings = await read(reader, source(prometheus))
        assert readings["requests"] == Reading()
        assert readings["cpu"].values == {"shop": {"a": 0.3}}
        assert readings["memory"].ages == {"shop": 120.0}

    async def test_one_bad_signal_does_not_spoil_the_others(self, prometheus: FakePrometheus) -> None:
        prometheus.modes = {"latency": Mode.Http500, "cpu": Mode.Slow}
        reader = SignalReader(deadline_seconds=ENOUGH_SECONDS)
        readings = await read(reader, source(prometheus))
        reader.close()
        assert {name for name, reading in readings.items() if reading.problem} == {"latency", "cpu"}


class TestPatience:
    async def test_a_query_under_way_is_not_asked_again(self, prometheus: FakePrometheus) -> None:
        reader = SignalReader(deadline_seconds=1.0)
        prometheus.modes["cpu"] = Mode.Slow
        prometheus.delay_seconds = 1.15  # the session's own deadline is 0.2 s more between bytes
        first = await read(reader, source(prometheus))
        second = await read(reader, source(prometheus))
        assert "did not answer within" in first["cpu"].problem or "too long" in first["cpu"].problem
        assert prometheus.largest_outstanding <= len(SIGNALS)
        assert not second["requests"].problem
        reader.close()

    async def test_ticks_do_not_pile_up_on_a_prometheus_that_hangs(self, prometheus: FakePrometheus) -> None:
        reader = SignalReader(deadline_seconds=0.3)
        prometheus.mode = Mode.Drip
        for _ in range(5):
            readings = await read(reader, source(prometheus))
            assert all(reading.problem for reading in readings.values())
        assert prometheus.largest_outstanding <= len(SIGNALS)
        prometheus.mode = Mode.Ok
        await until_read(reader, source(prometheus))
        reader.close()

    async def test_the_event_loop_goes_on_while_prometheus_hangs(
        self, prometheus: FakePrometheus, hasty: SignalReader
    ) -> None:
        prometheus.mode = Mode.Slow
        reading, turns = asyncio.create_task(read(hasty, source(prometheus))), 0
        while not reading.done():
            await asyncio.sleep(0.01)
            turns += 1
        assert turns > 5  # of a hundred; it would be one or two

    async def test_a_slow_prometheus_does_not_hold_up_another(self, prometheus: FakePrometheus) -> None:
        reader = SignalReader(deadline_seconds=ENOUGH_SECONDS)
        async with FakePrometheus() as slow:
            slow.mode = Mode.Slow
            samples = await reader.read(
                {
                    "slow": Interest(source=source(slow), namespaces=frozenset({"shop"})),
                    "quick": Interest(source=source(prometheus), namespaces=frozenset({"shop"})),
                }
            )
        assert all(reading.problem for reading in samples["slow"].readings.values())
        assert not any(reading.problem for reading in samples["quick"].readings.values())
        reader.close()

    async def test_every_query_is_told_to_the_observer(self, prometheus: FakePrometheus) -> None:
        told: list[str] = []
        reader = SignalReader(deadline_seconds=PATIENCE_SECONDS, observer=lambda outcome, seconds: told.append(outcome))
        prometheus.modes = {"cpu": Mode.Http500}
        await read(reader, source(prometheus))
        assert sorted(told) == ["failed"] + ["ok"] * 5
        reader.close()

    async def test_an_endpoint_nobody_asks_any_more_is_let_go(
        self, prometheus: FakePrometheus, reader: SignalReader
    ) -> None:
        await read(reader, source(prometheus))
        assert threads_of_reader()
        await reader.read({})
        await until(lambda: not threads_of_reader())
        assert not (await read(reader, source(prometheus)))["requests"].problem


def threads_of_reader() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("prometheus")]


async def until_read(reader: SignalReader, wanted: Source) -> None:
    async def good() -> bool:
        return not any(reading.problem for reading in (await read(reader, wanted)).values())

    await until(good, what="a good reading after Prometheus came back")


class TestCredentials:
    async def test_the_token_goes_to_the_installations_prometheus_alone(self, prometheus: FakePrometheus) -> None:
        async with FakePrometheus() as foreign:
            reader = SignalReader(trusted_url=prometheus.url + "/", access=SECRET, deadline_seconds=PATIENCE_SECONDS)
            await read(reader, source(prometheus))
            await read(reader, source(foreign))
            assert set(prometheus.authorizations) == {"Bearer s3cret"}
            assert set(foreign.authorizations) == {None}
            reader.close()

    async def test_it_is_no_matter_how_the_installations_address_is_written(self, prometheus: FakePrometheus) -> None:
        reader = SignalReader(trusted_url=prometheus.url.upper().replace("HTTP", "http") + "/", access=SECRET)
        assert reader.access_for(prometheus.url) is not None
        assert reader.access_for(prometheus.url + "/x") is None
        assert SignalReader(access=SECRET).access_for(prometheus.url) is None
        reader.close()

    async def test_the_token_is_in_no_message(self, prometheus: FakePrometheus) -> None:
        prometheus.mode = Mode.Http500
        reader = SignalReader(trusted_url=prometheus.url, access=Access(token=lambda: "t0ken"))
        problem = (await read(reader, source(prometheus)))["requests"].problem
        assert "500" in problem
        assert "t0ken" not in problem
        reader.close()

    async def test_a_token_that_cannot_be_read_is_a_problem_in_words(self, prometheus: FakePrometheus) -> None:
        def fail() -> str:
            raise InputError("token file: no such file")

        reader = SignalReader(trusted_url=prometheus.url, access=Access(token=fail), deadline_seconds=PATIENCE_SECONDS)
        assert "was not asked: token file: no such file" in (await read(reader, source(prometheus)))["cpu"].problem
        reader.close()

    def test_an_address_is_shown_without_its_password(self) -> None:
        assert redacted("https://me:s3cret@prometheus:9090/x") == "https://prometheus:9090/x"
        assert redacted("https://prometheus:9090/x") == "https://prometheus:9090/x"


def foreign(server: FakePrometheus | RawServer, *queries: Query) -> Source:
    return source_of(
        Signals(preset="app", prometheus_url=server.url, queries=queries), default_url="http://p:1", scrape_seconds=5.0
    )


def usual(server: RawServer) -> Source:
    return source_of(Signals(preset="app"), default_url=server.url, scrape_seconds=5.0)


def below(server: RawServer, number: int) -> Source:
    return source_of(Signals(preset="app", prometheus_url=f"{server.url}/{number}"), default_url="", scrape_seconds=5.0)


def named(source: Source, namespace: str = "shop", pods: int = 0) -> Interest:
    return Interest(source=source, namespaces=frozenset({namespace}), owner=namespace, expected_pods=pods)


ALL_SIGNALS = [Query(signal=signal, query=f'own_{signal}{{n=~"$(namespaces)"}}') for signal in SIGNALS]


def rows(number: int, name: str = "pod") -> bytes:
    row = '{"metric":{"namespace":"shop","pod":"%s-%d"},"value":[1,"1"]}'
    return b'{"data":{"result":[%s]}}' % ",".join(row % (name, each) for each in range(number)).encode()


def drip(sock: socket.socket, request: bytes) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        sock.sendall(b"a")
        time.sleep(0.02)  # the server's own pace


class TestTenants:
    """One reads from a server of their own, or brings queries: the others do not notice."""

    async def test_slow_queries_of_one_take_nothing_from_the_rest(self, prometheus: FakePrometheus) -> None:
        prometheus.modes["unknown"] = Mode.Slow
        reader = SignalReader(trusted_url=prometheus.url, deadline_seconds=ENOUGH_SECONDS)
        evil = {f"evil-{i}": named(source(prometheus, *ALL_SIGNALS), f"evil-{i}") for i in range(20)}
        for _ in range(2):
            samples = await reader.read(evil | {"good": named(source(prometheus))})
            assert not any(reading.problem for reading in samples["good"].readings.values())
            assert all(reading.problem for reading in samples["evil-0"].readings.values())
        reader.close()

    async def test_addresses_that_never_answer_take_nothing_from_another_tenants_own(
        self, prometheus: FakePrometheus
    ) -> None:
        reader = SignalReader(trusted_url="http://127.0.0.1:9", deadline_seconds=ENOUGH_SECONDS)
        with RawServer(drip) as evil:
            interests = {f"evil-{number}": named(below(evil, number), "evil") for number in range(40)}
            for _ in range(3):
                samples = await reader.read(interests | {"good": named(foreign(prometheus))})
                assert not any(reading.problem for reading in samples["good"].readings.values())
        reader.close()

    async def test_windows_of_their_own_take_nothing_from_what_all_ask(self) -> None:
        def slow_but_for_the_usual(sock: socket.socket, request: bytes) -> None:
            if b"%5B15s%5D" not in request and b"in_flight" not in request and b"container" not in request:
                time.sleep(0.2)
            sock.sendall(reply())

        with RawServer(slow_but_for_the_usual) as server:
            reader = SignalReader(trusted_url=server.url, deadline_seconds=ENOUGH_SECONDS)

            def asks(window: str | None = None) -> Source:
                return source_of(Signals(preset="app", window=window), default_url=server.url, scrape_seconds=5.0)

            tenants = {
                (name, seconds): named(asks(f"{seconds}s"), name) for name in ("x", "y") for seconds in range(31, 61)
            }
            usual = {number: named(asks(), f"shop-{number}") for number in range(20)}
            for _ in range(3):
                early: list[object] = []
                samples = await reader.read(tenants | usual, early.extend)
                assert early[: len(usual)] == list(usual)
                assert len(early) == len(samples) == len({*early})
                for number in usual:
                    assert not any(reading.problem for reading in samples[number].readings.values())
            reader.close()

    async def test_of_many_slow_addresses_of_one_namespace_each_has_its_turn(self) -> None:
        def never(sock: socket.socket, request: bytes) -> None:
            server.ended.wait(60)

        reader = SignalReader(deadline_seconds=0.2)
        with RawServer(never) as server:
            interests = {number: named(below(server, number)) for number in range(6)}
            everything = {(number, signal) for number in interests for signal in SIGNALS}
            asked: set[tuple[int, SignalName]] = set()
            for _ in range(2 * len(everything)):
                samples = await reader.read(interests)
                problems = {(n, signal): samples[n].readings[signal].problem for n, signal in everything}
                asked |= {key for key, problem in problems.items() if "did not answer" in problem}
                waiting = {problem for problem in problems.values() if "was not asked" in problem}
                assert all("questions of namespace shop, which are asked in turn" in each for each in waiting)
                if asked == everything:
                    break
        reader.close()
        assert asked == everything

    async def test_who_had_to_wait_keeps_the_place_while_another_read_is_under_way(self) -> None:
        def never(sock: socket.socket, request: bytes) -> None:
            server.ended.wait(60)

        reader = SignalReader(deadline_seconds=0.2)
        with RawServer(never) as server:
            await reader.read({1: named(below(server, 1))})
            begun = dict(reader._begun)
            slow = asyncio.create_task(reader.read({1: named(below(server, 1))}))
            await asyncio.sleep(0)
            await reader.read({})
            assert begun.keys() <= reader._begun.keys()
            await slow
            await reader.read({})
            assert not reader._begun
        reader.close()

    @given(st.lists(st.integers(1, 7), min_size=1, max_size=8), st.integers(1, 9))
    def test_each_question_is_asked_in_turn_however_few_can_be_asked_at_once(
        self, sizes: list[int], at_once: int
    ) -> None:
        source = source_of(Signals(preset="app"), default_url="http://p:1", scrape_seconds=5.0)
        bundles = [[_Ask(source, "cpu", (number, each)) for each in range(size)] for number, size in enumerate(sizes)]
        begun: dict[_Ask, float] = {}
        for moment in range(1, sum(sizes) + len(sizes) + 1):
            begun |= dict.fromkeys(_in_turn(bundles, begun)[:at_once], float(moment))
        assert begun.keys() == {ask for bundle in bundles for ask in bundle}
        rounds = -(-sum(sizes) // at_once) + len(sizes)
        assert min(begun.values()) >= sum(sizes) + len(sizes) - rounds

    async def test_those_who_answer_are_told_of_before_those_who_do_not(self, prometheus: FakePrometheus) -> None:
        reader = SignalReader(trusted_url="http://127.0.0.1:9", deadline_seconds=600.0)
        quick = asyncio.Event()
        with RawServer(drip) as evil:
            interests = {"evil": named(below(evil, 1), "evil"), "good": named(foreign(prometheus), "good")}
            reading = asyncio.create_task(
                reader.read(interests, lambda samples: quick.set() if "good" in samples else None)
            )
            await asyncio.wait_for(quick.wait(), PATIENCE_SECONDS / 2)
            assert not reading.done()
            reader.close()
            await reading

    async def test_four_hundred_addresses_share_a_few_threads(self) -> None:
        reader = SignalReader(deadline_seconds=0.3)
        with RawServer(drip) as evil:
            interests = {
                i: named(
                    source_of(
                        Signals(preset="app", prometheus_url=f"{evil.url}/{i}"), default_url="", scrape_seconds=5
                    ),
                    f"t{i}",
                )
                for i in range(400)
            }
            await reader.read(interests)
            assert len(threads_of_reader()) <= 8
            await reader.read({})
            await until(lambda: not threads_of_reader())
        reader.close()

    async def test_own_queries_for_one_signal_leave_the_others_shared(
        self, prometheus: FakePrometheus, reader: SignalReader
    ) -> None:
        own = source(prometheus, Query(signal="cpu", query="my_cpu"))
        await reader.read({"own": named(own, "a"), "plain": named(source(prometheus), "b")})
        assert prometheus.asked["requests"] == 1
        assert any('namespace=~"a|b"' in query for query in prometheus.queries)

    async def test_what_a_tenant_decides_is_not_shared_with_another(
        self, prometheus: FakePrometheus, reader: SignalReader
    ) -> None:
        wanted = foreign(prometheus)
        await reader.read({1: named(wanted, "a"), 2: named(wanted, "a"), 3: named(wanted, "b")})
        assert prometheus.asked["requests"] == 2

    @pytest.mark.parametrize("pods", [0, 10, 1000])
    async def test_an_answer_is_limited_by_the_pods_that_are_expected(self, reader: SignalReader, pods: int) -> None:
        most = 20 + 12 * (pods or 200)
        for number, taken in ((most, True), (most + 1, False)):
            with RawServer(answering(rows(number))) as server:
                reading = (await reader.read({"x": named(foreign(server), pods=pods)}))["x"].readings["requests"]
            assert len(reading.values.get("shop", ())) == (number if taken else 0)
            assert (f"more than {most} series" in reading.problem) is not taken

    @pytest.mark.parametrize(("whose", "characters"), [("tenant's", 300), ("installation's", 5000)])
    async def test_a_name_that_no_pod_can_have_is_refused(
        self, reader: SignalReader, whose: str, characters: int
    ) -> None:
        with RawServer(answering(rows(1, "x" * characters))) as server:
            asked = foreign(server) if whose == "tenant's" else usual(server)
            reading = (await reader.read({"x": named(asked)}))["x"].readings["requests"]
        assert "more than 253 characters" in reading.problem

    async def test_a_large_answer_is_for_the_installations_own_alone(self, reader: SignalReader) -> None:
        with RawServer(answering(rows(3000) + b" " * (2 << 20))) as server:
            own = source_of(Signals(preset="app"), default_url=server.url, scrape_seconds=5.0)
            samples = await reader.read({"own": named(own), "foreign": named(foreign(server))})
        assert len(samples["own"].readings["cpu"].values["shop"]) == 3000
        assert "MiB" in samples["foreign"].readings["cpu"].problem

    async def test_nothing_of_what_another_server_says_is_repeated(self, reader: SignalReader) -> None:
        answers = [
            reply(b"hunter2", "403 hunter2"),
            reply(b'{"data":{"result":[{"metric":{"pod":"hunter2"},"value":[1,"hunter2"]}]}}'),
            reply(b'{"data":{"result":[]},"warnings":["hunter2"]}'),
            reply(rows(1).replace(b"]}}", b"," + rows(1)[20:])),
        ]
        for answer in answers:
            with RawServer(lambda sock, request, answer=answer: sock.sendall(answer)) as server:  # type: ignore[misc]
                samples = await reader.read({"x": named(foreign(server))})
            assert "hunter2" not in repr(samples["x"].readings)

    async def test_that_another_server_warned_is_reported_in_our_words(self, reader: SignalReader) -> None:
        with RawServer(answering(b'{"data":{"result":[]},"warnings":["hunter2"]}')) as server:
            samples = await reader.read({"x": named(foreign(server))})
        assert samples["x"].readings["cpu"].warnings == (
            "it answered with warnings; they are not repeated, as it is not the installation's Prometheus",
        )

    async def test_closing_ends_a_read_at_once(self) -> None:
        reader = SignalReader(deadline_seconds=600.0)
        with RawServer(drip) as evil:
            reading = asyncio.create_task(reader.read({"x": named(foreign(evil))}))
            await until(lambda: evil.requests)
            reader.close()
            samples = await asyncio.wait_for(reading, PATIENCE_SECONDS)
        assert all("closed" in each.problem for each in samples["x"].readings.values())


class TestMemory:
    """What the installation's own Prometheus answers is bounded, too, by the pods that there are."""

    async def test_more_series_than_the_pods_can_have_are_refused(self, reader: SignalReader) -> None:
        most, problems = 20_000 + 12 * 10, []
        for number in (most, most + 1):
            with RawServer(answering(rows(number))) as server:
                samples = await reader.read({"x": named(usual(server), pods=10)})
            problems.append(samples["x"].readings["requests"].problem)
        assert problems[0] == ""
        assert f"gave more than {most} series, which is more than 10 pods need" in problems[1]
        assert "spec.signals.matchers" in problems[1]

    async def test_as_many_pods_as_there_are_may_answer(self, reader: SignalReader) -> None:
        with RawServer(answering(rows(20_000, "a-name-of-a-pod-as-long-as-they-come" * 5))) as server:
            samples = await reader.read({"x": named(usual(server), pods=20_000)})
        assert {len(reading.values["shop"]) for reading in samples["x"].readings.values()} == {20_000}

    async def test_warnings_are_cut_short(self, reader: SignalReader) -> None:
        body = json.dumps({"data": {"result": []}, "warnings": ["w" * 300] * 20}).encode()
        with RawServer(answering(body)) as server:
            samples = await reader.read({"x": named(usual(server))})
        assert samples["x"].readings["cpu"].warnings == ("w" * 200,) * 10

    @pytest.mark.parametrize("answer", ["rows", "gzip bomb"])
    def test_a_process_stays_small_whatever_is_answered_to_each_signal(self, answer: str) -> None:
        """For real: 1.3 GiB would be needed to take all of it."""

        def pour(sock: socket.socket, request: bytes) -> None:
            sock.sendall(b'HTTP/1.0 200 OK\r\n\r\n{"data":{"result":[')
            for _ in range(1000):
                sock.sendall(MANY_ROWS)

        bomb = answering(gzip.compress(bytes(120 << 20), 1), "200 OK", "Content-Encoding: gzip")
        with RawServer(pour if answer == "rows" else bomb) as server:
            ran = subprocess.run(
                [sys.executable, "-c", READING, server.url], capture_output=True, text=True, timeout=200
            )
        assert ran.returncode == 0, ran.stderr
        mebibytes, *problems = ran.stdout.splitlines()
        assert [each for each in problems if "gave an answer of more than 16 MiB" not in each] == []
        assert int(mebibytes) < 300  # six answers of 16 MiB, and what an allocator with many arenas makes of them


MANY_ROWS = b'{"metric":{"namespace":"s","pod":"p"},"value":[1,"1"]},' * 2000
READING = """
import asyncio, resource, sys
import prometheus_api_client
from evenload.model.spec import Signals
from evenload.observe.prometheus import Interest, SignalReader
from evenload.observe.queries import source_of

def most():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

source = source_of(Signals(preset="app"), default_url=sys.argv[1], scrape_seconds=5.0)
reader, before = SignalReader(deadline_seconds=120.0), most()
samples = asyncio.run(reader.read({1: Interest(source=source, namespaces=frozenset({"s"}), expected_pods=10)}))
print(most() - before)
for reading in samples[1].readings.values():
    print(reading.problem)
"""


ODD_URLS = [
    "http://[",
    "http://\u2100.com",
    "http://xn--\u0130",
    "http://a:99999999",
    "http://.",
    "http://" + "a" * 300,
]
ANY_URL = st.one_of(
    st.text(max_size=30),
    st.text(max_size=20).map("http://".__add__),
    st.binary(max_size=20).map(lambda raw: "https://" + raw.decode("latin-1")),
    st.sampled_from(ODD_URLS),
)


class TestItNeverRaises:
    """Whatever a URL, an answer, a Balancer or a thread does: a Reading with a problem."""

    @settings(max_examples=60, deadline=None)
    @given(url=ANY_URL)
    def test_whatever_the_address_is(self, url: str) -> None:
        async def ask() -> None:
            reader = SignalReader(trusted_url=url, deadline_seconds=0.2)
            wanted = msgspec.structs.replace(
                source_of(Signals(preset="app"), default_url="http://p", scrape_seconds=5), url=url
            )
            try:
                samples = await reader.read(
                    {"x": named(wanted), "y": named(msgspec.structs.replace(wanted, foreign=True))}
                )
                assert all(reading.problem for each in samples.values() for reading in each.readings.values())
            finally:
                reader.close()

        with pytest.MonkeyPatch.context() as patch:  # no name is looked up outside
            patch.setattr(socket, "getaddrinfo", refuse_to_look_up)
            asyncio.run(ask())

    @pytest.mark.parametrize(
        "body",
        [b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"data":{"result":[{"metric":' + b'{"a":' * 100_000],
        ids=["closed", "open"],
    )
    async def test_json_nested_very_deep(self, reader: SignalReader, body: bytes) -> None:
        with RawServer(answering(body)) as server:
            own = source_of(Signals(preset="app"), default_url=server.url, scrape_seconds=5.0)
            samples = await reader.read({"own": named(own), "foreign": named(foreign(server))})
        for each in samples.values():
            assert all("not a list of series" in reading.problem for reading in each.readings.values())

    @pytest.mark.parametrize(
        "error", [RuntimeError("x"), RecursionError(), MemoryError(), UnicodeError("x"), KeyError("x"), OverflowError()]
    )
    async def test_an_error_that_no_rule_foresees(
        self, reader: SignalReader, prometheus: FakePrometheus, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*arguments: object) -> None:
            raise error

        monkeypatch.setattr(transport, "_connected", fail)
        readings = await read(reader, source(prometheus))
        assert all(reading.problem for reading in readings.values())

    async def test_no_thread_can_be_started(
        self, reader: SignalReader, prometheus: FakePrometheus, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(self: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            readings = await read(reader, source(prometheus))
            assert all("could not be asked: RuntimeError" in reading.problem for reading in readings.values())
        assert not any(reading.problem for reading in (await read(reader, source(prometheus))).values())

    async def test_a_namespace_that_is_no_name_is_the_problem_of_that_balancer_alone(
        self, reader: SignalReader, prometheus: FakePrometheus
    ) -> None:
        samples = await reader.read({"bad": named(source(prometheus), '"} or x{'), "good": named(source(prometheus))})
        assert all("kept out of PromQL" in reading.problem for reading in samples["bad"].readings.values())
        assert not any(reading.problem for reading in samples["good"].readings.values())


def refuse_to_look_up(*arguments: object) -> None:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


NUMBERS = st.floats() | st.integers() | st.just(10**400)
TEXTS = st.text(max_size=4) | st.sampled_from(["1", "1e999", "-Inf", "NaN", "9" * 5000])
KEYS = st.sampled_from(["data", "result", "metric", "value", "values", "pod", "namespace", "evenload", "warnings"])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner),
    max_leaves=12,
)
SAMPLE = st.tuples(NUMBERS, TEXTS | st.integers())
LABELS = st.sampled_from(["a", "b", "age", "idle", "", "value"]) | st.integers()
METRIC = st.dictionaries(st.sampled_from(["pod", "namespace", "evenload"]), LABELS)
ROW = st.fixed_dictionaries({"metric": METRIC, "value": SAMPLE, "values": st.lists(SAMPLE, max_size=3)})
ALMOST = st.lists(ROW, max_size=3).map(lambda result: {"data": {"result": result}})
LIMITS = st.builds(Limits, st.just(1 << 30), st.none() | st.integers(0, 3), st.booleans())
BODIES = st.one_of(st.binary(), (JSON | ALMOST).map(lambda value: json.dumps(value).encode()))


class TestAnyAnswer:
    @given(body=BODIES, limits=LIMITS)
    def test_is_a_reading_or_no_list_of_series(self, body: bytes, limits: Limits) -> None:
        with contextlib.suppress(SignalsUnavailable):
            assert isinstance(parse(body, PodLabels("namespace", "pod"), limits), Reading)

    @given(body=BODIES, limits=LIMITS)
    def test_of_a_stretch_of_time_too(self, body: bytes, limits: Limits) -> None:
        with contextlib.suppress(SignalsUnavailable):
            parse_range(body, PodLabels("namespace", "pod"), Grid(1000.0, 5.0, 3), limits).at(0)


class TestParsing:
    labels = PodLabels("namespace", "pod")

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"null",
            b"[]",
            b"{}",
            b'{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}',
            b'{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"]]}]}}',
            b'{"data":{"result":[{"metric":{"namespace":"shop"},"value":[1,"2"]}]}}',
            b'{"data":{"result":[{"metric":{"pod":"a"},"value":[1,"a lot"]}]}}',
            b'{"data":{"result":[{"metric":{"pod":"a"},"value":[1,"2"]},{"metric":{"pod":"a"},"value":[1,"3"]}]}}',
        ],
    )
    def test_what_is_not_one_series_a_pod_is_refused(self, body: bytes) -> None:
        with pytest.raises(SignalsUnavailable):
            parse(body, self.labels)

    def test_labels_are_read_by_the_names_the_balancer_gives(self) -> None:
        body = b'{"data":{"result":[{"metric":{"ns":"shop","p":"a","pod":"exporter"},"value":[1,"2"]}]}}'
        assert parse(body, PodLabels("ns", "p")).values == {"shop": {"a": 2.0}}

    def test_a_pod_has_one_name_in_all_signals(self) -> None:
        body = b'{"data":{"result":[{"metric":{"namespace":"shop","pod":"shop-0"},"value":[1,"2"]}]}}'
        first, second = (next(iter(parse(body, self.labels).values["shop"])) for _ in range(2))
        assert first is second  # six copies of 50,000 names would be 20 MB
