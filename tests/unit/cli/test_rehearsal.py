"""Objects of files beside those in the cluster: equal ones are equal whoever owns them, and weights are told apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from evenload.cli.cluster import Cluster, Rehearsal
from evenload.cli.rehearsal import Change, documents_of, rehearsed
from evenload.errors import NotFound, Refused
from evenload.foresight import Answer, State
from evenload.kube.resources import Manifest, Resource
from tests.support.guardcases import KINDS, Case, drawn

OF_THE_SERVER = {
    "uid": "u1",
    "resourceVersion": "7",
    "generation": 3,
    "creationTimestamp": "2025-10-10T07:00:00Z",
    "managedFields": [{"manager": "helm", "operation": "Update"}],
}


class Stored:
    """A cluster that holds one object, and lets some people rehearse."""

    def __init__(self, manifest: Manifest | None, *, may: bool) -> None:
        self.manifest, self.may = manifest, may

    def read(self, path: str) -> Manifest:
        if self.manifest is None:
            raise NotFound("gone", status=404)
        return self.manifest

    def rehearse(self, resource: Resource, name: str, body: Manifest, namespace: str, manager: str) -> Rehearsal:
        if not self.may:
            raise Refused(f'{name} is forbidden: User "x" cannot patch resource "{resource.plural}"', status=403)
        assert not set(OF_THE_SERVER) & set(body["metadata"])
        owned = [*OF_THE_SERVER["managedFields"], {"manager": manager, "operation": "Apply"}]  # type: ignore[misc]
        metadata = {**OF_THE_SERVER, **body["metadata"], "managedFields": owned}
        return Rehearsal({**body, "metadata": metadata}, ())


def change(tmp_path: Path, stored: Manifest | None, given: Manifest, *, may: bool) -> Change:
    file = tmp_path / "x.yaml"
    file.write_text(yaml.safe_dump(given))
    ([document], _) = documents_of([file], "shop")
    return rehearsed(cast(Cluster, Stored(stored, may=may)), document, None)


def live(manifest: Manifest) -> Manifest:
    return {**manifest, "metadata": {**manifest["metadata"], **OF_THE_SERVER}, "status": {"parents": []}}


DRAWN = drawn(seed=11, count=60)


@pytest.mark.parametrize("may", [True, False])
@pytest.mark.parametrize(("case", "kind"), DRAWN, ids=[case.name for case, _ in DRAWN])
def test_a_file_equal_to_the_live_object_changes_nothing(case: Case, kind: str, may: bool, tmp_path: Path) -> None:
    stored = live(case.objects(kind, "shop")[0])
    for given in (stored, case.objects(kind, "shop")[0]):
        found = change(tmp_path, stored, given, may=may)
        assert (found.state, found.places) == (State.unchanged, ())


def references_of(kind: str, manifest: Any) -> Iterator[dict[str, Any]]:
    """Wherever they stand in that kind."""
    split = KINDS[kind].split
    assert split is not None
    for rule in at(manifest, split.rules) if split.rules else [manifest]:
        yield from at(rule, split.references) or ()


def at(value: Any, place: Sequence[str]) -> Any:
    for key in place:
        value = (value or {}).get(key)
    return value


@pytest.mark.parametrize(("case", "kind"), DRAWN, ids=[case.name for case, _ in DRAWN])
def test_a_change_of_weights_alone_is_a_change_and_has_no_other_place(case: Case, kind: str, tmp_path: Path) -> None:
    stored = live(case.objects(kind, "shop")[0])
    given: Any = yaml.safe_load(yaml.safe_dump(case.objects(kind, "shop")[0]))
    for reference in references_of(kind, given):
        reference["weight"] = reference.get("weight", 1) + 1
    found = change(tmp_path, stored, given, may=True)
    assert (found.state, found.places) == (State.changed, ())


def test_an_object_that_is_not_there_is_new(tmp_path: Path) -> None:
    case, kind = DRAWN[0]
    found = change(tmp_path, None, case.objects(kind, "shop")[0], may=True)
    assert (found.state, found.places, found.answer) == (State.new, (), Answer.accepted)


def test_owners_stay_who_they_are_whoever_asks(tmp_path: Path) -> None:
    case, kind = DRAWN[0]
    stored = live(case.objects(kind, "shop")[0])
    found = change(tmp_path, stored, case.objects(kind, "shop")[0], may=True)
    assert found.after["metadata"]["managedFields"] == OF_THE_SERVER["managedFields"]
