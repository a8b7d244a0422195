"""A Remediation as the report wants it: the API's times as seconds, its decimal strings as numbers, its steps as Steps.

Unknown fields are ignored, so that an older report reads a newer Remediation; unknown *words* (a diagnosis this version
does not know) are refused, because guessing what they mean would make a wrong report.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from evenload.api.v1alpha1 import Approval, Remediation
from evenload.errors import InputError
from evenload.model.base import Value
from evenload.model.diagnosis import Diagnosis, Evidence
from evenload.model.episode import FINAL_PHASES, Phase, Step
from evenload.model.snapshot import RouteWrite

AnyValue = TypeVar("AnyValue", bound=Value)


class Entry(Value, frozen=True, kw_only=True):
    """One line of the operator's own timeline."""

    at: float
    event: str
    detail: str = ""


class Measured(Value, frozen=True, kw_only=True):
    """What the operator itself measured, in seconds since the onset and in requests."""

    time_to_detect_seconds: float | None = None
    time_to_mitigate_seconds: float | None = None
    time_to_resolve_seconds: float | None = None
    requests: float | None = None
    requests_failed: float | None = None
    until: float | None = None


class Incident(Value, frozen=True, kw_only=True):
    """One episode, from the diagnosis to the end. Times in seconds since the epoch."""

    name: str
    namespace: str
    balancer: str
    trigger: str
    diagnosis: Diagnosis
    approval: Approval
    phase: Phase
    opened_at: float
    closed_at: float | None
    steps: tuple[Step, ...]
    overloaded_pods: dict[str, str]
    outcome: Measured
    timeline: tuple[Entry, ...]
    held: str = ""
    route_change: RouteWrite | None = None  # that caused it

    @property
    def over(self) -> bool:
        return self.phase in FINAL_PHASES


def read(manifest: Mapping[str, Any]) -> Incident:
    """Raises InputError naming the field that is missing or wrong."""
    try:
        remediation = msgspec.convert(manifest, Remediation)
    except msgspec.ValidationError as error:
        metadata = manifest.get("metadata")
        name = metadata.get("name") if isinstance(metadata, Mapping) else None
        raise InputError(
            f'Remediation "{name}" cannot be read: {error}; if a newer Evenload wrote it, use that version of the CLI'
        ) from error
    return incident(remediation)


def incident(remediation: Remediation) -> Incident:
    """Raises InputError where it does not say when it was opened."""
    metadata, spec, status = remediation.metadata, remediation.spec, remediation.status
    opened_at = status.opened_at or metadata.creation_timestamp
    if opened_at is None:
        raise InputError(f'Remediation "{metadata.name}" cannot be read: status.openedAt is missing')
    return Incident(
        name=metadata.name,
        namespace=metadata.namespace,
        balancer=spec.balancer_ref.name,
        trigger=spec.trigger,
        diagnosis=_diagnosis(remediation),
        approval=spec.approval,
        phase=status.phase or Phase.Observed,
        opened_at=opened_at.timestamp(),
        closed_at=status.closed_at.timestamp() if status.closed_at else None,
        steps=tuple(_in_seconds(step, Step) for step in status.steps),
        overloaded_pods=status.overloaded_pods,
        outcome=_in_seconds(status.outcome, Measured) if status.outcome else Measured(),
        timeline=tuple(_in_seconds(entry, Entry) for entry in sorted(status.timeline, key=lambda entry: entry.at)),
        held=status.held,
        route_change=_in_seconds(spec.diagnosis.route_change, RouteWrite) if spec.diagnosis.route_change else None,
    )


def _diagnosis(remediation: Remediation) -> Diagnosis:
    recorded = remediation.spec.diagnosis
    bare = msgspec.structs.replace(recorded, evidence=(), route_change=None)
    evidence = tuple(_in_seconds(item, Evidence, observed=None) for item in recorded.evidence)
    return msgspec.structs.replace(_in_seconds(bare, Diagnosis), evidence=evidence)


def _in_seconds(record: Value, kind: type[AnyValue], **absent: None) -> AnyValue:
    """The model's twin of an API record: times become seconds, decimal strings numbers; `absent` are defaults."""
    fields: dict[str, Any] = msgspec.to_builtins(record, builtin_types=(datetime,))
    plain = {key: item.timestamp() if isinstance(item, datetime) else item for key, item in fields.items()}
    return msgspec.convert({**absent, **plain}, kind, strict=False)
