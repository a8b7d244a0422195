"""Who changed what of a balancer, from one version of the object to the next."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evenload.api.v1alpha1 import (
    FIELD_MANAGER,
    GUARD_OVERRIDE_ANNOTATION,
    MOST_BROUGHT,
    MOST_CHANGES,
    MOST_PLACES,
    RouteChange,
)
from evenload.api.values import moment
from evenload.clock import rfc3339
from evenload.drivers import driver_of
from evenload.kube.resources import HTTPROUTES, Manifest
from evenload.model.spec import TargetRef
from evenload.record.changelog import CHANGE_CAUSE, changelog, changes_of

TARGET = TargetRef(kind="HTTPRoute", name="shop")
EVEN, BAD = {"shop-a": 250, "shop-b": 250}, {"shop-a": 970, "shop-b": 10}


def route(
    weights: dict[str, int], *, manager: str = "helm", time: float = 900.0, generation: int = 0, **annotations: str
) -> Manifest:
    """As the API server has it, written last by `manager`. An annotation a_b is called example.com/a-b.

    By default its generation is of its time.
    """
    owned = {"manager": manager, "time": rfc3339(time)[:19] + "Z", "fieldsV1": {"f:spec": {"f:rules": {}}}}
    return {
        "apiVersion": HTTPROUTES.api_version,
        "kind": "HTTPRoute",
        "metadata": {
            "name": "shop",
            "namespace": "web",
            "resourceVersion": str(time),
            "generation": generation or int(time),
            "annotations": {f"example.com/{name.replace('_', '-')}": text for name, text in annotations.items()},
            "managedFields": [owned],
        },
        "spec": {
            "hostnames": ["shop.example"],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    "backendRefs": [{"name": name, "port": 80, "weight": value} for name, value in weights.items()],
                }
            ],
        },
    }


def changes(*versions: Manifest) -> list[RouteChange]:
    return list(changes_of(driver_of("HTTPRoute"), TARGET, versions))


def seen(now: Manifest, before: Manifest | None = None) -> RouteChange:
    """The change to `now`."""
    return changes(*((before,) if before else ()), now)[-1]


def logged(
    known: tuple[RouteChange, ...], change: RouteChange, remediation: str | None = None
) -> tuple[RouteChange, ...]:
    return changelog(known, [change], remediation)


def after(manifest: Manifest, change: Any, **metadata: Any) -> Manifest:
    """The next version of it."""
    new = copy.deepcopy(manifest)
    change(new["spec"])
    new["metadata"] |= metadata
    return new


class TestOneChange:
    def test_it_names_who_when_and_the_weights_before_and_after(self) -> None:
        change = seen(route(BAD), route(EVEN, time=800.0))
        assert (change.manager, change.time, change.before, change.after) == ("helm", moment(900.0), EVEN, BAD)
        assert change.elsewhere == ()

    def test_without_an_older_version_only_the_present_weights_are_known(self) -> None:
        change = seen(route(BAD))
        assert (change.before, change.after) == (None, BAD)

    def test_what_else_changed_is_named_by_place_and_weights_are_not_repeated_there(self) -> None:
        def edit(spec: Manifest) -> None:
            spec["rules"][0]["timeouts"] = {"request": "1s"}
            spec["rules"][0]["matches"][0]["path"]["value"] = "/new"
            spec["rules"][0]["backendRefs"][0]["weight"] = 970

        change = seen(after(route(EVEN), edit), route(EVEN, time=800.0))
        assert change.elsewhere == ("/spec/rules/0/matches/0/path/value", "/spec/rules/0/timeouts")

    def test_a_backend_more_is_one_place(self) -> None:
        change = seen(route({**EVEN, "shop-c": 250}), route(EVEN, time=800.0))
        assert change.elsewhere == ("/spec/rules/0/backendRefs",)

    def test_places_are_bounded_in_number_and_length(self) -> None:
        def edit(spec: Manifest) -> None:
            spec.update({f"{'x' * 300}{number}": number for number in range(50)})

        change = seen(after(route(EVEN), edit), route(EVEN, time=800.0))
        assert len(change.elsewhere) == MOST_PLACES
        assert max(map(len, change.elsewhere)) <= 256

    def test_a_cause_that_came_with_the_change_is_kept_and_an_older_one_is_not(self) -> None:
        before, now = route(EVEN, time=800.0), route(BAD)
        now["metadata"]["annotations"] = {CHANGE_CAUSE: "release 42"}
        assert seen(now, before).cause == "release 42"
        before["metadata"]["annotations"] = {CHANGE_CAUSE: "release 42"}
        assert seen(now, before).cause == ""

    def test_a_commit_is_a_cause(self) -> None:
        assert seen(route(BAD, git_commit="4f1c2ab"), route(EVEN, time=800.0)).cause == "commit 4f1c2ab"

    def test_other_annotations_are_no_cause(self) -> None:
        assert seen(route(BAD, note="x"), route(EVEN, time=800.0)).cause == ""

    def test_a_reason_to_override_the_guard_is_kept_with_the_change_it_came_with(self) -> None:
        def overriding(weights: dict[str, int], time: float, reason: str) -> Manifest:
            manifest = route(weights, time=time)
            manifest["metadata"]["annotations"] = {GUARD_OVERRIDE_ANNOTATION: reason}
            return manifest

        first, second = overriding(BAD, 850.0, "ticket\n4711" + "x" * 999), overriding(EVEN, 900.0, "ticket 4712")
        assert seen(first, route(EVEN, time=800.0)).override == ("ticket\\n4711" + "x" * 999)[:256]
        assert seen(second, first).override == "ticket 4712"
        same = overriding(BAD, 950.0, "ticket 4712")
        assert seen(same, second).override == ""  # it stood there before
        assert seen(second).override == ""  # what was before is not known

    def test_what_a_change_broke_is_what_holds_less_often_than_before(self) -> None:
        versions = (route(EVEN, time=800.0), route(BAD))
        before = Counter({"route-no-weight": 1, "route-backend-twice": 1})
        now = Counter({"route-no-weight": 2, "route-backend-twice": 1, "route-backend-missing": 1})
        changes = list(changes_of(driver_of("HTTPRoute"), TARGET, versions, [before, now]))
        assert [each.brought for each in changes] == [(), ("route-backend-missing", "route-no-weight")]

    def test_of_many_rules_that_broke_some_are_named(self) -> None:
        now = Counter(f"rule-{number}" for number in range(99))
        versions = (route(EVEN, time=800.0), route(BAD))
        [*_, change] = changes_of(driver_of("HTTPRoute"), TARGET, versions, [Counter(), now])
        assert len(change.brought) == MOST_BROUGHT

    def test_an_object_without_annotations_has_no_cause(self) -> None:
        before, now = route(EVEN, time=800.0), route(BAD)
        now["metadata"]["annotations"] = None
        assert seen(now, before).cause == ""

    def test_a_version_that_no_driver_could_read_is_compared_all_the_same(self) -> None:
        broken = after(route(EVEN, time=800.0), lambda spec: spec.update(rules=[]))
        change = seen(route(BAD), broken)
        assert (change.before, change.elsewhere) == (None, ("/spec/rules",))

    def test_weights_that_nobody_owns_have_no_change(self) -> None:
        assert changes(after(route(EVEN), lambda spec: None, managedFields=[])) == []

    def test_each_version_is_one_change_oldest_first(self) -> None:
        found = changes(route(EVEN, time=800.0), route(BAD), route(EVEN, manager=FIELD_MANAGER, time=910.0))
        assert [(each.manager, each.before, each.after) for each in found] == [
            ("helm", None, EVEN),
            ("helm", EVEN, BAD),
            (FIELD_MANAGER, BAD, EVEN),
        ]


class TestTheLog:
    def test_the_newest_is_first(self) -> None:
        first = logged((), seen(route(EVEN, time=800.0)))
        log = logged(first, seen(route(BAD), route(EVEN, time=800.0)))
        assert [change.after for change in log] == [BAD, EVEN]

    def test_what_stands_there_is_not_written_again(self) -> None:
        log = logged((), seen(route(BAD), route(EVEN, time=800.0)))
        assert logged(log, seen(route(BAD), route(EVEN, time=800.0))) is log
        assert logged(log, seen(route(BAD))) is log  # by an operator that began later
        assert changelog(log, [], None) is log

    def test_metadata_written_by_the_same_manager_is_no_change(self) -> None:
        log = logged((), seen(route(BAD, generation=7), route(EVEN, time=800.0)))
        assert logged(log, seen(route(BAD, time=950.0, generation=7), route(EVEN, time=800.0))) is log

    def test_an_object_that_was_made_again_goes_on_in_the_same_log(self) -> None:
        log = logged((), seen(route(BAD, generation=1)))
        assert [each.after for each in logged(log, seen(route(EVEN, time=950.0, generation=1)))] == [EVEN, BAD]

    def test_what_changed_while_nobody_looked_goes_from_what_was_seen_last(self) -> None:
        log = logged((), seen(route(EVEN, time=800.0)))
        log = logged(log, seen(route(BAD)))
        assert (log[0].before, log[0].after) == (EVEN, BAD)

    def test_other_backends_than_were_seen_last_are_no_weights_before(self) -> None:
        log = logged((), seen(route({"other": 1, "shop-b": 1}, time=800.0)))
        assert logged(log, seen(route(BAD)))[0].before is None

    def test_our_writes_of_one_remediation_are_one_entry_and_name_it(self) -> None:
        steps = [{"shop-a": 970 - part, "shop-b": 10 + part} for part in range(0, 400, 100)]
        log: tuple[RouteChange, ...] = ()
        for number, (old, new) in enumerate(itertools.pairwise(steps)):
            ours = route(new, manager=FIELD_MANAGER, time=910.0 + number)
            log = logged(log, seen(ours, route(old)), "shop-1")
        [entry] = log
        assert (entry.before, entry.after, entry.writes) == (steps[0], steps[-1], 3)
        assert entry.remediation == "shop-1"

    def test_the_next_remediation_is_another_entry(self) -> None:
        log = logged((), seen(route(EVEN, manager=FIELD_MANAGER), route(BAD)), "shop-1")
        log = logged(log, seen(route(BAD, manager=FIELD_MANAGER, time=950.0), route(EVEN)), "shop-2")
        assert [entry.remediation for entry in log] == ["shop-2", "shop-1"]

    def test_writes_of_one_second_are_told_apart_by_generation_however_often_they_are_seen(self) -> None:
        versions = [route(weights, generation=number) for number, weights in enumerate((EVEN, BAD, EVEN), start=1)]
        log = changelog((), changes(*versions), None)
        assert [entry.after for entry in log] == [EVEN, BAD, EVEN]
        assert changelog(log, changes(*versions), None) is log
        assert changelog(log, changes(*versions[1:]), None) is log

    def test_an_older_version_than_the_newest_is_not_news(self) -> None:
        log = logged((), seen(route(BAD), route(EVEN, time=800.0)))
        assert logged(log, seen(route(EVEN, time=800.0))) is log

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["helm", "kubectl-edit", FIELD_MANAGER]),
                st.integers(0, 3),
                st.integers(1, 3),
                st.booleans(),
                st.sampled_from([None, "shop-1", "shop-2"]),
            ),
            max_size=60,
        )
    )
    def test_it_is_bounded_in_order_and_its_entries_join(
        self, writes: list[tuple[str, int, int, bool, str | None]]
    ) -> None:
        log: tuple[RouteChange, ...] = ()
        time, versions = 900.0, [route(EVEN, generation=1)]
        for number, (manager, seconds, weight, looked, remediation) in enumerate(writes, start=2):
            time += seconds
            now = route({**EVEN, "shop-a": weight}, manager=manager, time=time, generation=number)
            versions = [*versions, now][-5:]
            if looked:
                log = changelog(log, changes(*versions), remediation)
                assert changelog(log, changes(*versions), remediation) is log
                assert log[0].after == {**EVEN, "shop-a": weight}
        assert len(log) <= MOST_CHANGES
        assert [entry.generation for entry in log] == sorted((entry.generation for entry in log), reverse=True)
        assert all(newer.before == older.after for newer, older in itertools.pairwise(log))
