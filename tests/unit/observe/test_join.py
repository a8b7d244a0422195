"""An absent number never becomes zero, a true zero is never absent, and every signal says how good it is."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenload.drivers.base import Place
from evenload.model.snapshot import Hold, Pod, SignalState, Snapshot
from evenload.observe.cluster import Fleet
from evenload.observe.join import Lineup, snapshot_of, without_numbers
from evenload.observe.prometheus import Reading, Samples
from evenload.presets import PRESETS
from tests.unit.observe.fleets import NOW, SOURCE, fleet, member, reading, samples, snapshot


def pod(of: Snapshot, name: str) -> Pod:
    return of.backends[f"shop-{name}"].pods[name]


class TestCounts:
    def test_they_are_shrunk_to_the_time_their_samples_span(self) -> None:
        taken = snapshot(fleet("a", "b"), samples(requests=reading(a=150, b=30), errors=reading(a=15)))
        assert taken.window == 10
        assert pod(taken, "a").requests == pytest.approx(100)
        assert pod(taken, "a").errors == pytest.approx(10)

    def test_a_pod_without_failing_series_has_no_errors_if_its_requests_are_known(self) -> None:
        taken = snapshot(fleet("a", "b", "c"), samples(requests=reading(a=150, b=30), errors=reading(a=15)))
        assert pod(taken, "b").errors == 0
        assert pod(taken, "c").errors is None

    def test_there_are_never_more_errors_than_requests(self) -> None:
        taken = snapshot(fleet("a"), samples(requests=reading(a=150), errors=reading(a=165)))
        assert pod(taken, "a").errors == pod(taken, "a").requests

    def test_unknown_errors_are_not_zero(self) -> None:
        taken = snapshot(fleet("a"), samples(requests=reading(a=150), errors=Reading(problem="it is down")))
        assert pod(taken, "a").errors is None
        assert taken.signals["errors"].state is SignalState.Missing


class TestByService:
    """What a proxy counts for each Service: its rows name neither a namespace nor a pod."""

    SOURCE = msgspec.structs.replace(SOURCE, preset=PRESETS["traefik"])

    @staticmethod
    def who(**counts: int) -> Fleet:
        return Fleet(
            backends={
                name: {f"{name}{n}": member(f"{name}{n}") for n in range(count)} for name, count in counts.items()
            },
            services={name: Place(namespace="shop", name=name) for name in counts},
        )

    def taken(self, who: Fleet, requests: dict[str, float], **more: dict[str, float]) -> Snapshot:
        rows = {"requests": requests, "errors": {}, "latency": {}, **more}
        readings = {name: Reading(values={"": each} if each else {}, ages={"": 3.0}) for name, each in rows.items()}
        return snapshot(who, Samples(source=self.SOURCE, readings=samples(**readings).readings))

    def test_each_ready_pod_has_an_equal_part_and_the_latency_of_the_whole(self) -> None:
        who = self.who(a=3, b=1)
        who.backends["a"]["a2"] = member("a2", ready=False)
        seen = self.taken(who, {"shop-a": 90, "shop-b": 30}, errors={"shop-a": 9}, latency={"shop-a": 0.2})
        first, second, unready = seen.backends["a"].pods.values()
        assert (first.requests, first.errors, first.latency) == (30, 3, 0.2)  # shrunk to the time that samples span
        assert (second.requests, second.errors, second.latency) == (30, 3, 0.2)
        assert (unready.requests, unready.errors, unready.latency) == (None, None, None)
        assert seen.backends["b"].pods["b0"].requests == 20
        assert seen.backends["a"].by_service
        assert seen.signals["requests"].state is SignalState.Fresh

    def test_one_without_a_counter_was_asked_nothing_if_another_has_one(self) -> None:
        seen = self.taken(self.who(a=1, b=1), {"shop-a": 90})
        assert (seen.backends["b"].pods["b0"].requests, seen.backends["b"].pods["b0"].errors) == (0, 0)

    def test_where_none_has_a_counter_nothing_is_known(self) -> None:
        seen = self.taken(self.who(a=1, b=1), {"shop-c": 90})
        assert seen.backends["a"].pods["a0"].requests is None
        assert seen.signals["requests"].state is SignalState.Missing

    def test_a_subset_of_a_service_has_no_numbers(self) -> None:
        who = self.who(a=1, b=1)
        who.services["b"] = Place(namespace="shop", name="b", subset="v1")
        seen = self.taken(who, {"shop-a": 90, "shop-b": 90})
        assert seen.backends["b"].pods["b0"].requests is None

    def test_elsewhere_it_is_not_said(self) -> None:
        assert not snapshot(fleet("a"), samples(requests=reading(a=150))).backends["shop-a"].by_service


class TestByAddress:
    """What a proxy counts for each address: its rows name no namespace and no pod."""

    SOURCE = msgspec.structs.replace(SOURCE, preset=PRESETS["envoy-gateway"])

    def taken(self, fleet: Fleet, ages: dict[str, float], **numbers: float) -> Snapshot:
        rows = {name.replace("_", "."): number for name, number in numbers.items()}
        readings = samples(requests=Reading(values={"": rows}, ages=ages), cpu=reading(a=0.5))
        return snapshot(fleet, Samples(source=self.SOURCE, readings=readings.readings))

    def test_a_pod_has_what_all_its_addresses_have_and_the_kubelets_numbers_by_its_name(self) -> None:
        who = Fleet(backends={"shop-a": {"a": member("a", addresses=("10.0.0.1", "10.0.0.2"))}})
        taken = self.taken(who, {"": 3.0}, **{"10_0_0_1": 60, "10_0_0_2": 30, "10_0_0_12": 500})
        assert pod(taken, "a").requests == pytest.approx(60)  # 90, shrunk to the time that samples span
        assert pod(taken, "a").cpu == 0.5
        assert taken.signals["requests"].age == 3.0

    def test_a_pod_without_an_address_is_absent_whatever_it_is_called(self) -> None:
        who = Fleet(backends={f"shop-{name}": {name: member(name)} for name in "ab"})
        taken = self.taken(who, {"": 3.0}, a=60)
        assert pod(taken, "a").requests is None
        assert taken.signals["requests"].state is SignalState.Missing

    def test_it_is_stale_by_the_age_of_all_of_it(self) -> None:
        who = Fleet(backends={"shop-a": {"a": member("a", addresses=("10.0.0.1",))}})
        taken = self.taken(who, {"": 90.0}, **{"10_0_0_1": 60})
        assert taken.signals["requests"].state is SignalState.Stale
        assert pod(taken, "a").requests is None


class TestPodsWithoutTraffic:
    def test_a_pod_scraped_within_the_window_that_counted_nothing_yet_had_no_requests(self) -> None:
        requests = reading(a=150)
        requests.idle = {"shop": {"b": 3.0}}
        taken = snapshot(fleet("a", "b"), samples(requests=requests, errors=reading()))
        assert pod(taken, "b").requests == 0
        assert pod(taken, "b").errors == 0
        assert taken.signals["requests"].state is SignalState.Fresh

    def test_a_pod_that_was_not_scraped_lately_is_absent(self) -> None:
        requests = reading(a=150)
        requests.idle = {"shop": {"b": 16.0}}
        taken = snapshot(fleet("a", "b"), samples(requests=requests))
        assert pod(taken, "b").requests is None
        assert taken.signals["requests"].state is SignalState.Partial

    def test_a_pod_nobody_scraped_is_absent_and_named(self) -> None:
        taken = snapshot(fleet("a", "b"), samples(requests=reading(a=150)))
        assert pod(taken, "b").requests is None
        assert taken.signals["requests"].state is SignalState.Partial
        assert "1 of 2 ready pods" in taken.signals["requests"].detail
        assert "b" in taken.signals["requests"].detail

    def test_latency_is_not_missed_where_there_were_no_requests(self) -> None:
        requests = reading(a=150)
        requests.idle = {"shop": {"b": 3.0}}
        taken = snapshot(fleet("a", "b"), samples(requests=requests, latency=reading(a=0.02)))
        assert pod(taken, "b").latency is None
        assert taken.signals["latency"].state is SignalState.Fresh

    def test_latency_is_missed_where_there_were_requests(self) -> None:
        taken = snapshot(fleet("a", "b"), samples(requests=reading(a=150, b=30), latency=reading(a=0.02)))
        assert taken.signals["latency"].state is SignalState.Partial

    def test_a_pod_that_is_not_ready_is_not_missed(self) -> None:
        taken = snapshot(fleet("a", "b", b=False), samples(requests=reading(a=150)))
        assert taken.signals["requests"].state is SignalState.Fresh
        assert not pod(taken, "b").ready


class TestQuality:
    def test_what_prometheus_did_not_answer_is_missing_in_its_words(self) -> None:
        taken = snapshot(fleet("a"), samples(requests=Reading(problem="Prometheus at x did not answer within 4s")))
        assert taken.signals["requests"].state is SignalState.Missing
        assert taken.signals["requests"].detail == "Prometheus at x did not answer within 4s"

    def test_no_series_is_missing(self) -> None:
        taken = snapshot(fleet("a"), samples(requests=reading(None)))
        assert taken.signals["requests"].state is SignalState.Missing
        assert pod(taken, "a").requests is None

    def test_series_that_ended_a_while_ago_are_missing_with_their_age(self) -> None:
        taken = snapshot(fleet("a"), samples(requests=reading(40.0)))
        assert taken.signals["requests"].state is SignalState.Missing
        assert "40s old" in taken.signals["requests"].detail

    def test_pods_that_are_scraped_too_seldom_for_the_window_are_told_so(self) -> None:
        taken = snapshot(fleet("a", "b"), samples(requests=reading(12.0), inFlight=reading(12.0, a=3)))
        assert taken.signals["requests"].state is SignalState.Missing
        assert taken.signals["requests"].detail == (
            "these pods are scraped, but no window of 15s holds two samples of their counters: Evenload was told that "
            "scrapes are 5s apart; set prometheus.scrapeSeconds of the installation to what Prometheus does, or "
            "spec.signals.window to three times that"
        )

    @pytest.mark.parametrize(
        ("requests", "in_flight"),
        [
            (reading(12.0), reading(12.0)),
            (reading(12.0), reading(12.0, other=3)),
            (Reading(problem="it is down"), reading(12.0, a=3)),
            (reading(90.0), reading(12.0, a=3)),
        ],
    )
    def test_the_window_is_not_blamed_for_what_it_did_not_do(self, requests: Reading, in_flight: Reading) -> None:
        taken = snapshot(fleet("a", "b"), samples(requests=requests, inFlight=in_flight))
        assert "scrapeSeconds" not in taken.signals["requests"].detail

    def test_a_stale_signal_is_absent_on_every_pod(self) -> None:
        taken = snapshot(fleet("a"), samples(memory=reading(61.0, a=1e8), requests=reading(a=150)))
        assert taken.signals["memory"].state is SignalState.Stale
        assert taken.signals["memory"].age == 61
        assert pod(taken, "a").memory is None
        assert pod(taken, "a").requests is not None

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_what_is_not_a_number_is_absent_and_named(self, value: float) -> None:
        taken = snapshot(fleet("a", "b"), samples(cpu=reading(a=value, b=0.1)))
        assert taken.signals["cpu"].state is SignalState.NaN
        assert pod(taken, "a").cpu is None
        assert pod(taken, "b").cpu == 0.1

    def test_nan_requests_give_no_errors(self) -> None:
        taken = snapshot(fleet("a"), samples(requests=reading(a=math.nan), errors=reading(a=5)))
        assert pod(taken, "a").errors is None

    def test_half_the_series_is_partial(self) -> None:
        who = fleet("a", "b", "c", "d")
        taken = snapshot(who, samples(requests=reading(a=10, c=10)))
        assert taken.signals["requests"].state is SignalState.Partial
        assert "2 of 4" in taken.signals["requests"].detail

    def test_the_age_is_that_of_the_newest_sample_and_never_negative(self) -> None:
        taken = snapshot(fleet("a"), samples(requests=reading(-0.5, a=150)))
        assert taken.signals["requests"].age == 0

    def test_a_signal_of_a_persons_own_query_has_no_age_and_is_fresh(self) -> None:
        own = Reading(values={"": {"a": 0.4}})
        taken = snapshot(fleet("a"), samples(cpu=own))
        assert pod(taken, "a").cpu == 0.4
        assert taken.signals["cpu"].state is SignalState.Fresh
        assert taken.signals["cpu"].age is None

    def test_warnings_of_prometheus_are_kept(self) -> None:
        told = reading(a=150)
        told.warnings = ("one store did not answer",)
        taken = snapshot(fleet("a"), samples(requests=told))
        assert taken.signals["requests"].detail == "one store did not answer"

    def test_every_signal_is_judged(self) -> None:
        taken = snapshot(fleet("a"), samples())
        assert set(taken.signals) == {"requests", "errors", "latency", "cpu", "memory", "inFlight"}

    def test_a_state_cannot_be_misread_as_a_truth_value(self) -> None:
        taken = snapshot(fleet("a"), samples())
        with pytest.raises(TypeError):
            bool(taken.signals["cpu"].state)


class TestPods:
    def test_the_same_name_in_another_namespace_is_another_pod(self) -> None:
        other = member("a", namespace="till", uid="uid-other")
        who = Fleet(backends={"shop-a": {"a": member("a")}, "till-a": {"a": other}})
        values = Reading(values={"shop": {"a": 150.0}, "till": {"a": 15.0}}, ages={"shop": 1.0})
        taken = snapshot(who, samples(requests=values))
        assert taken.backends["shop-a"].pods["a"].requests == pytest.approx(100)
        assert taken.backends["till-a"].pods["a"].requests == pytest.approx(10)

    def test_the_clusters_facts_are_carried_over(self) -> None:
        who = Fleet(backends={"shop-a": {"a": member("a", created_at=NOW - 7200)}})
        taken = pod(snapshot(who, samples(inFlight=reading(a=3), memory=reading(a=8e7))), "a")
        assert (taken.age, taken.created_at) == (3600, NOW - 7200)
        assert (taken.workload, taken.cpu_limit, taken.memory_limit) == ("Deployment/shop", 0.5, 2.5e8)
        assert (taken.in_flight, taken.memory, taken.pre_stop_seconds, taken.uid) == (3, 8e7, 5, "uid-a")

    @pytest.mark.parametrize(("ahead", "age"), [(2, 0), (100, None)])
    def test_the_age_of_a_pod_that_seems_yet_to_be_born_is_none_or_unknown(
        self, ahead: float, age: float | None
    ) -> None:
        young = Fleet(backends={"shop-a": {"a": member("a", started_at=NOW + ahead)}})
        assert pod(snapshot(young, samples()), "a").age == age

    def test_nothing_of_one_moment_is_left_in_the_next_of_the_same_lineup(self) -> None:
        lineup, told = Lineup.of(fleet("a", "b")), samples(requests=reading(a=30, b=50), cpu=reading(a=1, b=2))
        common: dict[str, Any] = {"time": NOW, "weights": {"shop-a": 100, "shop-b": 100}, "max_age_seconds": 60.0}
        full, empty = (snapshot_of(fleet=lineup, samples=each, **common) for each in (told, samples()))
        assert pod(full, "a").requests is not None
        assert (pod(empty, "a").requests, pod(empty, "a").cpu) == (None, None)

    def test_holds_of_the_cluster_and_of_the_caller_are_joined(self) -> None:
        rollout, paused = Hold(reason="Rollout"), Hold(reason="Paused")
        who = Fleet(backends={}, holds=(rollout,))
        assert snapshot(who, samples(), holds=(paused,)).holds == (rollout, paused)


numbers = st.one_of(st.none(), st.floats())


@given(st.dictionaries(st.sampled_from("abcdef"), st.tuples(numbers, numbers, st.booleans()), min_size=1), numbers)
def test_whatever_prometheus_answers_a_snapshot_holds_finite_numbers_or_none(
    given_pods: dict[str, tuple[float | None, float | None, bool]], age: float | None
) -> None:
    requests = {name: values[0] for name, values in given_pods.items() if values[0] is not None}
    errors = {name: values[1] for name, values in given_pods.items() if values[1] is not None}
    who = fleet(*given_pods, **{name: values[2] for name, values in given_pods.items()})
    taken = snapshot(who, samples(requests=reading(age, **requests), errors=reading(age, **errors)))
    for name in given_pods:
        found = pod(taken, name)
        assert found.requests is None or math.isfinite(found.requests)
        assert found.errors is None or (found.requests is not None and found.errors <= found.requests)
        if found.requests is not None:
            assert name in requests


def test_without_numbers_the_pods_stand_behind_their_backends_and_nothing_is_measured() -> None:
    pods = {name: member(name, ready=name != "a-2") for name in ("a-1", "a-2", "b-1")}
    who = Fleet(backends={"b": {"b-1": pods["b-1"]}, "a": {"a-1": pods["a-1"], "a-2": pods["a-2"]}})
    bare = without_numbers(who, {"a": 7, "b": 1}, NOW)
    assert {name: each.weight for name, each in bare.backends.items()} == {"a": 7, "b": 1}
    assert {name: sorted(each.pods) for name, each in bare.backends.items()} == {"a": ["a-1", "a-2"], "b": ["b-1"]}
    measured = snapshot(who, samples(requests=reading(**{"a-1": 5.0})))
    for backend, each in bare.backends.items():
        for name, found in each.pods.items():
            same = measured.backends[backend].pods[name]
            assert (found.uid, found.ready, found.cpu_limit) == (same.uid, same.ready, same.cpu_limit)
            assert (found.requests, found.errors, found.cpu) == (None, None, None)
    assert bare.signals == {}
