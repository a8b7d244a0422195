"""Objects that nobody thought of: whatever a CRD lets in, and routes of every odd shape (as Acto, SOSP '23)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from evenload.kube.resources import Manifest

CRD = Path(__file__).parents[2] / "manifests" / "crds" / "evenload.dev_balancers.yaml"


@cache
def balancer_schema() -> dict[str, Any]:
    """Of a Balancer's spec, as the API server has it."""
    crd = yaml.safe_load(CRD.read_text())
    schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Everything that a structural schema accepts (the subset that ours are made of)."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "object" if "properties" in schema:
            required = set(schema.get("required", ()))
            fields = {name: values(each) for name, each in schema["properties"].items()}
            return st.fixed_dictionaries(
                {name: each for name, each in fields.items() if name in required},
                optional={name: each for name, each in fields.items() if name not in required},
            )
        case "object":
            inner = schema.get("additionalProperties", {"type": "string"})
            return st.dictionaries(st.text(max_size=20), values(inner), max_size=4)
        case "array":
            return st.lists(values(schema["items"]), max_size=min(5, schema.get("maxItems", 5)))
        case "integer":
            return st.integers(schema.get("minimum", -(2**31)), schema.get("maximum", 2**31))
        case "number":
            return st.floats(schema.get("minimum"), schema.get("maximum"), allow_nan=False, allow_infinity=False)
        case "boolean":
            return st.booleans()
        case "string":
            return _texts(schema)
    raise AssertionError(f"the schema has something new: {schema}")


def _texts(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    longest = schema.get("maxLength", 64)
    if "pattern" in schema:
        return st.from_regex(schema["pattern"]).filter(lambda text: len(text) <= longest)
    return st.text(min_size=schema.get("minLength", 0), max_size=min(longest, 64))


def specs() -> st.SearchStrategy[Manifest]:
    """Specs of Balancers that the API server would take, and some that only CEL refuses. Most look at the route."""
    aimed = st.sampled_from([{"kind": "HTTPRoute", "name": "shop"}] * 3 + [None])
    return st.tuples(values(balancer_schema()), aimed).map(
        lambda drawn: drawn[0] | ({"targetRef": drawn[1]} if drawn[1] else {})
    )


NAMES = st.sampled_from(["a", "b", "c", "d", "nobody", "victim", "a.b", "x" * 63])
REFS = st.fixed_dictionaries(
    {"name": NAMES},
    optional={
        "namespace": st.sampled_from(["victim", "shop", "kube-system"]),
        "port": st.integers(1, 65535),
        "weight": st.integers(0, 1_000_000),
        "kind": st.sampled_from(["Service", "ServiceImport"]),
        "group": st.sampled_from(["", "multicluster.x-k8s.io"]),
    },
)
RULES = st.fixed_dictionaries(
    {}, optional={"backendRefs": st.lists(REFS, max_size=16), "name": NAMES, "matches": st.just([{}])}
)
MANAGED = st.fixed_dictionaries(
    {"manager": st.sampled_from(["evenload", "rollouts-controller", "flagger", "kubectl", "\u202eodd\n"])},
    optional={
        "operation": st.sampled_from(["Apply", "Update"]),
        "time": st.sampled_from(["0000-01-01T00:00:00Z", "2026-11-20T00:00:00Z", "9999-12-31T23:59:59Z"]),
        "subresource": st.just("status"),
        "fieldsV1": st.sampled_from([{}, {"f:spec": {}}, {"f:spec": {"f:rules": {}}}, {"f:spec": {"f:rules": 3}}]),
    },
)
CONDITIONS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["Accepted", "ResolvedRefs", "Odd"]),
        "status": st.sampled_from(["True", "False", "Unknown"]),
    },
    optional={"reason": st.text(max_size=20), "observedGeneration": st.integers(0, 3)},
)
PARENTS = st.fixed_dictionaries(
    {"parentRef": st.fixed_dictionaries({"name": NAMES})}, optional={"conditions": st.lists(CONDITIONS, max_size=3)}
)
ROUTES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "spec": st.fixed_dictionaries({"rules": st.lists(RULES, max_size=8)}),
        "managedFields": st.lists(MANAGED, max_size=3),
        "status": st.fixed_dictionaries({"parents": st.lists(PARENTS, max_size=3)}),
    }
)
