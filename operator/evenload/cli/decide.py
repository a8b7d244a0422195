"""What a person decides: approve, deny, pause, resume, undo. Each says what it did and what will happen next.

The approval carries the name the API server knows the person by; the object's resourceVersion is a precondition, so
that two people cannot overrule each other without noticing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer

from evenload import clock
from evenload.act.episode import undoing
from evenload.api.v1alpha1 import (
    API_VERSION,
    PAUSED_ANNOTATION,
    UNDO_ANNOTATION,
    Approval,
    Balancer,
    RecordedDiagnosis,
    Remediation,
    RemediationSpec,
    StepRecord,
    Trigger,
)
from evenload.api.values import moment
from evenload.cli.cluster import Cluster
from evenload.cli.commands import evenload
from evenload.cli.completing import balancer_names, remediation_names
from evenload.cli.exits import ExitCode
from evenload.cli.objects import Item, balancers, is_open, remediations
from evenload.cli.options import Everywhere
from evenload.cli.printing import note as tell
from evenload.cli.printing import say
from evenload.cli.proposal import listed, proposed
from evenload.errors import InputError, NotFound
from evenload.kube.resources import BALANCERS, REMEDIATIONS
from evenload.model.episode import ApprovalDecision, StepState, Undoing
from evenload.model.spec import Mode

RemediationName = Annotated[
    str, typer.Argument(help="Name of the Remediation (see: evenload history).", autocompletion=remediation_names)
]
Note = Annotated[str | None, typer.Option("--note", "-m", help="Why; it is stored and shown in the report.")]
BalancerNames = Annotated[
    list[str] | None, typer.Argument(metavar="BALANCER", help="Names of Balancers.", autocompletion=balancer_names)
]
All = Annotated[bool, typer.Option("--all", help="All Balancers of the namespace (with -A: of all namespaces).")]


def approve(cluster: Cluster, remediation: RemediationName, note: Note = None) -> ExitCode:
    """Show what a Remediation wants to write, and allow it and what follows in the same incident."""
    item = _decide(cluster, remediation, ApprovalDecision.Approved, note)
    say("Next: Evenload does it within seconds, if its guard rails still allow it.")
    say(f"To stop it: {evenload('pause', item.object.spec.balancer_ref.name, namespace=item.namespace)}")
    say(f"Watch it: {_watching(item)}")
    return ExitCode.Fine


def deny(cluster: Cluster, remediation: RemediationName, note: Note = None) -> ExitCode:
    """Forbid it; nothing is written for this incident."""
    item = _decide(cluster, remediation, ApprovalDecision.Denied, note)
    say("Next: Evenload writes nothing for this incident and closes the Remediation as Denied.")
    if _effective(item.object):
        say(f"Its earlier changes stay; to take them back: {evenload('undo', item.name, namespace=item.namespace)}")
    return ExitCode.Fine


def _decide(cluster: Cluster, name: str, decision: ApprovalDecision, reason: str | None) -> Item[Remediation]:
    """Raises InputError where there is nothing to decide any more, Conflict where somebody else just did."""
    [item] = remediations(cluster, [name])
    _refuse_when_final(item)
    who = cluster.user()
    for line in _asked(item):
        say(line)
    approval = {"decision": decision.value, "by": who} | ({"note": reason} if reason else {})
    body = {"metadata": {"resourceVersion": item.version}, "spec": {"approval": approval}}
    cluster.merge(REMEDIATIONS, name, body)
    say(f"{decision} {item.namespace}/{name} as {who}.")
    if not item.object.spec.approval.required:
        tell("(It did not ask for approval: its Balancer's mode is not Approve.)")
    return item


def _asked(item: Item[Remediation]) -> Iterator[str]:
    """What the decision is about: said before it is made."""
    diagnosis = item.object.spec.diagnosis
    yield f"{item.namespace}/{item.name}: {diagnosis.label}: {diagnosis.sentence}".rstrip(": ")
    lines = list(proposed(item))
    yield "It wants to:" if lines else "It wants to write nothing right now; the decision is about what it wants later."
    yield from (f"  {line}" for line in lines)
    yield "The decision is about this incident as a whole: the steps that follow are not asked for one by one."


def _refuse_when_final(item: Item[Remediation]) -> None:
    approval, balancer = item.object.spec.approval, item.object.spec.balancer_ref.name
    if approval.decision is not None:
        raise InputError(
            f"{item.name} was {approval.decision.lower()} by {approval.by} already, and that is final. "
            f"To stop what it does: {evenload('pause', balancer, namespace=item.namespace)}; "
            f"to take it back: {evenload('undo', item.name, namespace=item.namespace)}"
        )
    _refuse_when_closed(item, "there is nothing to decide")


def _refuse_when_closed(item: Item[Remediation], consequence: str) -> None:
    if not is_open(item.object):
        raise InputError(f"{item.name} is closed ({item.object.status.phase}): {consequence}. {_hint(item)}")


def _hint(item: Item[Remediation]) -> str:
    before = next((step.before for step in item.object.status.steps if step.before), None)
    weights = f" Its first weights were {listed(before)}." if before else ""
    return f"See: {evenload('report', item.name, namespace=item.namespace)}.{weights}"


def undo(cluster: Cluster, remediation: RemediationName) -> ExitCode:
    """Ask Evenload to take back every weight change of a Remediation, open or closed."""
    [item] = remediations(cluster, [remediation])
    if not is_open(item.object):
        return _undo_closed(cluster, item)
    who = cluster.user()
    annotation = {"metadata": {"resourceVersion": item.version, "annotations": {UNDO_ANNOTATION: who}}}
    cluster.merge(REMEDIATIONS, remediation, annotation)
    say(f"Asked, as {who}, for the changes of {item.namespace}/{remediation} to be undone.")
    steps = _effective(item.object)
    if not steps:
        say("Next: nothing, as no weight change of it stands.")
    for step in steps:
        say(f"Next: {step.name} ({step.purpose or step.action}) is taken back, to {listed(step.before or {})}")
    say("A pod that was restarted stays restarted.")
    return ExitCode.Fine


def _undo_closed(cluster: Cluster, item: Item[Remediation]) -> ExitCode:
    """A Remediation of its own, signed like an approval: the closed one is a record, and stays as it is."""
    wish = undoing(item.object)
    if wish.refusal:
        raise InputError(f"{item.name} cannot be undone: {wish.refusal}. {_hint(item)}")
    _refuse_when_unable(cluster, item, wish)
    who = cluster.user()
    made = cluster.add(REMEDIATIONS, _wish(item, who), item.namespace)["metadata"]["name"]
    say(f"Asked, as {who}, for the changes of {item.namespace}/{item.name} to be undone: Remediation {made}.")
    say(f"Next: if the weights still are as it left them ({listed(wish.left)}),")
    say(f"      they go back to what it found: {listed(wish.found)}")
    say("A pod that was restarted stays restarted.")
    say(f"Watch it: {_watching(item)}")
    return ExitCode.Fine


def _refuse_when_unable(cluster: Cluster, item: Item[Remediation], wish: Undoing) -> None:
    """What the operator would have to refuse, or could not begin with, is said at once."""
    reference = item.object.spec.balancer_ref
    by_hand = f"put the weights back on the route yourself: {listed(wish.found)}"
    try:
        [balancer] = balancers(cluster, [reference.name])
    except NotFound:
        raise InputError(f"Balancer {reference.name} is gone: {by_hand}") from None
    if reference.uid and balancer.object.metadata.uid != reference.uid:
        raise InputError(f"Balancer {reference.name} is another one than then: {by_hand}")
    if balancer.object.status.mode is Mode.Observe:
        raise InputError(f"Balancer {reference.name} only observes (mode Observe): {by_hand}")
    if current := balancer.object.status.active_remediation:
        raise InputError(
            f"Remediation {current} is under way for Balancer {reference.name}: "
            f"wait for its end, or take that one back first: {evenload('undo', current, namespace=item.namespace)}"
        )


def _wish(item: Item[Remediation], who: str) -> dict[str, object]:
    undone = item.object.spec
    spec = RemediationSpec(
        balancer_ref=undone.balancer_ref,
        trigger=Trigger.Undo,
        undoes=item.name,
        diagnosis=RecordedDiagnosis(
            label=undone.diagnosis.label,
            cause=undone.diagnosis.cause,
            sentence=f"{who} asked for {item.name} to be undone",
        ),
        approval=Approval(required=True, decision=ApprovalDecision.Approved, by=who),
    )
    metadata = {"generateName": f"{undone.balancer_ref.name[:200]}-undo-", "labels": item.object.metadata.labels}
    return {
        "apiVersion": API_VERSION,
        "kind": REMEDIATIONS.kind,
        "metadata": metadata,
        "spec": msgspec.to_builtins(spec),
    }


def _effective(remediation: Remediation) -> list[StepRecord]:
    """Weight changes that stand, newest first: the order in which they are taken back."""
    standing = (StepState.Applied, StepState.Verified, StepState.Ineffective)
    return [step for step in reversed(remediation.status.steps) if step.before and step.state in standing]


def pause(cluster: Cluster, names: BalancerNames = None, all_: All = False, everywhere: Everywhere = False) -> ExitCode:
    """Stop all writes of Evenload at once; it goes on looking."""
    chosen = _chosen(cluster, names, all_=all_, everywhere=everywhere)
    who = f"{cluster.user()} at {moment(clock.now()):%Y-%m-%dT%H:%M:%SZ}" if chosen else ""
    for item in chosen:
        _annotate(cluster, item, who)
        say(f"Paused {item.namespace}/{item.name}. Evenload writes nothing to its route or pods until it is resumed.")
    if chosen:
        say(f"Go on with: {_resuming(cluster, names, all_=all_, everywhere=everywhere)}")
    return ExitCode.Fine


def resume(
    cluster: Cluster, names: BalancerNames = None, all_: All = False, everywhere: Everywhere = False
) -> ExitCode:
    """Let paused Balancers go on."""
    for item in _chosen(cluster, names, all_=all_, everywhere=everywhere):
        if PAUSED_ANNOTATION not in item.object.metadata.annotations:
            say(f"{item.namespace}/{item.name} was not paused.{_suspended(item.object)}")
            continue
        _annotate(cluster, item, None)
        say(f"Resumed {item.namespace}/{item.name}. {_after_resume(item.object)}{_suspended(item.object)}")
    return ExitCode.Fine


def _chosen(cluster: Cluster, names: list[str] | None, *, all_: bool, everywhere: bool) -> list[Item[Balancer]]:
    if bool(names) == all_:
        raise InputError("give the names of Balancers, or --all")
    if everywhere and not all_:
        raise InputError("-A goes with --all: a name belongs to one namespace (-n)")
    found = balancers(cluster, names or (), everywhere=everywhere)
    if not found:
        tell(f"No Balancers found in namespace {cluster.namespace}.")
    return found


def _annotate(cluster: Cluster, item: Item[Balancer], value: str | None) -> None:
    """None removes it: that is how a merge patch says so."""
    body = {"metadata": {"annotations": {PAUSED_ANNOTATION: value}}}
    cluster.merge(BALANCERS, item.name, body, item.namespace)


def _after_resume(balancer: Balancer) -> str:
    mode = (balancer.status.mode or balancer.spec.mode).value
    return {
        "Observe": "It only observes (mode Observe): nothing is written.",
        "Approve": "It asks before it writes (mode Approve).",
        "Auto": "It acts again by itself on its next tick (mode Auto).",
    }[mode]


def _suspended(balancer: Balancer) -> str:
    return " But spec.suspend is true, which stops it as well." if balancer.spec.suspend else ""


def _resuming(cluster: Cluster, names: list[str] | None, *, all_: bool, everywhere: bool) -> str:
    words = [*(names or []), *(["--all"] if all_ else []), *(["-A"] if everywhere else [])]
    return evenload("resume", *words, namespace=None if everywhere else cluster.namespace)


def _watching(item: Item[Remediation]) -> str:
    return evenload("status", item.object.spec.balancer_ref.name, "-w", namespace=item.namespace)
