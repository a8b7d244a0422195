"""The CRDs, generated from the Structs: one source for the types, the API server's validation and the documentation.

`python -m evenload.api.crd` writes manifests/crds/ and the chart's copy; `--check` says whether they are in step.
What msgspec's JSON Schema has and a structural schema may not have ($ref, anyOf with null, titles, untyped enums) is
rewritten here; nothing is added that the Structs do not say, except what Kubernetes asks of every CRD.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from evenload.api.v1alpha1 import GROUP, VERSION, Balancer, Remediation
from evenload.drivers import DRIVERS

Schema = dict[str, Any]

REPOSITORY = Path(__file__).resolve().parents[3]
CRD_FOLDER = Path("manifests/crds")
CHART_COPY = Path("charts/evenload/templates/crds.yaml")


def column(name: str, path: str, *, type: str = "string", wide: bool = False, description: str = "") -> Schema:
    """One column of `kubectl get`."""
    about = {"description": description} if description else {}
    return {"name": name, "type": type, "jsonPath": path, **({"priority": 1} if wide else {}), **about}


def condition_column(name: str, condition: str, key: str, *, wide: bool = False) -> Schema:
    return column(name, f'.status.conditions[?(@.type=="{condition}")].{key}', wide=wide)


AGE = column("Age", ".metadata.creationTimestamp", type="date")
BALANCER_COLUMNS = [
    column("Mode", ".status.mode", description="In force: the strictest of the spec's and the installation's."),
    condition_column("Balanced", "Balanced", "status"),
    condition_column("Reason", "Balanced", "reason"),
    column("Worst", ".status.summary.worstShareRatio", description="Largest share / the share it should be."),
    column("Pods", ".status.summary.pods", description="Ready / all."),
    condition_column("Ready", "Ready", "status"),
    AGE,
    column("Target", ".spec.targetRef.name", wide=True),
    column("Diagnosis", ".status.diagnosis.sentence", wide=True),
]
REMEDIATION_COLUMNS = [
    column("Balancer", ".spec.balancerRef.name"),
    column("Label", ".spec.diagnosis.label"),
    column("Phase", ".status.phase"),
    column("Resolved", ".status.outcome.timeToResolveSeconds", type="integer", description="Seconds from the onset."),
    AGE,
    column("Approved-By", ".spec.approval.by", wide=True),
    column("Diagnosis", ".spec.diagnosis.sentence", wide=True),
]


def structural(node: Any, definitions: Mapping[str, Schema]) -> Any:
    """The same schema without $ref, anyOf null, titles and untyped enums. Defaults stay where msgspec wrote them."""
    if isinstance(node, list):
        return [structural(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    schema = _without_reference(_without_null(node), definitions)
    schema.pop("title", None)
    if schema.get("required") == []:
        del schema["required"]
    if "enum" in schema:
        schema.setdefault("type", "string")
    return {key: _child(key, value, definitions) for key, value in schema.items()}


def _child(key: str, value: Any, definitions: Mapping[str, Schema]) -> Any:
    if key == "properties":
        return {name: structural(each, definitions) for name, each in value.items()}
    return structural(value, definitions) if key in {"items", "additionalProperties"} else value


def _without_null(node: Schema) -> Schema:
    """X | None: X; what stands beside the union (its description) wins over what X says. Not `nullable`: the API server
    then takes a null that somebody writes as absent, which is what it means here."""
    if "anyOf" not in node:
        return dict(node)
    (wanted,) = [option for option in node["anyOf"] if option != {"type": "null"}]
    beside = {key: value for key, value in node.items() if key != "anyOf"}
    return {**wanted, **beside}


def _without_reference(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    if "$ref" not in node:
        return node
    named = definitions[node["$ref"].removeprefix("#/$defs/")]
    return {**named, **{key: value for key, value in node.items() if key != "$ref"}}


def with_whole_defaults(schema: Schema) -> Schema:
    """Writes the whole default of each object that may be left out: the API server fills in nested defaults only where
    the parent exists, and checks a parent's default against its CEL rules before it does. A default of null is none."""
    properties = {name: with_whole_defaults(each) for name, each in schema.get("properties", {}).items()}
    for name, each in properties.items():
        if name not in schema.get("required", ()) and "properties" in each and not each.get("required"):
            each.setdefault(
                "default", {child: of["default"] for child, of in each["properties"].items() if "default" in of}
            )
    whole = dict(schema)
    if properties:
        whole["properties"] = {name: _without_null_default(each) for name, each in properties.items()}
    if "items" in schema:
        whole["items"] = with_whole_defaults(schema["items"])
    return whole


def _without_null_default(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "default" or value is not None}


