"""No row of failed requests means that nothing failed only where the counter carries a status."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenload.model.snapshot import Pod, SignalState, Snapshot
from evenload.observe.cluster import Fleet
from evenload.observe.prometheus import Reading, Samples
from tests.unit.observe.fleets import NOW, SOURCE, fleet, member, reading, samples, snapshot

LABELS = ("method", "path", "status")


def pod(of: Snapshot, name: str) -> Pod:
    return of.backends[f"shop-{name}"].pods[name]


def errors(uncoded: str = "", labels: tuple[str, ...] = LABELS, **failed: float) -> Reading:
    answer = reading(**failed)
    answer.uncoded = {"shop": dict.fromkeys(uncoded, labels)} if uncoded else {}
    return answer


def own(sight: Samples, *signals: str) -> Samples:
    """The same, these signals being asked for by a person's own query."""
    overrides = tuple((signal, "x") for signal in signals)
    return msgspec.structs.replace(sight, source=msgspec.structs.replace(SOURCE, overrides=overrides))


class TestWhereNoSeriesCarriesTheStatus:
    def test_errors_are_missing_on_every_pod_and_the_field_and_the_labels_are_named(self) -> None:
        taken = snapshot(fleet("a", "b"), samples(requests=reading(a=150, b=30), errors=errors("ab")))
        assert [pod(taken, name).errors for name in "ab"] == [None, None]
        assert taken.signals["errors"].state is SignalState.Missing
        assert taken.signals["errors"].detail == (
            'no series of http_requests_total of these pods carries the label "code"; set spec.signals.labels.code to '
            "the one that holds the status, or write a query for errors in spec.signals.queries (these series have: "
            "method, path, status)"
        )

    def test_a_label_of_that_name_without_a_status_is_told_as_such(self) -> None:
        taken = snapshot(fleet("a"), samples(requests=reading(a=150), errors=errors("a", ("code", "grpc_method"))))
        assert 'has a status (200, 5xx) in the label "code"; set' in taken.signals["errors"].detail
        assert taken.signals["errors"].detail.endswith("(these series have: grpc_method)")

    @pytest.mark.parametrize("labels", [(), ("code",)])
    def test_where_no_other_label_could_hold_it_a_query_is_the_way(self, labels: tuple[str, ...]) -> None:
        taken = snapshot(fleet("a"), samples(requests=reading(a=150), errors=errors("a", labels)))
        assert "spec.signals.labels.code" not in taken.signals["errors"].detail
        assert "write a query for errors in spec.signals.queries" in taken.signals["errors"].detail

    def test_a_pod_that_has_served_nothing_yet_shows_nothing_about_the_others(self) -> None:
        requests = reading(a=150)
        requests.idle = {"shop": {"b": 3.0}}
        taken = snapshot(fleet("a", "b"), samples(requests=requests, errors=errors("a")))
        assert taken.signals["errors"].state is SignalState.Missing
        assert pod(taken, "b").errors is None

    def test_requests_are_known_all_the_same(self) -> None:
        taken = snapshot(fleet("a"), samples(requests=reading(a=150), errors=errors("a")))
        assert pod(taken, "a").requests == pytest.approx(100)
        assert taken.signals["requests"].state is SignalState.Fresh

    def test_what_prometheus_complains_of_comes_first(self) -> None:
        broken = errors("a")
        broken.problem = "it is down"
        taken = snapshot(fleet("a"), samples(requests=reading(a=150), errors=broken))
        assert taken.signals["errors"].detail == "it is down"


class TestOfAnotherServer:
    def test_the_names_of_labels_are_not_repeated_and_the_field_is_named(self) -> None:
        sight = samples(requests=reading(a=150), errors=Reading(uncoded={"shop": {"a": ()}}, ages={"shop": 2.0}))
        foreign = msgspec.structs.replace(sight, source=msgspec.structs.replace(sight.source, foreign=True))
        taken = snapshot(fleet("a"), foreign)
        assert taken.signals["errors"].state is SignalState.Missing
        assert taken.signals["errors"].detail == (
            'no series of http_requests_total of these pods has a status (200, 5xx) in the label "code"; '
            "set spec.signals.labels.code to the one that holds the status, or write a query for errors in "
            "spec.signals.queries"
        )


class TestWhereSomePodsDo:
    def test_theirs_are_known_and_the_others_are_named(self) -> None:
        sight = samples(requests=reading(a=150, b=30, c=30), errors=errors("bc", a=15))
        taken = snapshot(fleet("a", "b", "c"), sight)
        assert [pod(taken, name).errors for name in "abc"] == [pytest.approx(10), None, None]
        assert taken.signals["errors"].state is SignalState.Partial
        assert taken.signals["errors"].detail.startswith(
            'no series of http_requests_total of 2 of 3 ready pods (b, c) carries the label "code"; set '
        )

    def test_one_without_requests_in_the_window_had_no_errors(self) -> None:
        taken = snapshot(fleet("a", "b"), samples(requests=reading(a=150, b=0), errors=errors("b")))
        assert pod(taken, "b").errors == 0
        assert taken.signals["errors"].state is SignalState.Fresh

    def test_one_that_is_not_ready_is_not_missed(self) -> None:
        taken = snapshot(fleet("a", "b", b=False), samples(requests=reading(a=150, b=30), errors=errors("b")))
        assert pod(taken, "b").errors is None
        assert taken.signals["errors"].state is SignalState.Fresh

    def test_a_row_of_failed_requests_is_a_status_too(self) -> None:
        taken = snapshot(fleet("a"), samples(requests=reading(a=150), errors=errors("a", a=15)))
        assert pod(taken, "a").errors == pytest.approx(10)

    def test_another_balancers_pods_are_their_own_affair(self) -> None:
        taken = snapshot(fleet("a"), samples(requests=reading(a=150), errors=errors("xyz")))
        assert pod(taken, "a").errors == 0
        assert taken.signals["errors"].state is SignalState.Fresh


