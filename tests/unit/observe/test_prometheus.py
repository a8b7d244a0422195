"""Every bad day of a Prometheus, on a real socket: an answer in words by the deadline, and never a number made up."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from evenload.errors import SignalsUnavailable
from evenload.model.snapshot import SIGNALS
from evenload.model.spec import Query, Signals
from evenload.observe.presets import PodLabels, Source, source_of
from evenload.observe.prometheus import Interest, Reading, SignalReader, parse, redacted
from tests.support.fakeprometheus import FakePrometheus, Mode
from tests.support.wait import until

PODS = {
    ("shop", "a"): {"requests": 100.0, "errors": 4.0, "latency": 0.02, "cpu": 0.3, "memory": 8e7, "inFlight": 3.0},
    ("shop", "b"): {"requests": 20.0, "errors": 0.0, "latency": 0.01, "cpu": 0.1, "memory": 7e7, "inFlight": 1.0},
}


@pytest.fixture
async def prometheus() -> AsyncIterator[FakePrometheus]:
    async with FakePrometheus() as prometheus:
        prometheus.pods.update(PODS)
        yield prometheus


@pytest.fixture
def reader() -> Any:
    reader = SignalReader(deadline_seconds=1.0)
    yield reader
    reader.close()


def source(prometheus: FakePrometheus, *queries: Query, **signals: Any) -> Source:
    return source_of(Signals(queries=queries, **signals), default_url=prometheus.url, scrape_seconds=5.0)


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
        self, prometheus: FakePrometheus, reader: SignalReader, mode: Mode, words: str
    ) -> None:
        prometheus.mode = mode
        started = time.monotonic()
        readings = await read(reader, source(prometheus))
        assert time.monotonic() - started < 1.5
        for reading in readings.values():
            assert words in reading.problem or "too long" in reading.problem
            assert not reading.values
            assert prometheus.url in reading.problem

    async def test_a_prometheus_that_is_down_is_told_at_once(self, reader: SignalReader) -> None:
        nowhere = source_of(Signals(), default_url="http://127.0.0.1:9", scrape_seconds=5.0)
        started = time.monotonic()
        readings = await read(reader, nowhere)
        assert time.monotonic() - started < 0.9
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

    async def test_one_bad_signal_does_not_spoil_the_others(
        self, prometheus: FakePrometheus, reader: SignalReader
    ) -> None:
        prometheus.modes = {"latency": Mode.Http500, "cpu": Mode.Slow}
        readings = await read(reader, source(prometheus))
        assert {name for name, reading in readings.items() if reading.problem} == {"latency", "cpu"}


class TestPatience:
    async def test_a_query_under_way_is_not_asked_again(self, prometheus: FakePrometheus) -> None:
        reader = SignalReader(deadline_seconds=0.2)
        prometheus.modes["cpu"] = Mode.Slow
        prometheus.delay_seconds = 0.35  # the session's own deadline is 0.2 s more between bytes
        first = await read(reader, source(prometheus))
        second = await read(reader, source(prometheus))
        assert "did not answer within" in first["cpu"].problem or "too long" in first["cpu"].problem
        assert prometheus.largest_outstanding <= len(SIGNALS)
        assert not second["requests"].problem
        reader.close()

    async def test_ticks_do_not_pile_up_on_a_prometheus_that_hangs(self, prometheus: FakePrometheus) -> None:
        reader = SignalReader(deadline_seconds=0.3)
        prometheus.mode = Mode.Drip
        started = time.monotonic()
        for _ in range(5):
            readings = await read(reader, source(prometheus))
            assert all(reading.problem for reading in readings.values())
        assert time.monotonic() - started < 2.5
        assert prometheus.largest_outstanding <= len(SIGNALS)
        prometheus.mode = Mode.Ok
        await until_read(reader, source(prometheus))
        reader.close()

    async def test_the_event_loop_goes_on_while_prometheus_hangs(
        self, prometheus: FakePrometheus, reader: SignalReader
    ) -> None:
        prometheus.mode = Mode.Slow
        reading = asyncio.create_task(read(reader, source(prometheus)))
        longest, last = 0.0, time.monotonic()
        while not reading.done():
            await asyncio.sleep(0.01)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        assert longest < 0.5

    async def test_a_slow_prometheus_does_not_hold_up_another(self, prometheus: FakePrometheus) -> None:
        reader = SignalReader(deadline_seconds=1.0)
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
        reader = SignalReader(deadline_seconds=0.5, observer=lambda outcome, seconds: told.append(outcome))
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

    await until(good, seconds=5, what="a good reading after Prometheus came back")


class TestCredentials:
    async def test_the_token_goes_to_the_installations_prometheus_alone(self, prometheus: FakePrometheus) -> None:
        async with FakePrometheus() as foreign:
            reader = SignalReader(trusted_url=prometheus.url + "/", token=lambda: "s3cret", deadline_seconds=1.0)
            await read(reader, source(prometheus))
            await read(reader, source(foreign))
            assert set(prometheus.authorizations) == {"Bearer s3cret"}
            assert set(foreign.authorizations) == {None}
            reader.close()

    async def test_neither_token_nor_password_is_in_a_message(self, prometheus: FakePrometheus) -> None:
        prometheus.mode = Mode.Http500
        url = prometheus.url.replace("http://", "http://me:s3cret@")
        reader = SignalReader(trusted_url=url, token=lambda: "t0ken", deadline_seconds=1.0)
        wanted = source_of(Signals(), default_url=url, scrape_seconds=5.0)
        problem = (await read(reader, wanted))["requests"].problem
        assert "500" in problem
        assert "s3cret" not in problem
        assert "t0ken" not in problem
        reader.close()

    def test_an_address_is_shown_without_its_password(self) -> None:
        assert redacted("https://me:s3cret@prometheus:9090/x") == "https://prometheus:9090/x"
        assert redacted("https://prometheus:9090/x") == "https://prometheus:9090/x"


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
