"""`status`: how the Balancers are, once or live: on a terminal a table that renews itself, else a line a change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from evenload import clock
from evenload.api.v1alpha1 import Balancer, ConditionType, Remediation
from evenload.cli.attendance import REASON as OPERATOR_DOWN
from evenload.cli.attendance import as_attended
from evenload.cli.cluster import Cluster
from evenload.cli.commands import evenload
from evenload.cli.exits import ExitCode
from evenload.cli.get import Names, mode, reason
from evenload.cli.objects import Item, balancers, condition, is_open, read, status_of
from evenload.cli.options import Everywhere, Selector
from evenload.cli.printing import console, note, on_terminal, print_table, say, table
from evenload.cli.proposal import answer, held, proposed
from evenload.cli.text import local_time, other_clock, plain
from evenload.cli.watching import Watching
from evenload.cli.why import audited, coming, health, pause_of, step_line
from evenload.errors import KubeError, NotFound
from evenload.kube.resources import REMEDIATIONS
from evenload.model.episode import Phase

LATEST_STEPS = 5

Watch = Annotated[bool, typer.Option("-w", "--watch", help="Keep watching; Ctrl-C ends it.")]


class View(NamedTuple):
    """A Balancer and its open Remediation, as of one look."""

    balancer: Item[Balancer]
    remediation: Item[Remediation] | None


def status(
    cluster: Cluster,
    names: Names = None,
    watch: Watch = False,
    everywhere: Everywhere = False,
    selector: Selector = None,
) -> ExitCode:
    """Show how Balancers are and what is being done about it; -w keeps showing it."""

    def look(tell: Callable[[str], None] = lambda line: None) -> list[View]:
        return views(cluster, names or (), everywhere=everywhere, selector=selector, tell=tell)

    if watch:  # each look tells in the table and the details that nobody is looking
        return follow(look, Watching(cluster, everywhere=everywhere).wait)
    found = look(note)
    if not found:
        note(f"No Balancers found in namespace {cluster.namespace}; -A looks in all.")
    else:
        print_table(TITLES, [row(view) for view in found])
        for line in details(found):
            say(line)
    return worst(found)


def views(
    cluster: Cluster, names: Sequence[str], *, everywhere: bool, selector: str | None, tell: Callable[[str], None]
) -> list[View]:
    """One look at the cluster. Closed Remediations are not asked for: each may carry a large recording."""
    found = as_attended(cluster, balancers(cluster, names, everywhere=everywhere, selector=selector), tell)
    return [View(item, _open(cluster, item)) for item in found]


def _open(cluster: Cluster, item: Item[Balancer]) -> Item[Remediation] | None:
    name = item.object.status.active_remediation
    if name is None:
        return None
    try:
        remediation = read(cluster.get(REMEDIATIONS, name, item.namespace), Remediation)
    except NotFound:  # deleted, and the Balancer's status does not know yet
        return None
    return remediation if is_open(remediation.object) else None


def worst(found: Sequence[View]) -> ExitCode:
    """Findings win over not knowing, and that over fine."""
    codes = {health(view.balancer.object) for view in found}
    for code in (ExitCode.Findings, ExitCode.CouldNotTell):
        if code in codes:
            return code
    return ExitCode.Fine


TITLES = ("BALANCER", "BALANCED", "REASON", "WORST", "RPS", "ERRORS%", "PODS", "MODE", "DOING")


def row(view: View) -> list[str]:
    balancer = view.balancer.object
    summary = balancer.status.summary
    return [
        f"{view.balancer.namespace}/{view.balancer.name}",
        status_of(balancer, ConditionType.Balanced),
        reason(balancer),
        (summary and summary.worst_share_ratio) or "",
        (summary and summary.requests_per_second) or "",
        (summary and summary.error_percent) or "",
        (summary and summary.pods) or "",
        mode(balancer),
        doing(view),
    ]


def doing(view: View) -> str:
    """In three words what is under way."""
    if pause_of(view.balancer.object) is not None:
        return "paused"
    if view.remediation is None:
        return ""
    remediation = view.remediation.object
    if remediation.status.phase is Phase.AwaitingApproval and remediation.spec.approval.decision is not None:
        return remediation.spec.approval.decision  # the operator has not seen it yet
    steps = remediation.status.steps
    last = f", {steps[-1].name} {steps[-1].state}" if steps else ""
    return f"{remediation.status.phase or 'opening'}{last}"


def details(found: Sequence[View]) -> list[str]:
    """Below the table: for each Balancer that is not well, or will not be soon, what is thought and done."""
    lines = [line for view in found for line in _detail(view)]
    return [*lines, *(other_clock() if lines else ())]


def _detail(view: View) -> list[str]:
    diagnosis, remediation = view.balancer.object.status.diagnosis, view.remediation
    forecasts = view.balancer.object.status.forecasts
    findings = [*audited(view.balancer.object)]
    if remediation is None and health(view.balancer.object) is ExitCode.Fine and not forecasts and not findings:
        return []
    lines = ["", f"{view.balancer.namespace}/{view.balancer.name}"]
    ready = condition(view.balancer.object, ConditionType.Ready)
    if ready is not None and ready.reason == OPERATOR_DOWN:
        lines.append(f"  {ready.reason}: {ready.message}. All that follows is from before.")
    if diagnosis is not None and diagnosis.sentence:
        lines.append(f"  {diagnosis.label}: {diagnosis.sentence}")
    lines += [f"  {coming(forecast)}" for forecast in forecasts]
    lines += [f"  {line}" for line in findings]
    if remediation is not None:
        lines += [f"  {step_line(step)}" for step in remediation.object.status.steps[-LATEST_STEPS:]]
        lines += [f"  {line}" for line in answer(remediation.object)]
        lines += [f"  held back: {line}" for line in held(remediation.object)]
        lines += [f"    {line}" for line in proposed(remediation)]
    return [*lines, f"  more: {evenload('why', view.balancer.name, namespace=view.balancer.namespace)}"]


def follow(look: Callable[[], list[View]], wait: Callable[[], object]) -> ExitCode:
    """Look again and again until Ctrl-C. A cluster that does not answer for a while is said, and asked again.

    Raises NotFound and other errors of the very first look, so that a wrong name is not retried for ever.
    """
    found = look()
    show = _live if on_terminal() else _log
    try:
        show(found, look, wait)
    except KeyboardInterrupt:
        return ExitCode.Fine
    return ExitCode.Fine


def _live(found: list[View], look: Callable[[], list[View]], wait: Callable[[], object]) -> None:
    trouble = ""
    try:
        target = console()
        with Live(screen(found, target.width), console=target, auto_refresh=False, screen=True) as live:
            while True:
                wait()
                found, trouble = _again(found, look)
                live.update(screen(found, target.width, trouble), refresh=True)
    finally:  # the live screen vanishes: leave what was last seen
        console().print(screen(found, console().width, trouble))


def screen(found: Sequence[View], width: int, trouble: str = "") -> Group:
    """The live view: the table, the details, and since when it is true."""
    lines = [Text(plain(line)) for line in details(found)]
    foot = Text(f"\n{local_time_of(clock.now())}  (Ctrl-C ends -w)", style="dim")
    warning = [Text(plain(trouble), style="yellow")] if trouble else []
    return Group(*table(TITLES, [row(view) for view in found], width), *lines, *warning, foot)


def _log(found: list[View], look: Callable[[], list[View]], wait: Callable[[], object]) -> None:
    """A line for each change: it goes into files and pipes."""
    said: dict[str, str] = {}
    trouble = ""
    while True:
        for line in _news(found, said):
            print(f"{local_time_of(clock.now())} {plain(line)}", flush=True)
        wait()
        found, now_wrong = _again(found, look)
        if now_wrong and now_wrong != trouble:
            note(now_wrong)
        trouble = now_wrong


def _again(found: list[View], look: Callable[[], list[View]]) -> tuple[list[View], str]:
    try:
        return look(), ""
    except NotFound:
        raise
    except KubeError as error:
        return found, f"warning: showing what was true before: {error}"


def _news(found: Sequence[View], said: dict[str, str]) -> list[str]:
    """The lines that differ from what was last said of each Balancer."""
    lines = {f"{view.balancer.namespace}/{view.balancer.name}": log_line(view) for view in found}
    news = [f"{name} {line}" for name, line in lines.items() if said.get(name) != line]
    news += [f"{name} is gone" for name in said if name not in lines]
    said.clear()
    said.update(lines)
    return news


def log_line(view: View) -> str:
    """Without the numbers that move on every tick: those would make every look a change."""
    balancer = view.balancer.object
    diagnosis = balancer.status.diagnosis
    parts = [
        f"balanced={status_of(balancer, ConditionType.Balanced)}",
        f"reason={reason(balancer)}",
        f"ready={status_of(balancer, ConditionType.Ready)}",
    ]
    if does := doing(view):
        parts.append(f"doing={does!r}")
    if diagnosis is not None and health(balancer) is not ExitCode.Fine:
        parts.append(f"diagnosis={diagnosis.sentence!r}")
    parts += [f"forecast={coming(forecast)!r}" for forecast in balancer.status.forecasts]
    return " ".join(parts)


def local_time_of(seconds: float) -> str:
    from evenload.api.values import moment

    return local_time(moment(seconds))
