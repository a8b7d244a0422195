"""Which tests stand behind what the pages say that planes (`Driver.tried`) and presets (`Preset.tried`) were tried on.

By name; a test is its file, its class where it has one, its function, and in brackets the case that is meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_EACH_KIND: Final = (
    "tests/integration/observe/test_cluster.py::TestKinds::test_each_kind_is_read_and_written_as_the_api_server_has_it"
)
_TRAEFIK: Final = "tests/e2e/test_traefik_kinds.py::test_weights_that_the_driver_writes_move_requests"
_EXPOSED: Final = "tests/integration/observe/test_presets.py::test_a_busy_pod_has_its_numbers"
_POSTMORTEM: Final = (
    "tests/e2e/test_postmortem.py::test_a_bad_update_is_found_and_mended_and_the_sick_server_restarted_once"
)

PLANES: Final[Mapping[str, tuple[str, ...]]] = {
    "HTTPRoute": (_POSTMORTEM, "tests/e2e/test_lab.py::test_traefik_splits_by_the_weights_of_the_route"),
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
}
