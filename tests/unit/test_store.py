"""The store of our own objects: the newest version wins, wherever it comes from."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evenload import store as store_module
from evenload.store import Key, Objects, Store, Target, balancer_of


def thing(name: str, version: int, **more: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "shop", "name": name, "resourceVersion": str(version)}, **more}


def names(objects: Objects) -> list[str]:
    return sorted(key.name for key in objects.all_keys())


def test_an_older_event_does_not_replace_a_newer_write() -> None:
    objects = Objects()
    objects.put(thing("a", 7, phase="Executing"))
    assert not objects.put(thing("a", 6, phase="Observed"))
    assert objects.get(Key("shop", "a")) == thing("a", 7, phase="Executing")


def test_a_late_event_does_not_bring_a_deleted_object_back() -> None:
    objects = Objects()
    objects.put(thing("a", 5))
    objects.remove(thing("a", 8))
    assert not objects.put(thing("a", 7))
    assert names(objects) == []


def test_a_new_object_of_a_deleted_name_is_kept() -> None:
    objects = Objects()
    objects.remove(thing("a", 8))
    assert objects.put(thing("a", 9))
    objects.remove(thing("a", 8))
    assert names(objects) == ["a"]


def test_a_sweep_drops_what_was_deleted_unseen_and_keeps_what_is_newer_than_the_list() -> None:
    objects = Objects()
    for manifest in (thing("deleted-unseen", 3), thing("made-since", 12), thing("changed", 4)):
        objects.put(manifest)
    objects.sweep([thing("changed", 9)], version=10)
    assert names(objects) == ["changed", "made-since"]
    assert objects.get(Key("shop", "changed")) == thing("changed", 9)


def test_remediations_are_found_by_their_balancer_oldest_first() -> None:
    store = Store()
    for name, version, balancer, at in (("r2", 2, "web", "T2"), ("r1", 1, "web", "T1"), ("other", 3, "api", "T0")):
        manifest = thing(name, version, spec={"balancerRef": {"name": balancer}})
        manifest["metadata"]["creationTimestamp"] = at
        store.remediations.put(manifest)
    assert [m["metadata"]["name"] for m in store.remediations_of(Key("shop", "web"))] == ["r1", "r2"]


def remediation(name: str, version: int, balancer: str) -> dict[str, Any]:
    manifest = thing(name, version, spec={"balancerRef": {"name": balancer}})
    manifest["metadata"]["creationTimestamp"] = "T"
    return manifest


def test_an_object_that_comes_back_in_another_group_leaves_the_old_one() -> None:
    store = Store()
    store.remediations.put(remediation("x", 10, "old"))
    store.remediations.put(remediation("x", 20, "new"))
    store.remediations.remove(remediation("x", 15, "old"))  # its deletion, told late
    assert store.remediations_of(Key("shop", "old")) == ()
    assert [m["metadata"]["resourceVersion"] for m in store.remediations_of(Key("shop", "new"))] == ["20"]
    store.remediations.remove(remediation("x", 30, "new"))
    assert store.remediations_of(Key("shop", "old")) == store.remediations_of(Key("shop", "new")) == ()


def test_an_object_that_was_changed_in_place_leaves_the_group_it_stood_in() -> None:
    objects = Objects(group_of=balancer_of)
    manifest = remediation("x", 1, "old")
    objects.put(manifest)
    manifest["spec"]["balancerRef"]["name"] = "new"
    objects.put(manifest)
    assert list(objects.group(Key("shop", "old"))) == []
    assert list(objects.group(Key("shop", "new"))) == [manifest]


def test_an_older_deletion_that_is_told_late_does_not_make_a_newer_one_forgotten() -> None:
    objects = Objects()
    objects.remove(thing("a", 9))
    objects.remove(thing("a", 5))
    assert not objects.put(thing("a", 7))


def test_balancers_are_found_by_what_they_target() -> None:
    store = Store()
    for name, target in (("one", {"name": "web"}), ("two", {"kind": "HTTPRoute", "name": "web"}), ("x", {"name": "y"})):
        store.balancers.put(thing(name, 1, spec={"targetRef": target}))
    found = store.balancers.group(Target("shop", "HTTPRoute", "web"))
    assert sorted(m["metadata"]["name"] for m in found) == ["one", "two"]


def test_all_balancers_of_a_namespace_stand_beside_one_of_a_service_and_none_where_there_is_none() -> None:
    store = Store()
    web = {"targetRef": {"kind": "Service", "name": "web"}}
    store.balancers.put(thing("route", 1, spec={"targetRef": {"name": "web"}}))
    assert list(store.across_planes("shop")) == []
    store.balancers.put(thing("service", 2, spec=web))
    assert {m["metadata"]["name"] for m in store.across_planes("shop")} == {"route", "service"}
    store.balancers.remove(thing("service", 3, spec=web))
    assert list(store.across_planes("shop")) == []


def test_remediations_of_balancers_that_are_gone_are_left_behind() -> None:
    store = Store()
    store.balancers.put(thing("web", 1, spec={"targetRef": {"name": "web"}}))
    store.remediations.put(remediation("a", 1, "web"))
    store.remediations.put(remediation("b", 1, "gone"))
    assert [m["metadata"]["name"] for m in store.left_behind()] == ["b"]


def test_deletions_are_remembered_up_to_a_number_the_latest_ones() -> None:
    objects = Objects()
    for at in range(store_module.MOST_GONE + 5):
        objects.remove(thing(f"a{at}", 100))
    assert not objects.put(thing(f"a{store_module.MOST_GONE + 4}", 99))
    assert len(objects._gone) == store_module.MOST_GONE


NAMES, GROUPS = st.sampled_from("abc"), st.sampled_from("xyz")
OBJECTS = st.builds(remediation, NAMES, st.integers(1, 9), GROUPS)
STEPS = st.one_of(
    st.tuples(st.just("put"), OBJECTS),
    st.tuples(st.just("remove"), OBJECTS),
    st.tuples(
        st.just("sweep"),
        st.tuples(st.lists(OBJECTS, max_size=3, unique_by=lambda m: m["metadata"]["name"]), st.integers(1, 9)),
    ),
)


@given(st.lists(STEPS, max_size=20))
def test_groups_are_what_a_scan_of_the_objects_gives(steps: list[tuple[str, Any]]) -> None:
    told: dict[Key, Any] = {}
    objects = Objects(group_of=balancer_of, on_change=lambda key, after: told.update({key: after}))
    for what, argument in steps:
        objects.sweep(*argument) if what == "sweep" else getattr(objects, what)(argument)
        for group in "xyz":
            scanned = [m for m in objects if balancer_of(m) == Key("shop", group)]
            assert sorted(map(repr, objects.group(Key("shop", group)))) == sorted(map(repr, scanned))
        assert len(objects._groups) == len({balancer_of(m) for m in objects})
        assert {key: after for key, after in told.items() if after is not None} == dict(
            zip(objects.all_keys(), objects, strict=True)
        )
