"""Every driver of the table, against the suite all drivers must pass."""

from __future__ import annotations

from typing import Any

import jsonpatch
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evenload.api.v1alpha1 import FIELD_MANAGER
from evenload.drivers import DRIVERS
from evenload.drivers.base import Handle, Problem, RouteProblem
from tests.unit.drivers.conformance import CASES, WEIGHTED, Case, apply, weights_for

every_driver = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
every_weighted = pytest.mark.parametrize("case", WEIGHTED.values(), ids=WEIGHTED.keys())


def test_every_driver_of_the_table_is_held_to_this_suite() -> None:
    assert CASES.keys() == DRIVERS.keys()
    assert all(case.driver.kind == kind for kind, case in CASES.items())


@every_driver
@given(data=st.data())
def test_a_patch_gives_every_backend_its_weight(case: Case, data: st.DataObject) -> None:
    manifest, target = data.draw(case.balancers)
    view = case.driver.backends(manifest, target)
    wanted = data.draw(weights_for(list(view.weights), case.driver.limits.largest_weight))
    patched = apply(manifest, case.driver.patch(manifest, target, wanted))
    assert case.driver.backends(patched, target).weights == wanted


@every_driver
@given(data=st.data())
def test_a_patch_touches_nothing_but_the_weights_of_its_backends(case: Case, data: st.DataObject) -> None:
    manifest, target = data.draw(case.balancers)
    view = case.driver.backends(manifest, target)
    wanted = data.draw(weights_for(list(view.weights), case.driver.limits.largest_weight))
    patched = apply(manifest, case.driver.patch(manifest, target, wanted))
    assert case.strip(patched, target) == case.strip(manifest, target)


@every_driver
@given(data=st.data())
def test_a_patch_writes_only_where_the_driver_says_that_its_weights_are(case: Case, data: st.DataObject) -> None:
    manifest, target = data.draw(case.balancers)
    view = case.driver.backends(manifest, target)
    wanted = data.draw(weights_for(list(view.weights), case.driver.limits.largest_weight))
    written = [each["path"] for each in case.driver.patch(manifest, target, wanted) if each["op"] != "test"]
    places = case.driver.weights_at(manifest, target)
    assert len(set(places)) == len(places)
    assert written == [place for place in places if place in set(written)]


@every_driver
@given(data=st.data())
def test_undo_restores_the_very_weights(case: Case, data: st.DataObject) -> None:
    manifest, target = data.draw(case.balancers)
    before = case.driver.backends(manifest, target).weights
    assume(any(before.values()))
    wanted = data.draw(weights_for(list(before), case.driver.limits.largest_weight))
    patched = apply(manifest, case.driver.patch(manifest, target, wanted))
    undone = apply(patched, case.driver.patch(patched, target, before))
    assert case.driver.backends(undone, target).weights == before


@every_driver
@given(data=st.data())
def test_weights_that_stand_already_need_no_write(case: Case, data: st.DataObject) -> None:
    manifest, target = data.draw(case.balancers)
    weights = case.driver.backends(manifest, target).weights
    assume(any(weights.values()))
    assert case.driver.patch(manifest, target, weights) == []


@every_weighted
@given(data=st.data())
def test_a_patch_is_refused_once_anybody_has_changed_the_object(case: Case, data: st.DataObject) -> None:
    manifest, target = data.draw(case.balancers)
    weights = case.driver.backends(manifest, target).weights
    operations = case.driver.patch(manifest, target, {name: 5 + at for at, name in enumerate(weights)})
    assume(operations)
    manifest["metadata"]["resourceVersion"] += "0"
    with pytest.raises(jsonpatch.JsonPatchTestFailed):
        apply(manifest, operations)


@every_driver
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda weights, _: dict.fromkeys(weights, 0), "every weight is 0"),
        (lambda weights, _: {**weights, "nobody": 1}, "no backend nobody"),
        (lambda weights, _: dict(list(weights.items())[1:]), "no weight is given for"),
        (lambda weights, most: dict.fromkeys(weights, most + 1), "must be from 0 to"),
        (lambda weights, _: dict.fromkeys(weights, -1), "must be from 0 to"),
        (lambda weights, _: dict.fromkeys(weights, True), "whole numbers"),
        (lambda weights, _: dict.fromkeys(weights, 0.5), "whole numbers"),
    ],
    ids=["all zero", "unknown backend", "missing backend", "too large", "negative", "a truth value", "a fraction"],
)
@given(data=st.data())
def test_weights_nobody_should_write_are_refused_with_a_sentence(
    case: Case, change: Any, says: str, data: st.DataObject
) -> None:
    manifest, target = data.draw(case.balancers)
    weights = case.driver.backends(manifest, target).weights
    with pytest.raises(RouteProblem, match=says) as refused:
        case.driver.patch(manifest, target, change(weights, case.driver.limits.largest_weight))
    assert refused.value.reason is Problem.WeightsInvalid


@every_weighted
@given(data=st.data())
def test_the_rival_writer_is_named_even_after_we_have_written(case: Case, data: st.DataObject) -> None:
    manifest, target = data.draw(case.balancers)
    rival = case.foreign_write(manifest, "argocd-controller", "2026-11-23T05:00:00Z")
    ours = case.foreign_write(rival, FIELD_MANAGER, "2026-11-23T05:00:09Z")
    view = case.driver.backends(ours, target)
    assert view.writer is not None
    assert view.writer.manager == FIELD_MANAGER
    assert view.rival is not None
    assert view.rival.manager == "argocd-controller"


@every_driver
@given(data=st.data())
def test_every_backend_says_where_its_pods_are(case: Case, data: st.DataObject) -> None:
    manifest, target = data.draw(case.balancers)
    view = case.driver.backends(manifest, target)
    assert view.services.keys() == view.weights.keys()


@every_driver
@given(data=st.data())
def test_a_balancer_has_the_handles_of_its_plane_and_weights_only_with_two_backends(
    case: Case, data: st.DataObject
) -> None:
    manifest, target = data.draw(case.balancers)
    view = case.driver.backends(manifest, target)
    assert view.handles == case.driver.handles
    assert (Handle.Weights in view.handles) == (len(view.weights) > 1)
