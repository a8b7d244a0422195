"""What a Service says of how its requests spread over its pods."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from evenload.model.snapshot import Steering, Steers
from evenload.observe.objects import TOPOLOGY_MODE, Service


@pytest.mark.parametrize(
    ("spec", "annotations", "found"),
    [
        ({"sessionAffinity": "None", "internalTrafficPolicy": "Cluster"}, {}, []),
        ({"sessionAffinity": "ClientIP"}, {}, [(Steers.Client, "spec.sessionAffinity: ClientIP")]),
        ({"internalTrafficPolicy": "Local"}, {}, [(Steers.Node, "spec.internalTrafficPolicy: Local")]),
        (
            {"type": "LoadBalancer", "externalTrafficPolicy": "Local"},
            {},
            [(Steers.Node, "spec.externalTrafficPolicy: Local")],
        ),
        ({"type": "ClusterIP", "externalTrafficPolicy": "Local"}, {}, []),
        ({"trafficDistribution": "PreferClose"}, {}, [(Steers.Zone, "spec.trafficDistribution: PreferClose")]),
        ({"trafficDistribution": "PreferSameNode"}, {}, [(Steers.Node, "spec.trafficDistribution: PreferSameNode")]),
        ({}, {TOPOLOGY_MODE: "Auto"}, [(Steers.Zone, f"the annotation {TOPOLOGY_MODE}: Auto")]),
        ({}, {TOPOLOGY_MODE: "Disabled"}, []),
    ],
)
def test_what_steers_requests_is_read_from_the_service(
    spec: dict[str, Any], annotations: dict[str, str], found: list[tuple[Steers, str]]
) -> None:
    manifest = {"metadata": {"name": "web", "annotations": annotations}, "spec": spec}
    service = msgspec.convert(manifest, Service)
    assert service.steering == tuple(Steering(by=by, setting=setting) for by, setting in found)
