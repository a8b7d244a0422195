"""Whose the rows of a pod are: one target's are added up, copies of them never are."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evenload.observe.copies import PLACES, TARGET_LABELS, Labels, Parts, Told, sort_out

APPLICATION = ({"endpoint": "/a"}, {"endpoint": "/b"}, {"endpoint": "/a", "service": "till"}, {"region": "eu"})
"""Labels of an application that are called as those of targets are."""

targets_of_a_pod = st.lists(
    st.dictionaries(
        st.sampled_from([name for name in TARGET_LABELS if name not in PLACES and name != "instance"]),
        st.sampled_from(["x", "y", "z"]),
    ).map(lambda labels: labels | {"instance": "10.0.0.1:8080"}),
    min_size=1,
    max_size=4,
    unique_by=lambda labels: tuple(sorted(labels.items())),
)
counts = st.lists(st.integers(0, 1000), min_size=1, max_size=len(APPLICATION))


def seen(target: Labels, series: Labels) -> dict[str, str]:
    """What Prometheus makes of both: the target's labels come first, and the application's get another name."""
    return dict(series) | dict(target)


@given(targets=targets_of_a_pod, numbers=counts)
@example(targets=[{"service": "x", "instance": "i"}, {"endpoint": "x", "instance": "i"}], numbers=[1, 2, 4, 8])
def test_a_pod_counts_what_its_application_counted_however_often_it_is_told(
    targets: list[dict[str, str]], numbers: list[int]
) -> None:
    rows: dict[tuple[int, tuple[tuple[str, str], ...]], float] = {}
    for index, target in enumerate(targets):
        for series, number in zip(APPLICATION, numbers, strict=False):  # as many as there are numbers
            key = index, tuple(sorted(seen(target, series).items()))
            rows[key] = rows.get(key, 0.0) + number
    found = sort_out([dict(labels) for _, labels in rows], list(rows.values()), Told(targets), named=True)
    assert isinstance(found, Parts), found
    assert found.number(list(rows.values())) == sum(numbers)


def told(*targets: Labels, **totals: float) -> Told:
    return Told(targets, [({"instance": address}, total) for address, total in totals.items()])


def sorted_out(*rows: tuple[Labels, float], told: Told = Told(), named: bool = True) -> float | str:  # noqa: B008
    found = sort_out([labels for labels, _ in rows], [number for _, number in rows], told, named=named)
    return found if isinstance(found, str) else found.number([number for _, number in rows])


def test_without_any_up_the_labels_that_prometheus_itself_gives_tell_targets_apart() -> None:
    one, other = {"job": "a", "endpoint": "/x"}, {"job": "a", "endpoint": "/y"}
    assert sorted_out((one, 3), (other, 4), ({"job": "b", "endpoint": "/x"}, 3)) == 7


@pytest.mark.parametrize("place", sorted(PLACES))
def test_two_clusters_are_refused_with_the_label_and_its_values(place: str) -> None:
    rows = ({"job": "a", place: "east"}, 30.0), ({"job": "a", place: "west"}, 30.0)
    sentence = sorted_out(*rows)
    assert isinstance(sentence, str)
    assert f'(label "{place}": "east", "west")' in sentence
    assert (
        f'spec.signals.matchers, or for all Balancers in prometheus.matchers of the installation, as in {place}="east"'
        in sentence
    )


def test_targets_that_only_a_label_tells_apart_that_was_not_asked_for_are_refused() -> None:
    sentence = sorted_out(({"job": "a"}, 60.0), told=told({"job": "a", "team": "x"}, {"job": "a", "team": "y"}))
    assert isinstance(sentence, str)
    assert '"team": "x", "y"' in sentence


class TestSeveralAddresses:
    ROWS = ({"instance": "a", "container": "app"}, 100.0), ({"instance": "b", "container": "api"}, 90.0)
    UPS = tuple(labels for labels, _ in ROWS)

    def of(self, one: float, other: float, **more: bool) -> float | str:
        totals = [(self.UPS[0], one), (self.UPS[1], other)]
        return sorted_out(*self.ROWS, told=Told(self.UPS, totals), **more)

    def test_counters_that_stand_no_further_apart_than_a_window_are_copies(self) -> None:
        assert self.of(10_000, 10_090) == 100

    def test_counters_that_stand_further_apart_are_two_and_the_container_is_named(self) -> None:
        sentence = self.of(10_000, 12_000)
        assert isinstance(sentence, str)
        assert 'no copies of each other (label "container": "api", "app")' in sentence
        assert "spec.signals.matchers" in sentence

    def test_of_a_foreign_server_no_label_is_repeated(self) -> None:
        sentence = self.of(10_000, 12_000, named=False)
        assert isinstance(sentence, str)
        assert "container" not in sentence.replace("containers", "")
        assert "api" not in sentence

    def test_one_that_counts_next_to_nothing_does_not_matter(self) -> None:
        rows = (self.ROWS[0], (self.UPS[1], 3.0))
        assert sorted_out(*rows, told=Told(self.UPS, [(self.UPS[0], 1e6), (self.UPS[1], 900.0)])) == 100

    def test_one_that_has_ended_does_not_matter(self) -> None:
        assert sorted_out(*self.ROWS, told=Told(self.UPS, [(self.UPS[0], 1e6)])) == 100


def test_what_is_not_a_number_stays_so() -> None:
    assert math.isnan(Parts(((0,), (1, 2))).number([5.0, math.nan, 1.0]))
    assert math.isnan(Parts(((0,), (1, 2))).number([math.nan, 7.0, 1.0]))


def test_a_value_is_told_in_quotes_and_cut() -> None:
    sentence = sorted_out(({"cluster": 'a"\n' + "x" * 200}, 1.0), ({"cluster": "b"}, 1.0))
    assert isinstance(sentence, str)
    assert "\n" not in sentence
    assert "x" * 65 not in sentence
