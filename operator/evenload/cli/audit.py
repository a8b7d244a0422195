"""`audit`: misconfigurations, found in files or in a cluster before traffic shows them. Writes nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer

from evenload import clock
from evenload.api.values import moment
from evenload.audit.finding import ORDER, Finding, Severity
from evenload.audit.run import audit as run_audit
from evenload.audit.versions import Versions
from evenload.audit.world import GROUPS, WORKLOADS, Object, Scope, World, objects_of
from evenload.cli.cluster import Access, Cluster, connect
from evenload.cli.exits import ExitCode
from evenload.cli.manifests import Located, located_in
from evenload.cli.options import Everywhere
from evenload.cli.printing import console, note, styled
from evenload.cli.sarif import sarif
from evenload.cli.text import plain
from evenload.cli.versions import note_age
from evenload.cli.versions import read as read_versions
from evenload.errors import InputError, InvalidName, NotFound, Refused
from evenload.kube import resources
from evenload.kube.resources import Manifest, Resource

AUDITED: Final[tuple[Resource, ...]] = (
    resources.HTTPROUTES,
    resources.GRPCROUTES,
    resources.GATEWAYS,
    resources.REFERENCEGRANTS,
    resources.X_BACKEND_POLICIES,
    resources.SERVICES,
    resources.ENDPOINTSLICES,
    resources.PODS,
    resources.DEPLOYMENTS,
    resources.STATEFULSETS,
    resources.DAEMONSETS,
    resources.ARGO_ROLLOUTS,
    resources.HPAS,
    resources.PDBS,
    resources.TRAEFIKSERVICES,
    resources.INGRESSROUTES,
    resources.VIRTUALSERVICES,
    resources.DESTINATIONRULES,
    resources.ENVOY_BACKEND_POLICIES,
    resources.INGRESSES,
)
NOT_IN_FILES: Final = frozenset({"Pod", "EndpointSlice"})  # nobody writes them down
_ENDINGS: Final = frozenset({".yaml", ".yml", ".json"})
_COLOURS: Final = {Severity.error: "red", Severity.warning: "yellow", Severity.info: "dim"}


class AuditOutput(StrEnum):
    text = "text"
    json = "json"
    sarif = "sarif"


class FailOn(StrEnum):
    error = "error"
    warning = "warning"
    info = "info"
    never = "never"


class Unseen(NamedTuple):
    """A kind that was not read. `refused`: it may be there, and this person may not list it."""

    kind: str
    why: str
    refused: bool


class Audited(NamedTuple):
    """What was looked at, and what was found. `places`: where an object stands in a file, by its number."""

    objects: list[Object]
    findings: list[Finding]
    places: dict[int, Located]
    unseen: list[Unseen]


def audit(
    access: Access,
    files: Annotated[
        list[Path] | None,
        typer.Option("-f", "--file", help='File or folder with manifests; "-" is stdin. Needs no cluster.'),
    ] = None,
    everywhere: Everywhere = False,
    complete: Annotated[
        bool,
        typer.Option("--complete", help="The files hold everything: what they name and do not hold is missing."),
    ] = False,
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="The mildest finding that makes the exit code 1.")
    ] = FailOn.error,
    show_suppressed: Annotated[
        bool, typer.Option("--show-suppressed", help="Show suppressed findings, too, with their reasons.")
    ] = False,
    versions: Annotated[
        Path | None,
        typer.Option("--versions", help="A newer table of balancers' versions and advisories (YAML or JSON)."),
    ] = None,
    output: Annotated[AuditOutput, typer.Option("-o", "--output", help="Output format.")] = AuditOutput.text,
) -> ExitCode:
    """Find misconfigurations that load servers unevenly, in files or in the cluster; only reads.

    Without -f it looks at one namespace, with -A at all of them. Exit code 1: a finding as bad as --fail-on, or worse;
    3: none, but a kind may not be listed. An object suppresses a finding by its annotation evenload.dev/audit-ignore:
    "rule: reason; rule: reason".
    """
    if files and everywhere:
        raise InputError("-f and -A exclude each other: files are audited, or the cluster")
    if complete and not files:
        raise InputError("--complete goes with -f")
    table = read_versions(versions)
    found = (
        in_files(files, access.namespace or "default", complete, table)
        if files
        else in_cluster(access, everywhere, table)
    )
    if any(each.kind in WORKLOADS for each in found.objects):
        note_age(table, today())
    shown = [each for each in found.findings if show_suppressed or each.suppressed is None]
    match output:
        case AuditOutput.json:
            print(json.dumps(_document(found, shown), indent=2))
        case AuditOutput.sarif:
            print(json.dumps(sarif(shown, found.places), indent=2))
        case AuditOutput.text:
            _print(found, shown)
    return _verdict(found, fail_on)


def in_files(files: Iterable[Path], namespace: str, complete: bool, versions: Versions) -> Audited:
    """Raises InputError naming the file and the line."""
    documents = [each for file in files for path in files_of(file) for each in located_in(path)]
    scope = Scope(kinds=frozenset(GROUPS) - NOT_IN_FILES) if complete else Scope()
    objects = list(objects_of((each.manifest for each in documents), namespace))
    if not objects:
        note(f"none of {len(documents)} documents is of a kind that is audited")
    world = World(objects, scope, today(), versions)
    return Audited(objects, run_audit(world), dict(enumerate(documents)), [])


def files_of(file: Path) -> list[Path]:
    """The file itself, or those of a folder, hidden ones left out."""
    if not file.is_dir():
        return [file]
    found = [
        path
        for path in sorted(file.rglob("*"))
        if path.suffix in _ENDINGS
        and path.is_file()
        and not any(p.startswith(".") for p in path.relative_to(file).parts)
    ]
    if not found:
        raise InputError(f"{file}: holds no file that ends in {', '.join(sorted(_ENDINGS))}")
    return found


def in_cluster(access: Access, everywhere: bool, versions: Versions) -> Audited:
    """Raises KubeError where the API server does not answer."""
    cluster = connect(access)
    manifests, unseen = everything_in(cluster, everywhere=everywhere)
    _tell_unseen(cluster, unseen)
    scope = Scope(kinds=seen_kinds(unseen), namespaces=None if everywhere else frozenset({cluster.namespace}))
    objects = list(objects_of(manifests))
    return Audited(objects, run_audit(World(objects, scope, today(), versions)), {}, unseen)


def everything_in(cluster: Cluster, *, everywhere: bool) -> tuple[list[Manifest], list[Unseen]]:
    """All objects of the kinds that are audited, and the kinds that are not served or may not be listed."""
    manifests: list[Manifest] = []
    unseen: list[Unseen] = []
    for resource in AUDITED:
        try:
            manifests += map(_slim, cluster.stream(resource, everywhere=everywhere))
        except (NotFound, Refused) as error:
            if isinstance(error, InvalidName) or error.status not in (403, 404):
                raise
            unseen.append(Unseen(resource.kind, str(error), refused=error.status == 403))
    return manifests, unseen


def seen_kinds(unseen: Iterable[Unseen]) -> frozenset[str]:
    """Those of which all objects are known."""
    return frozenset(GROUPS) - {each.kind for each in unseen}


def today() -> str:
    """In UTC: "2026-11-28"."""
    return moment(clock.now()).date().isoformat()


def _slim(manifest: Manifest) -> Manifest:
    """Without what no rule reads and there may be much of: in pods, who wrote which field."""
    if manifest["kind"] == "Pod" and isinstance(metadata := manifest.get("metadata"), dict):
        metadata.pop("managedFields", None)
        metadata.pop("annotations", None)
    return manifest


def _tell_unseen(cluster: Cluster, unseen: list[Unseen]) -> None:
    absent = [each.kind for each in unseen if not each.refused]
    if absent:
        note(f"not served by {cluster.server}, so not audited: {', '.join(absent)}")
    for each in unseen:
        if each.refused:
            note(f"{each.kind}: not audited, nor what needs it: {each.why}")


def _verdict(found: Audited, fail_on: FailOn) -> ExitCode:
    if fail_on is FailOn.never:
        return ExitCode.Fine
    worst = ORDER[Severity(fail_on.value)]
    if any(ORDER[each.severity] <= worst for each in found.findings if each.suppressed is None):
        return ExitCode.Findings
    return ExitCode.CouldNotTell if any(each.refused for each in found.unseen) else ExitCode.Fine


def _print(found: Audited, shown: list[Finding]) -> None:
    target = console()
    for (kind, namespace, name), group in groupby(shown, key=lambda each: (each.kind, each.namespace, each.name)):
        findings = list(group)
        where = _where(findings[0], found.places)
        target.print(plain(f"{kind} {namespace}/{name}{f' ({where})' if where else ''}"), soft_wrap=True)
        for each in findings:
            line = styled(f"  {each.severity.value:<8} ")
            line.stylize(_COLOURS[each.severity])
            target.print(line.append(plain(f"{each.rule}: {each.path}: {each.what}"), style="default"), soft_wrap=True)
            after = f"fix: {each.fix}" if each.suppressed is None else f"suppressed: {each.suppressed}"
            target.print(plain(f"           {after}"), soft_wrap=True)
    target.print(_summary(found), soft_wrap=True)


def _where(finding: Finding, places: dict[int, Located]) -> str:
    place = places.get(finding.place)
    return f"{place.file}:{place.line(())}" if place else ""


def _summary(found: Audited) -> str:
    """ "2 errors, 1 warning, 0 infos in 14 objects; 1 suppressed"."""
    counts = Counter(each.severity for each in found.findings if each.suppressed is None)
    parts = [f"{counts[each]} {each.value}{'' if counts[each] == 1 else 's'}" for each in Severity]
    suppressed = sum(each.suppressed is not None for each in found.findings)
    return f"{', '.join(parts)} in {len(found.objects)} objects; {suppressed} suppressed"


def _document(found: Audited, shown: list[Finding]) -> dict[str, Any]:
    counts = Counter(each.severity for each in found.findings if each.suppressed is None)
    return {
        "findings": [_machine(each, found.places) for each in shown],
        "summary": {
            "objects": len(found.objects),
            **{each.value: counts[each] for each in Severity},
            "suppressed": sum(each.suppressed is not None for each in found.findings),
        },
        "notAudited": [{"kind": each.kind, "reason": each.why} for each in found.unseen],
    }


def _machine(each: Finding, places: dict[int, Located]) -> dict[str, Any]:
    place = places.get(each.place)
    return {
        "rule": each.rule,
        "severity": each.severity.value,
        "kind": each.kind,
        "namespace": each.namespace,
        "name": each.name,
        "path": each.path,
        "message": each.what,
        "fix": each.fix,
        "suppressed": each.suppressed,
        "file": str(place.file) if place else None,
        "line": place.line(each.keys) if place else None,
    }
