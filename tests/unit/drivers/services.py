"""Services for tests: generated ones, and small ones by hand."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

from evenload.model.spec import TargetRef

WEB = TargetRef(kind="Service", name="web")


def service(**spec: Any) -> dict[str, Any]:
    """A Service as the API server would answer it."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop", "uid": "u-1", "resourceVersion": "41"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}], **spec},
    }


def written_by(manifest: dict[str, Any], manager: str, time: str) -> dict[str, Any]:
    """`manifest` with `manager` as another owner of its selector."""
    changed = copy.deepcopy(manifest)
    entry = {"manager": manager, "operation": "Update", "time": time, "fieldsV1": {"f:spec": {"f:selector": {}}}}
    changed["metadata"].setdefault("managedFields", []).append(entry)
    return changed


def plain() -> st.SearchStrategy[tuple[dict[str, Any], TargetRef]]:
    """Services of all types that have pods; a canary controller may have made them."""
    specs = st.fixed_dictionaries(
        {"type": st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"])},
        optional={
            "clusterIP": st.sampled_from(["None", "10.0.0.7"]),
            "selector": st.none(),
            "sessionAffinity": st.sampled_from(["None", "ClientIP"]),
        },
    )
    owned = st.sampled_from([{}, {"ownerReferences": [{"kind": "Canary", "name": "web", "controller": True}]}])
    return st.tuples(specs, owned).map(lambda drawn: (_with(service(**drawn[0]), drawn[1]), WEB))


def _with(manifest: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    return {**manifest, "metadata": {**manifest["metadata"], **metadata}}
