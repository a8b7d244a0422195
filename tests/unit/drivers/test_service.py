"""Services of the kinds people have, and what the driver makes of each."""

from __future__ import annotations

from typing import Any

import pytest

from evenload.drivers import driver_of
from evenload.drivers.base import Handle, Place, Problem, RouteProblem
from evenload.model.spec import TargetRef
from tests.unit.drivers.services import WEB, service, written_by

DRIVER = driver_of("Service")


@pytest.mark.parametrize("spec", [{}, {"clusterIP": "None"}, {"selector": None}, {"sessionAffinity": "ClientIP"}])
def test_a_service_is_one_backend_that_has_all_of_the_traffic(spec: dict[str, Any]) -> None:
    view = DRIVER.backends(service(**spec), WEB)
    assert (view.weights, view.handles) == ({"web": 1}, (Handle.Isolate, Handle.Restart))
    assert view.services == {"web": Place(namespace="shop", name="web")}


@pytest.mark.parametrize(
    ("manifest", "target", "reason", "says"),
    [
        (service(type="ExternalName", externalName="db.example"), WEB, Problem.BackendUnsupported, "db.example"),
        (service(), TargetRef(kind="Service", name="web", rule_name="main"), Problem.RuleNotFound, "has no rules"),
        (service(type=7), WEB, Problem.Unreadable, "not a Service"),
    ],
)
def test_what_has_no_pods_or_cannot_be_read_is_refused_with_a_sentence(
    manifest: dict[str, Any], target: TargetRef, reason: Problem, says: str
) -> None:
    with pytest.raises(RouteProblem, match=says) as refused:
        DRIVER.backends(manifest, target)
    assert refused.value.reason is reason


def test_whoever_changes_a_service_is_no_rival_for_there_are_no_weights() -> None:
    view = DRIVER.backends(written_by(service(), "rollouts-controller", "2026-11-23T05:00:00Z"), WEB)
    assert (view.writer, view.rival, view.delivery) == (None, None, None)
