"""`diff`: what a changed balancer would do, before it is applied. Writes nothing: what it sends is a dry run.

Each object of the files is compared with the one in the cluster: the shares of its backends, what its Balancers make of
them, what the guard and the API server say, and what the audit finds that it does not find now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer

from evenload.audit.finding import ORDER, Finding, Severity
from evenload.audit.run import audit as run_audit
from evenload.audit.world import Object, Scope, World, objects_of
from evenload.cli.audit import FailOn, Unseen, everything_in, seen_kinds, today
from evenload.cli.cluster import Access, Cluster, connect
from evenload.cli.completing import balancer_names
from evenload.cli.diff_pages import print_json, print_markdown, print_text
from evenload.cli.exits import ExitCode
from evenload.cli.foreseeing import Balancers, Question, about, balancers_in, look
from evenload.cli.manifests import Located, spec_of
from evenload.cli.rehearsal import MANAGER, Change, Document, documents_of, place_of, rehearsed
from evenload.cli.signing import PrometheusAccess
from evenload.cli.versions import shipped
from evenload.drivers import DRIVERS
from evenload.drivers.base import Driver, Place, Problem, RouteProblem, readable
from evenload.errors import InputError
from evenload.foresight import (
    Answer,
    Concern,
    ObjectDiff,
    Outlook,
    Report,
    Sighting,
    Standing,
    State,
    foresee,
    guarded,
    new_findings,
    overloads,
    standing_of,
    unready,
)
from evenload.guard.verdict import WAYS_OUT, rules_of, verdict
from evenload.kube.resources import BALANCERS, Manifest
from evenload.model.guard import Rule
from evenload.model.policy import Policy, seconds
from evenload.model.shares import shares_problem
from evenload.model.spec import TargetRef

ABOUT_BACKENDS: Final = frozenset(
    {"route-backend-missing", "route-weight-on-empty-service", "traefik-service-missing", "istio-host-missing"}
)
"""Rules of the audit that say the same as `foresight.unready`."""


class DiffOutput(StrEnum):
    text = "text"
    json = "json"
    markdown = "markdown"


def diff(
    access: Access,
    source: PrometheusAccess,
    files: Annotated[
        list[Path],
        typer.Option("-f", "--file", help='File or folder with manifests; "-" is stdin. May be repeated.'),
    ],
    balancer: Annotated[
        str | None,
        typer.Option(
            "--balancer", help="Only with the eyes of this Balancer.", metavar="NAME", autocompletion=balancer_names
        ),
    ] = None,
    field_manager: Annotated[
        str | None,
        typer.Option(
            "--field-manager",
            help=f"Whose name to apply with; by default who applied the object last, else {MANAGER}.",
            metavar="NAME",
        ),
    ] = None,
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="The mildest finding that makes the exit code 1.")
    ] = FailOn.error,
    scrape: Annotated[str, typer.Option(help="The scrape interval of the pods.")] = "10s",
    output: Annotated[DiffOutput, typer.Option("-o", "--output", help="Output format.")] = DiffOutput.text,
) -> ExitCode:
    """Say what a changed balancer would do before it is applied; nothing is stored.

    Shares before and after, predicted CPU and errors from live signals, what the guard and the API server say, and what
    the audit finds that it does not find now. Exit code 1: a finding as bad as --fail-on, or worse; 3: none, but
    something that was asked for is not known.
    """
    report = compared(access, source, files, balancer, field_manager, seconds(scrape, "--scrape"))
    code = judged(report, fail_on)
    match output:
        case DiffOutput.json:
            print_json(report, code)
        case DiffOutput.markdown:
            print_markdown(report, code, fail_on.value)
        case DiffOutput.text:
            print_text(report, code, fail_on.value)
    return code


def judged(report: Report, fail_on: FailOn) -> ExitCode:
    """What a pipeline goes by."""
    if fail_on is FailOn.never:
        return ExitCode.Fine
    if any(ORDER[each.severity] <= ORDER[Severity(fail_on.value)] for each in report.concerns):
        return ExitCode.Findings
    return ExitCode.CouldNotTell if report.untold or report.refused else ExitCode.Fine


class Worlds(NamedTuple):
    """The namespaces of the files, before and after."""

    before: list[Finding]
    after: list[Finding]
    world: World  # after
    unseen: list[Unseen]


def _worlds(cluster: Cluster, changes: list[Change]) -> Worlds:
    namespaces = sorted({change.document.namespace for change in changes})
    manifests: list[Manifest] = []
    unseen: dict[str, Unseen] = {}
    for namespace in namespaces:
        found, missed = everything_in(cluster.within(namespace), everywhere=False)
        manifests += found
        unseen |= {each.kind: each for each in missed}
    scope = Scope(kinds=seen_kinds(unseen.values()), namespaces=frozenset(namespaces))
    before = list(objects_of(manifests))
    changed = list(objects_of(change.after for change in changes))
    ours = {_key(each) for each in changed}
    after = [each for each in before if _key(each) not in ours]
    after = [each._replace(place=place) for place, each in enumerate((*changed, *after))]
    was, world = (World(each, scope, today(), shipped()) for each in (before, after))
    return Worlds(run_audit(was), run_audit(world), world, list(unseen.values()))


def _key(each: Object) -> tuple[str, str, str]:
    return each.kind, each.namespace, each.name


def compared(
    access: Access,
    prometheus: PrometheusAccess,
    files: list[Path],
    balancer: str | None,
    manager: str | None,
    scrape_seconds: float,
) -> Report:
    """Raises InputError naming what is wrong with a file, KubeError where the cluster does not answer."""
    cluster = connect(access)
    documents, ignored = documents_of(files, cluster.namespace)
    for each in documents:
        if each.resource.kind == BALANCERS.kind:
            _checked(each)
    changes = [rehearsed(cluster, each, manager) for each in documents]
    worlds = _worlds(cluster, changes)
    balancers = {
        namespace: balancers_in(cluster, namespace, changes)
        for namespace in {each.document.namespace for each in changes if each.document.driver}
    }
    questions = list(_questions(changes, balancers, balancer))
    sightings = look(access, prometheus, scrape_seconds, questions)
    brought = new_findings(worlds.before, worlds.after)
    objects = []
    for change in changes:
        seen = [(q, s) for q, s in zip(questions, sightings, strict=True) if q.change is change]
        own = [each for each in brought if (each.kind, each.namespace, each.name) == change.document.key]
        objects.append(_object(change, seen, own, worlds.world, balancers.get(change.document.namespace)))
    ours = {change.document.key for change in changes}
    return Report(
        objects=tuple(objects),
        elsewhere=tuple(_of_audit(each) for each in brought if (each.kind, each.namespace, each.name) not in ours),
        known=sum(each.suppressed is None for each in worlds.after) - len(brought),
        ignored=dict(ignored),
        refused={each.kind: each.why for each in worlds.unseen if each.refused},
        untold=bool(prometheus.url) and any(_untold(each) for each in objects),
    )


def _untold(each: ObjectDiff) -> bool:
    """Whether a Balancer's numbers, which there should be, are not there."""
    return each.state is State.changed and any(o.balancer and o.moves and not o.predicted for o in each.outlooks)


