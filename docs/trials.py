"""Which tests stand behind what the pages say that planes (`Driver.tried`) and presets (`Preset.tried`) were tried on.

By name; a test is its file, its class where it has one, its function, and in brackets the case that is meant.
Behind which gateways an end-to-end test runs is read from its file: `make e2e` has Traefik, and `make planes` runs what
is marked for it behind Envoy Gateway.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

_REPOSITORY: Final = Path(__file__).parents[1]
END_TO_END: Final = "tests/e2e/"
BEHIND_EACH: Final = "pytest.mark.gateway"
"""The marker of the end-to-end tests that `make planes` runs, too."""
TRAEFIK: Final = "Traefik"
ENVOY_GATEWAY: Final = "Envoy Gateway"

_EACH_KIND: Final = (
    "tests/integration/observe/test_cluster.py::TestKinds::test_each_kind_is_read_and_written_as_the_api_server_has_it"
)
_TRAEFIK: Final = "tests/e2e/test_traefik_kinds.py::test_weights_that_the_driver_writes_move_requests"
_EXPOSED: Final = "tests/integration/observe/test_presets.py::test_a_busy_pod_has_its_numbers"
_POSTMORTEM: Final = (
    "tests/e2e/test_postmortem.py::test_a_bad_update_is_found_and_mended_and_the_sick_server_restarted_once"
)
_ISOLATED: Final = "tests/e2e/test_isolate.py::test_a_sick_pod_behind_one_service_goes_and_no_request_fails_by_that"
_SPLIT: Final = "tests/e2e/test_routes.py::test_weights_that_the_driver_writes_move_requests"

PLANES: Final[Mapping[str, tuple[str, ...]]] = {
    "HTTPRoute": (_POSTMORTEM, _ISOLATED, _SPLIT),
    "GRPCRoute": (f"{_EACH_KIND}[GRPCRoute]",),
    "TraefikService": (f"{_TRAEFIK}[TraefikService]", f"{_EACH_KIND}[TraefikService]"),
    "IngressRoute": (f"{_TRAEFIK}[IngressRoute]", f"{_EACH_KIND}[IngressRoute]"),
    "VirtualService": (
        "tests/integration/operator/test_istiod.py::"
        "test_istiod_makes_of_each_rule_the_weights_that_the_driver_reads_and_writes",
        "tests/integration/operator/test_istiod.py::test_istiod_accepts_all_weights_that_the_driver_writes",
        "tests/integration/operator/test_virtual_service.py::"
        "test_a_skewed_virtual_service_is_mended_in_whole_per_cent_and_the_undo_gives_back_what_stood",
    ),
    "Service": ("tests/integration/observe/test_cluster.py::TestKinds::test_a_plain_service_leads_to_its_pods",),
}
PRESETS: Final[Mapping[str, tuple[str, ...]]] = {
    "app": (_POSTMORTEM, _EXPOSED),
    "grpc": (_EXPOSED,),
    "micrometer": (_EXPOSED,),
    "otel": (_EXPOSED,),
    "otel-old": (_EXPOSED,),
    "istio": (_EXPOSED,),
    "linkerd": (_EXPOSED,),
    "envoy-gateway": (
        "tests/integration/observe/test_by_address.py::"
        "test_what_all_envoys_send_to_a_pod_is_added_up_and_no_copy_of_it",
    ),
    "traefik": (
        "tests/e2e/test_traefik_counts.py::test_what_traefik_counts_of_each_service_is_its_backends_in_equal_parts",
    ),
}


def gateways(test: str) -> tuple[str, ...]:
    """The proxies behind which a test runs; none where it has no proxy."""
    path = test.partition("::")[0]
    if not path.startswith(END_TO_END):
        return ()
    return (TRAEFIK, ENVOY_GATEWAY) if BEHIND_EACH in (_REPOSITORY / path).read_text() else (TRAEFIK,)
