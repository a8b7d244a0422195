"""Findings of the audit as SARIF 2.1.0, which code hosts show beside the changed lines.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from evenload import __version__
from evenload.audit.finding import Finding, Rule, Severity
from evenload.audit.rules import RULES
from evenload.cli.manifests import Located

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS: Final = {Severity.error: "error", Severity.warning: "warning", Severity.info: "note"}
_INDEX: Final = {name: index for index, name in enumerate(RULES)}


def sarif(findings: Iterable[Finding], places: Mapping[int, Located]) -> dict[str, Any]:
    """One run. A finding of a file has its line; one of the cluster names the object alone."""
    driver = {"name": "evenload audit", "version": __version__, "rules": [_rule(each) for each in RULES.values()]}
    results = [_result(each, places.get(each.place)) for each in findings]
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.meaning},
        "help": {"text": rule.fix},
        "defaultConfiguration": {"level": LEVELS[rule.severity]},
    }


def _result(finding: Finding, place: Located | None) -> dict[str, Any]:
    object_ = f"{finding.kind} {finding.namespace}/{finding.name}"
    location: dict[str, Any] = {
        "logicalLocations": [{"fullyQualifiedName": f"{object_} {finding.path}", "kind": "resource"}]
    }
    if place is not None and str(place.file) != "-":
        location["physicalLocation"] = {
            "artifactLocation": {"uri": _uri(place.file)},
            "region": {"startLine": place.line(finding.keys)},
        }
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": _INDEX[finding.rule],
        "level": LEVELS[finding.severity],
        "message": {"text": f"{object_}, {finding.path}: {finding.what}. {finding.fix}"},
        "locations": [location],
        "partialFingerprints": {"evenload/v1": _fingerprint(f"{finding.rule} {object_} {finding.path}")},
    }
    if finding.suppressed is not None:
        result["suppressions"] = [{"kind": "inSource", "justification": finding.suppressed}]
    return result


def _uri(file: Path) -> str:
    """Relative to where the command runs, as code hosts want it."""
    path = file.resolve()
    here = Path.cwd()
    return quote(path.relative_to(here).as_posix()) if path.is_relative_to(here) else path.as_uri()


def _fingerprint(text: str) -> str:
    """The same for a finding that only moved to another line."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:32]
