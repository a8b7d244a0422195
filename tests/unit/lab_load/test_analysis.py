"""What the records say, by example and by property."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.load.analysis import (
    bins,
    failed_share,
    onset,
    percentile,
    server_shares,
    time_to_mitigate,
    totals,
)
from lab.load.record import STOPPED, Record

T0 = 1_760_000_000.0


def request(at: float, status: int | None = 200, *, server: str | None = "shop-a", error: str | None = None) -> Record:
    return Record(number=0, scheduled=T0 + at, latency_seconds=0.01, status=status, error=error, server=server)


def traffic(seconds: int, failing: dict[range, float], per_second: int = 100) -> list[Record]:
    """Evenly spaced requests; `failing` gives the share that fails in some of the seconds, evenly spread."""

    def status(second: int, place: int) -> int:
        share = next((share for span, share in failing.items() if second in span), 0.0)
        return 503 if int((place + 1) * share) > int(place * share) else 200

    return [
        request(second + place / per_second, status(second, place))
        for second in range(seconds)
        for place in range(per_second)
    ]


anything = st.lists(
    st.builds(
        request, st.floats(0, 120), st.sampled_from([200, 404, 500, 503]), server=st.sampled_from("abcd") | st.none()
    )
    | st.builds(lambda at: request(at, None, error=STOPPED), st.floats(0, 120)),
    max_size=80,
)


@given(anything, st.floats(0.1, 30))
def test_bins_hold_each_request_that_counts_exactly_once(records: list[Record], seconds: float) -> None:
    counted = [record for record in records if record.counts]
    made = bins(records, seconds=seconds)
    assert sum(one.requests for one in made) == len(counted)
    assert sum(one.failed for one in made) == sum(record.failed for record in counted)
    assert all(one.failed <= one.requests for one in made)


@given(anything, st.randoms(use_true_random=False))
def test_the_order_of_the_records_does_not_matter(records: list[Record], dice: random.Random) -> None:
    shuffled = list(records)
    dice.shuffle(shuffled)
    assert bins(shuffled) == bins(records)
    assert onset(shuffled) == onset(records)
    assert time_to_mitigate(shuffled, T0) == time_to_mitigate(records, T0)
    assert totals(shuffled) == totals(records)
    assert server_shares(shuffled) == server_shares(records)


@given(anything)
def test_server_shares_sum_to_one_and_their_requests_to_all(records: list[Record]) -> None:
    shares = server_shares(records).values()
    whole = totals(records)
    assert sum(share.requests for share in shares) == whole.requests == sum(whole.outcomes.values())
    assert sum(share.failed for share in shares) == whole.failed
    if shares:
        assert sum(share.share for share in shares) == pytest.approx(1)


@given(anything, st.floats(1, 10))
def test_after_the_time_to_mitigate_no_whole_window_is_bad(records: list[Record], window: float) -> None:
    mitigated = time_to_mitigate(records, T0, window_seconds=window)
    if mitigated is None:
        return
    assert not [
        late
        for late in bins(records, seconds=window, start=T0)
        if late.start >= T0 + mitigated - window / 2 and late.requests and late.failed / late.requests >= 0.01
    ]


def test_bins_show_empty_seconds_and_their_share_is_absent() -> None:
    made = bins([request(0), request(2.5, 503)])
    assert [(one.start - T0, one.requests, one.failed, one.failed_share) for one in made] == [
        (0, 1, 0, 0.0),
        (1, 0, 0, None),
        (2, 1, 1, 1.0),
    ]


def test_periods_are_half_open() -> None:
    records = [request(0, 503), request(1), request(2, 503)]
    assert failed_share(records, T0, T0 + 2) == 0.5
    assert failed_share(records, T0 + 1, T0 + 2) == 0.0
    assert failed_share(records, T0 + 3) is None


def test_the_onset_is_the_first_failure_of_the_first_bad_window() -> None:
    records = traffic(60, {range(20, 40): 0.5})
    assert onset(records) == pytest.approx(T0 + 20, abs=0.05)


def test_a_stray_failure_before_the_incident_is_not_its_onset() -> None:
    records = [*traffic(60, {range(20, 40): 0.5}), request(3.001, 503), request(9.001, 502)]
    assert onset(records) == pytest.approx(T0 + 20, abs=0.05)


def test_a_healthy_record_has_no_onset() -> None:
    assert onset(traffic(30, {range(30): 0.01})) is None
    assert onset([]) is None


def test_time_to_mitigate_is_the_end_of_the_last_bad_window() -> None:
    records = traffic(60, {range(10, 22): 0.5})
    assert time_to_mitigate(records, T0 + 10, window_seconds=5) == 15
    assert time_to_mitigate(records, T0 + 10, window_seconds=1) == 12


def test_a_relapse_counts_until_its_end() -> None:
    records = traffic(60, {range(10, 15): 0.9, range(40, 41): 0.05})
    assert time_to_mitigate(records, T0 + 10) == 35


@pytest.mark.parametrize(("failures", "expected"), [(4, 0.0), (5, 5.0)])
def test_exactly_one_percent_of_a_window_is_still_bad(failures: int, expected: float) -> None:
    records = [request(place / 100, 503 if place < failures else 200) for place in range(1500)]
    assert time_to_mitigate(records, T0) == expected


def test_an_incident_that_goes_on_to_the_end_is_not_mitigated() -> None:
    assert time_to_mitigate(traffic(60, {range(10, 60): 0.5}), T0 + 10) is None
    assert time_to_mitigate(traffic(60, {range(10, 58): 0.5}), T0 + 10) is None, "two good seconds are no evidence"
    assert time_to_mitigate([], T0) is None


def test_silence_after_the_last_failure_is_no_evidence_of_health() -> None:
    records = [*traffic(20, {range(10, 20): 0.5}), request(59)]
    assert time_to_mitigate(records, T0 + 10) is None


def test_no_bad_window_means_mitigated_at_once() -> None:
    assert time_to_mitigate(traffic(30, {}), T0) == 0.0


def test_requests_cut_off_by_our_own_stop_are_in_no_figure() -> None:
    records = [request(0), request(1, None, error=STOPPED, server=None)]
    assert totals(records).requests == 1
    assert totals(records).failed_share == 0.0
    assert set(server_shares(records)) == {"shop-a"}


def test_totals_count_outcomes_and_take_latencies_from_good_answers_only() -> None:
    slow = Record(number=1, scheduled=T0, latency_seconds=0.5, status=200)
    lost = Record(number=2, scheduled=T0, latency_seconds=5.0, error="timeout")
    made = totals([request(0), slow, lost, request(1, 503)])
    assert made.outcomes == {"200": 2, "503": 1, "timeout": 1}
    assert (made.requests, made.failed, made.failed_share) == (4, 2, 0.5)
    assert (made.latency_p50, made.latency_p95, made.latency_max) == (0.01, 0.5, 0.5)
    assert totals([]).latency_p95 is None


def test_what_no_server_answered_is_shown_last() -> None:
    records = [request(0, None, error="timeout", server=None), request(0, server="shop-b"), request(0)]
    assert list(server_shares(records)) == ["shop-a", "shop-b", None]
    assert server_shares(records)[None].failed == 1


@given(st.lists(st.floats(0, 10), min_size=1).map(sorted), st.floats(0.1, 100))
def test_a_percentile_is_the_smallest_number_that_enough_do_not_exceed(numbers: list[float], percent: float) -> None:
    found = percentile(numbers, percent)
    assert found in numbers
    enough = len(numbers) * percent / 100
    assert found == min(number for number in numbers if sum(other <= number for other in numbers) >= enough)
