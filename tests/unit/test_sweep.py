"""What the watches missed is found by names and versions alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from evenload import app
from evenload.errors import NotFound
from evenload.kube.client import Page
from evenload.kube.resources import REMEDIATIONS, Manifest, Resource
from evenload.store import Key, Objects, Store


def remediation(name: str, version: int, **more: Any) -> Manifest:
    metadata = {"namespace": "market", "name": name, "uid": name, "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"balancerRef": {"name": "shop"}}, **more}


class Api:
    """Lists in pages of two; `read` are the names of objects that were read one by one."""

    def __init__(self, *there: Manifest, version: int = 100) -> None:
        self.there, self.version, self.read = {each["metadata"]["name"]: each for each in there}, version, list[str]()
        self.listed_whole = 0

    async def pages(
        self, resource: Resource, namespace: str | None, *, metadata_only: bool = False
    ) -> AsyncIterator[Page]:
        items = list(self.there.values())
        for start in range(0, max(1, len(items)), 2):
            chosen = items[start : start + 2]
            self.listed_whole += 0 if metadata_only else len(chosen)
            shown = [{"metadata": each["metadata"]} if metadata_only else each for each in chosen]
            text = msgspec.json.encode({"metadata": {"resourceVersion": str(self.version)}, "items": shown})
            yield msgspec.json.decode(text, type=Page)

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest:
        self.read.append(name)
        if name == "gone-since":
            raise NotFound("gone", status=404)
        return self.there[name]


async def sweep(api: Api, objects: Objects, *, whole: bool = False) -> None:
    await app._sweep(api, REMEDIATIONS, objects, None, whole=whole)  # type: ignore[arg-type]


@pytest.fixture
def objects() -> Objects:
    objects = Store().remediations
    for manifest in (remediation("known", 5), remediation("deleted-unseen", 6), remediation("made-since", 200)):
        objects.put(manifest)
    return objects


async def test_only_what_is_newer_than_what_is_known_is_read(objects: Objects) -> None:
    api = Api(remediation("known", 5), remediation("changed-unseen", 9, status={"phase": "Succeeded"}))
    await sweep(api, objects)
    assert (api.read, api.listed_whole) == (["changed-unseen"], 0)
    assert objects.get(Key("market", "changed-unseen")) == api.there["changed-unseen"]


async def test_what_the_list_lacks_is_forgotten_unless_it_is_newer(objects: Objects) -> None:
    await sweep(Api(remediation("known", 5)), objects)
    assert sorted(key.name for key in objects.all_keys()) == ["known", "made-since"]


async def test_what_is_gone_by_the_time_it_is_read_is_left_out(objects: Objects) -> None:
    await sweep(Api(remediation("gone-since", 9), remediation("known", 7)), objects)
    known = objects.get(Key("market", "known"))
    assert known is not None
    assert known["metadata"]["resourceVersion"] == "7"
    assert objects.get(Key("market", "gone-since")) is None


async def test_at_first_the_whole_list_is_read_page_by_page() -> None:
    objects = Store().remediations
    api = Api(*(remediation(f"r{at}", at + 1) for at in range(5)))
    await sweep(api, objects, whole=True)
    assert (len(objects.all_keys()), api.read) == (5, [])
