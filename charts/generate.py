"""Writes what the chart says of data planes from the table of drivers: values, their schema, RBAC rules, the guard.

`python -m charts.generate` writes it, `--check` says which files are out of step.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from evenload.drivers import DRIVERS, name_of
from evenload.drivers.base import Driver, Handle
from evenload.guard.policies import policies
from evenload.kube.resources import Resource

CHART = Path(__file__).parents[1] / "charts/evenload"
RULES = "templates/_drivers.tpl"
GUARD = "templates/guard.yaml"
GENERATED = "{{/* Generated from evenload/drivers by `python -m charts.generate`: do not edit. */}}\n"


def rules(_: str) -> str:
    """What Evenload may do with the objects of each data plane that is enabled."""
    drivers = DRIVERS.values()
    weighted = [driver for driver in drivers if Handle.Weights in driver.handles]  # the others' kind is read anyway
    return (
        GENERATED
        + _defined(
            "evenload.driverReadRules",
            (_rule(driver, each, "list, watch") for driver in weighted for each in (driver.resource, *driver.beside)),
        )
        + _defined("evenload.driverActRules", (_rule(driver, driver.resource, "get, patch") for driver in weighted))
        + '\n{{- define "evenload.disabledDrivers" -}}\n{{- $names := list -}}\n'
        + "".join(map(_disabled, drivers))
        + '{{- join "," $names -}}\n{{- end }}\n'
    )


def _defined(name: str, parts: Iterator[str]) -> str:
    return f'\n{{{{- define "{name}" -}}}}\n{"".join(parts)}{{{{- end }}}}\n'


def _rule(driver: Driver, resource: Resource, verbs: str) -> str:
    return (
        f"{{{{- if {_enabled(driver)} }}}}\n"
        f"- apiGroups: [{resource.group}]\n  resources: [{resource.plural}]\n  verbs: [{verbs}]\n"
        "{{- end }}\n"
    )


def _disabled(driver: Driver) -> str:
    added = f'{{{{- $names = append $names "{name_of(driver)}" }}}}'
    return f"{{{{- if not {_enabled(driver)} }}}}{added}{{{{- end -}}}}\n"


def _enabled(driver: Driver) -> str:
    """One that the values do not know is off: an upgrade may bring those of an older chart (--reuse-values)."""
    return f"((.Values.drivers.{name_of(driver)}).enabled)"


class _Readable(yaml.SafeDumper):
    """Texts of several lines as they are."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Readable.add_representer(str, _Readable.represent_str)


def guard(_: str) -> str:
    """The guard's policies of each data plane that is enabled."""
    comment = "{{/* What the expressions mean: evenload/guard. They run in the API server, without Evenload. */}}\n"
    return GENERATED + comment + "".join(map(_guarded, DRIVERS.values()))


def _guarded(driver: Driver) -> str:
    documents = "".join(f"---\n{_policy(document)}" for document in policies(driver, _PREFIX))
    return (
        f"{{{{- if and ((.Values.guard).enabled) {_enabled(driver)} }}}}\n{documents}{{{{- end }}}}\n"
        if documents
        else ""
    )


_PREFIX = "RELEASE-guard"  # a template in its place would be quoted


def _policy(document: dict[str, Any]) -> str:
    text: str = yaml.dump(document, Dumper=_Readable, sort_keys=False, width=1000)
    if "{{" in text:
        raise ValueError(f"{document['metadata']['name']}: an expression would be read as a template: it has {{{{")
    name = f"  name: {document['metadata']['name']}\n"
    labels = '  labels:\n    {{- include "evenload.labels" . | nindent 4 }}\n'
    named = text.replace(name, name + labels, 1)
    return named.replace(_PREFIX, '{{ include "evenload.clusterName" . }}-guard')


def values(text: str) -> str:
    """`text` with the block of the drivers anew."""
    block = "".join(f"  {name_of(driver)}:\n    enabled: true\n" for driver in DRIVERS.values())
    return re.sub(r"(?m)^drivers:\n(?: .*\n)*", f"drivers:\n{block}", text)


def schema(text: str) -> str:
    """`text` with the schemas of the drivers anew."""
    document = json.loads(text)
    document["properties"]["drivers"]["properties"] = {
        name_of(driver): {
            "description": driver.about,
            "type": "object",
            "additionalProperties": False,
            "properties": {"enabled": {"description": _enabling(driver), "type": "boolean"}},
        }
        for driver in DRIVERS.values()
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _enabling(driver: Driver) -> str:
    weighted = Handle.Weights in driver.handles
    return "Read them, and above Observe patch their weights." if weighted else "Look after them. They are only read."


FILES: dict[str, Callable[[str], str]] = {
    RULES: rules,
    GUARD: guard,
    "values.yaml": values,
    "values.schema.json": schema,
}


def files(chart: Path = CHART) -> dict[str, str]:
    """File name -> text as it should be."""
    return {name: make(_text(chart / name)) for name, make in FILES.items()}


def stale(chart: Path = CHART) -> list[str]:
    """The files that are out of step."""
    return [name for name, text in files(chart).items() if _text(chart / name) != text]


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m charts.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file is out of step")
    if parser.parse_args(arguments).check:
        for name in (found := stale()):
            sys.stderr.write(f"charts/evenload/{name} is out of step: run `python -m charts.generate`\n")
        return 1 if found else 0
    for name, text in files().items():
        (CHART / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