def without_defaults(node: Any) -> Any:
    """A status has none: what was not seen is absent."""
    if isinstance(node, list):
        return [without_defaults(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: without_defaults(value) for key, value in node.items() if key != "default"}


def with_list_types(node: Any) -> Any:
    """Every list says how it merges: as a map where a key is named, else as a whole."""
    if isinstance(node, list):
        return [with_list_types(item) for item in node]
    if not isinstance(node, dict):
        return node
    typed = {key: with_list_types(value) for key, value in node.items()}
    if typed.get("type") == "array":
        typed.setdefault("x-kubernetes-list-type", "atomic")
    return typed


def object_schema(kind: type[msgspec.Struct]) -> Schema:
    """The openAPIV3Schema of a kind."""
    (whole,), definitions = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    schema: Schema = msgspec.json.decode(msgspec.json.encode(structural(whole, definitions)))
    properties = schema["properties"]
    schema["properties"] = {
        "apiVersion": {"type": "string", "description": "Version of the schema of this object."},
        "kind": {"type": "string", "description": "Kind of this object."},
        "metadata": {"type": "object"},
        "spec": with_list_types(with_whole_defaults(properties["spec"])),
        "status": with_list_types(without_defaults(properties["status"])),
    }
    schema["required"] = ["spec"]
    return schema


def balancer_schema() -> Schema:
    """The Balancer's, with the kinds that a driver answers for."""
    schema = object_schema(Balancer)
    target = schema["properties"]["spec"]["properties"]["targetRef"]["properties"]
    kind = target["kind"]
    target["kind"] = {"description": kind["description"], "enum": sorted(DRIVERS), **kind}
    return schema


def crd(kind: type[msgspec.Struct], schema: Schema, plural: str, short: str, columns: list[Schema]) -> Schema:
    """One CustomResourceDefinition."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.__name__,
                "listKind": f"{kind.__name__}List",
                "plural": plural,
                "singular": kind.__name__.lower(),
                "shortNames": [short],
                "categories": ["evenload"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": columns,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                }
            ],
        },
    }


def crds() -> dict[str, Schema]:
    """Both CRDs by file name."""
    return {
        f"{GROUP}_balancers.yaml": crd(Balancer, balancer_schema(), "balancers", "bal", BALANCER_COLUMNS),
        f"{GROUP}_remediations.yaml": crd(
            Remediation, object_schema(Remediation), "remediations", "rem", REMEDIATION_COLUMNS
        ),
    }


GENERATED = "# Generated from operator/evenload/api/v1alpha1.py by `python -m evenload.api.crd`: do not edit.\n"


class _NoAliases(yaml.SafeDumper):
    """Equal parts are written out, not referred to."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def as_yaml(document: Schema) -> str:
    text: str = yaml.dump(document, Dumper=_NoAliases, sort_keys=False, width=120, allow_unicode=True)
    return text


def chart_copy(documents: Mapping[str, Schema]) -> str:
    """The CRDs as a chart template, so that `helm upgrade` upgrades them, which it never does with a crds/ folder."""
    return "\n".join(
        ["{{- if .Values.crds.enabled }}", *map(_chart_document, documents.values()), "{{- end }}", ""]
    ).replace("\n\n", "\n")


def _chart_document(document: Schema) -> str:
    body = as_yaml(document)
    if "{{" in body:
        raise ValueError(f"{document['metadata']['name']}: a description would be read as a template: remove {{{{")
    name = f"  name: {document['metadata']['name']}\n"
    metadata = (
        f"{name}  labels:\n"
        '    {{- include "evenload.labels" . | nindent 4 }}\n'
        "  {{- if .Values.crds.keep }}\n"
        "  annotations:\n"
        "    helm.sh/resource-policy: keep\n"
        "  {{- end }}\n"
    )
    return "---\n" + GENERATED + body.replace(name, metadata, 1)


def generated_files() -> dict[Path, str]:
    """Path below the repository -> text."""
    documents = crds()
    plain = {CRD_FOLDER / name: GENERATED + as_yaml(document) for name, document in documents.items()}
    return {**plain, CHART_COPY: chart_copy(documents)}


def stale(root: Path, files: Mapping[Path, str]) -> list[Path]:
    """The files that differ from what the models say now."""
    return [path for path, text in files.items() if not (root / path).is_file() or (root / path).read_text() != text]


def write(root: Path, files: Mapping[Path, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m evenload.api.crd", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file is out of step")
    parser.add_argument("--root", type=Path, default=REPOSITORY, help="the repository")
    options = parser.parse_args(arguments)
    files = generated_files()
    changed = stale(options.root, files)
    if options.check:
        for path in changed:
            sys.stderr.write(f"{path} is out of step with the models: run `python -m evenload.api.crd`\n")
        return 1 if changed else 0
    write(options.root, {path: files[path] for path in changed})
    return 0


if __name__ == "__main__":
    sys.exit(main())