class TestOwnQueries:
    def test_requests_of_a_persons_query_say_nothing_about_the_presets_counter(self) -> None:
        taken = snapshot(fleet("a"), own(samples(requests=reading(a=150), errors=errors()), "requests"))
        assert pod(taken, "a").errors is None
        assert taken.signals["errors"].state is SignalState.Missing
        assert taken.signals["errors"].detail == (
            "requests come from spec.signals.queries, but errors from http_requests_total, and no series of these pods "
            'has a status (200, 5xx) in its label "code"; write a query for errors beside the one for requests'
        )

    def test_errors_are_known_where_that_counter_carries_the_status(self) -> None:
        answer = errors(a=15)
        answer.coded = {"shop": {"a": 3.0, "b": 2.0}}
        taken = snapshot(
            fleet("a", "b", "c"), own(samples(requests=reading(a=150, b=30, c=30), errors=answer), "requests")
        )
        assert [pod(taken, name).errors for name in "abc"] == [pytest.approx(10), 0, None]
        assert taken.signals["errors"].state is SignalState.Partial

    def test_without_requests_there_are_no_errors(self) -> None:
        taken = snapshot(fleet("a"), own(samples(requests=reading(a=0), errors=errors()), "requests"))
        assert pod(taken, "a").errors == 0

    @pytest.mark.parametrize("signals", [("errors",), ("requests", "errors")])
    def test_in_a_persons_query_for_errors_no_row_means_no_errors(self, signals: tuple[str, ...]) -> None:
        taken = snapshot(fleet("a"), own(samples(requests=reading(a=150), errors=Reading()), *signals))
        assert pod(taken, "a").errors == 0
        assert taken.signals["errors"].state is SignalState.Fresh


@given(
    requests=st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 500)),
    failed=st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 500)),
    uncoded=st.sets(st.sampled_from("abcdef")),
    coded=st.sets(st.sampled_from("abcdef")),
    mine=st.booleans(),
)
def test_nobody_is_said_to_fail_nothing_who_has_requests_and_no_status(
    requests: dict[str, int], failed: dict[str, int], uncoded: set[str], coded: set[str], mine: bool
) -> None:
    answer = errors("".join(uncoded))
    answer.values = {"shop": {name: float(number) for name, number in failed.items()}}
    answer.coded = {"shop": dict.fromkeys(coded, 1.0)}
    sight = samples(requests=reading(**requests), errors=answer)
    taken = snapshot(fleet(*"abcdef"), own(sight, "requests") if mine else sight)
    shown = failed.keys() | (coded if mine else set("abcdef") - uncoded)
    for name in "abcdef":
        if pod(taken, name).requests and name not in shown:
            assert pod(taken, name).errors is None
            assert taken.signals["errors"].state in (SignalState.Missing, SignalState.Partial)


class TestRefusedNumbers:
    LATER = 400.0  # seconds after a start: longer than the resets of a counter are counted

    def unclear(self, *names: str, **values: float) -> Reading:
        answer = reading(**values)
        answer.refused = {"shop": dict.fromkeys(names, "which is it? choose by spec.signals.matchers")}
        return answer

    def test_a_pod_has_none_and_the_reason_is_told(self) -> None:
        taken = snapshot(fleet("a", "b"), samples(requests=self.unclear("a", b=30), errors=self.unclear("a")))
        assert [pod(taken, name).requests for name in "ab"] == [None, 20]
        assert [pod(taken, name).errors for name in "ab"] == [None, 0]
        assert taken.signals["requests"].state is SignalState.Partial
        assert taken.signals["requests"].detail == (
            "of 1 of 2 ready pods (a): which is it? choose by spec.signals.matchers"
        )

    def test_where_no_pod_is_left_the_signal_is_missing(self) -> None:
        taken = snapshot(fleet("a"), samples(requests=self.unclear("a"), inFlight=reading(a=3)))
        assert taken.signals["requests"].state is SignalState.Missing
        assert taken.signals["requests"].detail == "which is it? choose by spec.signals.matchers"

    def test_refused_errors_are_not_zero_though_requests_are_a_persons_own(self) -> None:
        taken = snapshot(fleet("a"), samples(requests=reading(a=30), errors=self.unclear("a")))
        assert pod(taken, "a").errors is None

    @pytest.mark.parametrize(("since_start", "torn"), [(LATER, True), (100.0, False)])
    def test_counters_begin_anew_by_workers_only_where_the_containers_do_not(
        self, since_start: float, torn: bool
    ) -> None:
        requests = reading(a=30)
        requests.torn = {"shop": {"a": 7.0}}
        who = Fleet(backends={"shop-a": {"a": member("a", started_at=NOW - since_start)}})
        taken = snapshot(who, samples(requests=requests))
        assert (pod(taken, "a").requests is None) is torn
        assert ("worker processes" in taken.signals["requests"].detail) is torn