def _checked(document: Document) -> None:
    try:
        Policy.of(spec_of(document.manifest))
    except InputError as error:
        raise InputError(f"{place_of(document.located, 'spec')}: {error}") from error


def _questions(changes: list[Change], balancers: Mapping[str, Balancers], only: str | None) -> Iterator[Question]:
    """Raises InputError where nothing is looked after by the Balancer that was named."""
    named = False
    for change in changes:
        if change.document.driver is None:
            continue
        for manifest, applied in balancers[change.document.namespace].all:
            if not about(manifest, change) or only not in (None, manifest["metadata"]["name"]):
                continue
            named = True
            if change.state is not State.unchanged:
                yield Question(change, manifest, applied)
    if only is not None and not named:
        raise InputError(f"--balancer {only}: no balancer in these files is looked after by a Balancer of that name")


def _object(
    change: Change,
    seen: list[tuple[Question, Sighting]],
    findings: list[Finding],
    world: World,
    balancers: Balancers | None,
) -> ObjectDiff:
    document, notes = change.document, []
    outlooks: list[Outlook] = []
    concerns = [*_refusal(change)]
    if document.driver is not None and change.state is not State.unchanged:
        unseen: list[tuple[Question | None, Sighting | None]] = [(None, None)]
        for question, sighting in seen or unseen:
            found, problem = _outlooks(change, document.driver, question, sighting, world)
            outlooks += found
            if question is not None:
                concerns += _of_balancer(change, question, found, problem, balancers)
            concerns += _of_backends(change, found, findings)
        if balancers and balancers.problem:
            notes.append(f"Balancers: {balancers.problem}")
        elif not seen:
            notes.append("no Balancer looks after it: shares and the audit alone")
    concerns += [_of_audit(each, document.located) for each in findings]
    said = [each.what for each in concerns]
    return ObjectDiff(
        name=document.name,
        file=str(document.located.file),
        line=document.located.line(()),
        state=change.state,
        answer=change.answer,
        manager=change.manager,
        detail=change.detail if change.answer is Answer.unasked else "",
        warnings=tuple(each for each in change.warnings if not any(what in each for what in said)),
        outlooks=tuple(outlooks),
        places=change.places,
        concerns=tuple(sorted(concerns, key=lambda each: ORDER[each.severity])),
        notes=tuple(notes),
    )


def _refusal(change: Change) -> Iterator[Concern]:
    if change.answer is Answer.refused:
        yield Concern(
            severity=Severity.error,
            rule="api-server",
            object=change.document.name,
            what=f"the API server would not take it: {change.detail.removeprefix('refused: ')}",
            fix="Correct what it names, and run this again.",
        )


