"""The store of our own objects: the newest version wins, wherever it comes from."""

from __future__ import annotations

from typing import Any

from evenload.store import Key, Objects, Store


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
