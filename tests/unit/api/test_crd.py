"""The CRDs as documents: in step with the models, and what a structural schema must be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from evenload.api import crd
from evenload.api.v1alpha1 import Balancer, Condition
from evenload.drivers import DRIVERS
from evenload.model.snapshot import SIGNALS
from evenload.model.spec import BalancerSpec

Schema = dict[str, Any]

REPOSITORY = Path(__file__).parents[3]


def schema_of(document: Schema) -> Schema:
    (version,) = document["spec"]["versions"]
    found: Schema = version["schema"]["openAPIV3Schema"]
    return found


def walk(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every schema node with its path."""
    yield path, schema
    for name, each in schema.get("properties", {}).items():
        yield from walk(each, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from walk(schema[key], f"{path}[]")


NODES = [
    (document["spec"]["names"]["plural"] + path, node)
    for document in crd.crds().values()
    for path, node in walk(schema_of(document))
]


def test_the_files_in_the_repository_are_what_the_models_say() -> None:
    stale = crd.stale(REPOSITORY, crd.generated_files())
    assert stale == [], "run `python -m evenload.api.crd`"


def test_check_tells_of_a_file_that_is_out_of_step_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert crd.main(["--root", str(tmp_path)]) == 0
    assert crd.main(["--check", "--root", str(tmp_path)]) == 0
    changed = tmp_path / crd.CHART_COPY
    changed.write_text(changed.read_text().replace("Observe", "Watch"))
    assert crd.main(["--check", "--root", str(tmp_path)]) == 1
    assert "charts/evenload/templates/crds.yaml is out of step" in capsys.readouterr().err
    assert "Watch" in changed.read_text()


def test_the_command_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "evenload.api.crd", "--check"],
        cwd=REPOSITORY,
        env={"PYTHONPATH": str(REPOSITORY / "operator")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_node_is_structural_typed_and_no_float() -> None:
    forbidden = {"$ref", "anyOf", "oneOf", "allOf", "title", "nullable"}
    types = {"object", "array", "string", "integer", "boolean"}
    assert [path for path, node in NODES if forbidden & set(node) or node["type"] not in types] == []


def test_every_list_is_bounded_and_says_how_it_merges() -> None:
    lists = [(path, node) for path, node in NODES if node["type"] == "array"]
    assert len(lists) > 10
    for path, node in lists:
        assert node["maxItems"] > 0, path
        keys = node.get("x-kubernetes-list-map-keys", [])
        assert node["x-kubernetes-list-type"] == ("map" if keys else "atomic"), path
        assert set(keys) <= set(node["items"].get("required", keys)), f"{path}: a key that may be absent is no key"


def test_every_text_is_bounded() -> None:
    texts = [(path, node) for path, node in NODES if node["type"] == "string" and "." in path]
    unbounded = [path for path, node in texts if not {"maxLength", "enum", "format"} & set(node)]
    assert unbounded == [
        f"{plural}.{name}" for plural in ("balancers", "remediations") for name in ("apiVersion", "kind")
    ]


def test_every_field_has_a_description() -> None:
    fields = [(path, node) for path, node in NODES if not path.endswith(("[]", ".metadata"))]
    assert [path for path, node in fields if not node.get("description", "").endswith(".")] == []


@pytest.mark.parametrize("document", crd.crds().values(), ids=list(crd.crds()))
def test_a_status_has_no_defaults(document: Schema) -> None:
    status = schema_of(document)["properties"]["status"]
    assert [path for path, node in walk(status) if "default" in node] == []


def test_every_cel_rule_has_words_for_people() -> None:
    rules = [rule for _, node in NODES for rule in node.get("x-kubernetes-validations", ())]
    assert len(rules) > 10
    assert [rule for rule in rules if not rule["message"] or not rule["reason"].startswith("FieldValue")] == []


def test_the_defaults_of_the_schema_are_those_of_the_model() -> None:
    spec = schema_of(crd.crds()["evenload.dev_balancers.yaml"])["properties"]["spec"]
    filled = {name: each["default"] for name, each in spec["properties"].items() if "default" in each}
    decoded = msgspec.convert({**filled, "targetRef": {"name": "shop"}}, BalancerSpec)
    assert decoded == msgspec.convert({"targetRef": {"name": "shop"}}, BalancerSpec)


def test_the_kinds_that_the_api_admits_are_those_that_have_a_driver() -> None:
    spec = schema_of(crd.crds()["evenload.dev_balancers.yaml"])["properties"]["spec"]
    assert spec["properties"]["targetRef"]["properties"]["kind"]["enum"] == sorted(DRIVERS)


def test_a_query_may_override_just_the_signals_there_are() -> None:
    spec = schema_of(crd.crds()["evenload.dev_balancers.yaml"])["properties"]["spec"]
    signal = spec["properties"]["signals"]["properties"]["queries"]["items"]["properties"]["signal"]
    assert sorted(signal["enum"]) == sorted(SIGNALS)


def test_a_description_that_helm_would_read_as_a_template_is_refused() -> None:
    document = next(iter(crd.crds().values()))
    schema_of(document)["description"] = "Write {{ namespace }} here."
    with pytest.raises(ValueError, match="would be read as a template"):
        crd.chart_copy({"any.yaml": document})


def test_the_plain_files_are_yaml_of_the_documents() -> None:
    for path, text in crd.generated_files().items():
        if path != crd.CHART_COPY:
            assert yaml.safe_load(text) == crd.crds()[path.name]


class Watch(msgspec.Struct):
    seconds: int = 5


class Spec(msgspec.Struct):
    watch: Watch | None = None
    always: Watch = msgspec.field(default_factory=Watch)


def test_an_optional_struct_gets_no_default() -> None:
    (whole,), definitions = msgspec.json.schema_components([Spec], ref_template="#/$defs/{name}")
    properties = crd.with_whole_defaults(crd.structural(definitions["Spec"], definitions))["properties"]
    assert whole == {"$ref": "#/$defs/Spec"}
    assert "default" not in properties["watch"]
    assert properties["always"]["default"] == {"seconds": 5}


def test_printer_columns_point_at_fields_of_the_schema() -> None:
    for document in crd.crds().values():
        paths = {path for path, _ in walk(schema_of(document))}
        for each in document["spec"]["versions"][0]["additionalPrinterColumns"]:
            path = each["jsonPath"].split("[?")[0]
            assert path in paths or path.startswith(".metadata."), each


def test_the_kinds_decode_what_they_encode() -> None:
    manifest = {
        "apiVersion": "evenload.dev/v1alpha1",
        "kind": "Balancer",
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {"targetRef": {"name": "shop"}},
    }
    balancer = msgspec.convert(manifest, Balancer)
    assert msgspec.convert(msgspec.to_builtins(balancer), Balancer) == balancer


def test_a_condition_always_writes_all_its_fields() -> None:
    fields = {"type": "Ready", "status": "True", "reason": "Working", "message": ""}
    condition = msgspec.convert({**fields, "lastTransitionTime": "2026-01-01T00:00:00Z"}, Condition)
    assert set(msgspec.to_builtins(condition)) == {*fields, "lastTransitionTime", "observedGeneration"}