def _outlooks(
    change: Change, driver: Driver, question: Question | None, sighting: Sighting | None, world: World
) -> tuple[list[Outlook], str]:
    """One; or one a rule, and why the weights cannot be read as one split."""
    kind, _, name = change.document.key
    target = question.target if question else TargetRef(kind=kind, name=name)
    whose = question.balancer["metadata"]["name"] if question else ""
    try:
        after = driver.backends(change.after, target)
    except RouteProblem as error:
        by_rule = [] if error.reason is Problem.Unreadable else _by_rule(change, driver, target, whose)
        return list(by_rule), str(error)
    before = readable(driver, change.before, target) if change.before is not None else None
    standings = _standings(world, {**(before.services if before else {}), **after.services})
    old = before.weights if before else _only_rule(change.before, driver, target)
    return [foresee(old, after.weights, standings, sighting, balancer=whose, rule=target.rule_name or "")], ""


def _by_rule(change: Change, driver: Driver, target: TargetRef, whose: str) -> Iterator[Outlook]:
    """Shares alone, rule by rule, as long as there are as many rules as before."""
    before, after = (_weights_by_rule(each, driver, target) for each in (change.before, change.after))
    if before and len(before) != len(after):
        return
    for number, weights in enumerate(after, 1):
        old = before[number - 1] if before else {}
        if old != weights:
            yield foresee(old, weights, {}, balancer=whose, rule=target.rule_name or str(number))


def _weights_by_rule(manifest: Manifest | None, driver: Driver, target: TargetRef) -> list[dict[str, int]]:
    if manifest is None or driver.split is None:
        return []
    return [_summed(rule) for rule in rules_of(manifest, driver.split, target.rule_name or "")]


def _only_rule(manifest: Manifest | None, driver: Driver, target: TargetRef) -> dict[str, int]:
    """Of an object that no Balancer could look after: all of its weights may be 0, say."""
    rules = _weights_by_rule(manifest, driver, target)
    return rules[0] if len(rules) == 1 else {}


def _summed(rule: Rule) -> dict[str, int]:
    """Of a Service that stands twice, both weights."""
    found: Counter[str] = Counter()
    for reference in rule:
        found[reference.backend] += reference.weight
    return dict(found)


def _standings(world: World, services: Mapping[str, Place]) -> dict[str, Standing]:
    return {name: standing_of(world, service) for name, service in services.items()}


def _of_balancer(
    change: Change, question: Question, outlooks: list[Outlook], problem: str, balancers: Balancers | None
) -> Iterator[Concern]:
    """What its guard says, what it could not do any more, and what would be too much."""
    name, who = change.document.name, f"Balancer {question.balancer['metadata']['name']}"
    if _shaped(change.after, question):
        yield from _of_guard(change, question, balancers)
    if problem:
        what = f"{who} could not look after it: {problem}"
        yield Concern(severity=Severity.warning, rule="balancer-unable", object=name, what=what)
        return
    for outlook in outlooks:
        backends = [row.backend for row in outlook.rows if row.weight_after is not None]
        if complaint := shares_problem(question.policy, backends, name):
            fix = "Change the Balancer with it: both in the same files."
            what = f"{who} would write nothing: {complaint}"
            yield Concern(severity=Severity.warning, rule="balancer-unable", object=name, what=what, fix=fix)
        for severity, what in overloads(outlook, question.policy):
            fix = "Give it less, move traffic in smaller steps, or add pods first."
            yield Concern(severity=severity, rule="overload", object=name, what=what, fix=fix)


def _shaped(manifest: Manifest, question: Question) -> bool:
    """Whether it has the shape that its API promises: what the API server did not look at may have any."""
    try:
        DRIVERS[question.target.kind].backends(manifest, question.target)
    except RouteProblem as error:
        return error.reason is not Problem.Unreadable
    return True


def _of_backends(change: Change, outlooks: list[Outlook], findings: list[Finding]) -> Iterator[Concern]:
    """Those without anybody to answer, where the audit does not say so."""
    covered = {word for each in findings if each.rule in ABOUT_BACKENDS for word in each.what.split()}
    for backend, what, fix in (found for outlook in outlooks for found in unready(outlook)):
        if not {backend, f"{change.document.namespace}/{backend}"} & covered:
            name = change.document.name
            yield Concern(severity=Severity.error, rule="backend-not-ready", object=name, what=what, fix=fix)


def _of_guard(change: Change, question: Question, balancers: Balancers | None) -> Iterator[Concern]:
    """By the Balancer that the API server has: a file's own one is not in force yet."""
    if change.before is None:
        return
    name = question.balancer["metadata"]["name"]
    judge = balancers.stored.get(name, question.balancer) if balancers else question.balancer
    said = verdict(change.before, change.after, judge)
    if change.answer is Answer.refused and said.refused and said.sentence in change.detail:
        return  # it said so itself
    accepted = {Answer.accepted: True, Answer.refused: False}.get(change.answer)
    for severity, what in guarded(said, accepted=accepted):
        yield Concern(severity=severity, rule="guard", object=change.document.name, what=what, fix=f"{WAYS_OUT}.")


def _of_audit(finding: Finding, located: Located | None = None) -> Concern:
    where = f" (line {located.line(finding.keys)})" if located else ""
    return Concern(
        severity=finding.severity,
        rule=finding.rule,
        object=f"{finding.kind} {finding.namespace}/{finding.name}",
        what=f"{finding.what}{where}",
        fix=finding.fix,
        path=finding.path,
    )
