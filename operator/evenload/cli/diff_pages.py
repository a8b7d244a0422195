"""How `diff` says what it found: to a person at a terminal, to a program, and as a comment on a pull request."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from evenload.audit.finding import Severity
from evenload.cli.exits import ExitCode
from evenload.cli.printing import console, styled, table
from evenload.cli.text import plain
from evenload.foresight import Answer, Concern, ObjectDiff, Outlook, Report, Row, State
from evenload.model.wording import listing, percent

MARKER: Final = "<!-- evenload diff -->"
"""The first line of the comment, by which a pipeline finds the one that it wrote before."""
_COLOURS: Final = {Severity.error: "red", Severity.warning: "yellow", Severity.info: "dim"}
_INDENT: Final = "    "
_SPECIAL: Final = str.maketrans({each: f"\\{each}" for each in "\\`*_[]<>|#~"})


def print_text(report: Report, code: ExitCode, fail_on: str) -> None:
    """Objects as the files have them; at the end the verdict."""
    target = console()

    def put(line: str) -> None:
        target.print(plain(line), soft_wrap=True)

    for each in _telling(report):
        put(f"{each.name} ({each.file}:{each.line}): {_state(each)}")
        for sentence in _said(each):
            put(f"  {sentence}")
        for outlook in each.outlooks:
            put(f"  {_title(outlook)}")
            if not outlook.moves:
                continue
            for line in table(*_cells(outlook), max(40, target.width - len(_INDENT))):
                target.print(styled(_INDENT).append_text(line), soft_wrap=True)
            for sentence in _sentences(outlook):
                put(f"{_INDENT}{sentence}")
        for concern in each.concerns:
            _print_concern(concern)
    if report.elsewhere:
        put("In objects that are not in the files, because of the change:")
    for concern in report.elsewhere:
        _print_concern(concern, about=f"{concern.object}: ")
    for sentence in _besides(report):
        put(sentence)
    put(verdict(report, code, fail_on))


def _print_concern(concern: Concern, about: str = "") -> None:
    line = styled(f"  {concern.severity.value:<8} ")
    line.stylize(_COLOURS[concern.severity])
    where = f"{concern.path}: " if concern.path else ""
    console().print(
        line.append(plain(f"{concern.rule}: {about}{where}{concern.what}"), style="default"), soft_wrap=True
    )
    if concern.fix:
        console().print(plain(f"           fix: {concern.fix}"), soft_wrap=True)


def print_markdown(report: Report, code: ExitCode, fail_on: str) -> None:
    """A comment for a pull request: the verdict first, and each object."""
    for line in _markdown(report, code, fail_on):
        print(line)


def _markdown(report: Report, code: ExitCode, fail_on: str) -> Iterator[str]:
    yield from (MARKER, f"### evenload diff: {_text(verdict(report, code, fail_on))}", "")
    for each in _telling(report):
        yield from (f"#### {_text(each.name)} ({_text(each.file)}:{each.line}): {_text(_state(each))}", "")
        yield from (f"{_text(sentence)}  " for sentence in _said(each))
        for outlook in each.outlooks:
            yield from ("", f"{_text(_title(outlook))}")
            if outlook.moves:
                titles, rows = _cells(outlook)
                yield from ("", _row([title.lower() for title in titles]), _row(["---"] * len(titles)))
                yield from (*map(_row, rows), "", *(f"{_text(sentence)}  " for sentence in _sentences(outlook)))
        yield from ("", *(_item(concern) for concern in each.concerns), "")
    yield from (_item(concern, about=f"{concern.object}: ") for concern in report.elsewhere)
    yield from ("", *(f"{_text(sentence)}  " for sentence in _besides(report)))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(_text(cell) if cell != '---' else cell for cell in cells)} |"


def _item(concern: Concern, about: str = "") -> str:
    where = f"{concern.path}: " if concern.path else ""
    fix = f" *Fix:* {_text(concern.fix)}" if concern.fix else ""
    return f"- **{concern.severity.value}** {_text(f'{concern.rule}: {about}{where}{concern.what}')}{fix}"


def _text(text: str) -> str:
    """As Markdown that shows it and does nothing else."""
    return plain(text).translate(_SPECIAL)


def print_json(report: Report, code: ExitCode) -> None:
    """Everything, numbers as they are; null where one is not known."""
    print(json.dumps(document(report, code), indent=2))


def document(report: Report, code: ExitCode) -> dict[str, Any]:
    """For machines."""
    return {
        "exitCode": int(code),
        "objects": [_object(each) for each in report.objects],
        "elsewhere": [_concern(each) for each in report.elsewhere],
        "summary": {
            **{state.value: sum(each.state is state for each in report.objects) for state in State},
            **{severity.value: _counts(report)[severity] for severity in Severity},
            "known": report.known,
        },
        "ignored": dict(report.ignored),
        "notAudited": [{"kind": kind, "reason": why} for kind, why in report.refused.items()],
    }


def _object(each: ObjectDiff) -> dict[str, Any]:
    return {
        "object": each.name,
        "file": each.file,
        "line": each.line,
        "state": each.state.value,
        "dryRun": {
            "answer": each.answer.value,
            "fieldManager": each.manager,
            "reason": each.detail or None,
            "warnings": list(each.warnings),
        },
        "outlooks": [_outlook(outlook) for outlook in each.outlooks],
        "changes": list(each.places),
        "notes": list(each.notes),
        "findings": [_concern(concern) for concern in each.concerns],
    }


def _outlook(outlook: Outlook) -> dict[str, Any]:
    return {
        "balancer": outlook.balancer or None,
        "rule": outlook.rule or None,
        "backends": [_backend(row) for row in outlook.rows],
        "failing": {"now": outlook.failing, "predicted": outlook.failing_after},
        "missing": list(outlook.missing),
    }


def _backend(row: Row) -> dict[str, Any]:
    return {
        "name": row.backend,
        "exists": row.standing.exists,
        "readyEndpoints": row.standing.ready,
        "weight": {"before": row.weight_before, "after": row.weight_after},
        "share": {"before": row.share_before, "after": row.share_after, "shouldBe": row.due},
        "trafficNow": row.traffic,
        "cpu": {"now": row.use, "predicted": row.use_after, "fromOtherBackends": row.guessed},
    }


def _concern(each: Concern) -> dict[str, Any]:
    return {
        "severity": each.severity.value,
        "rule": each.rule,
        "object": each.object,
        "path": each.path or None,
        "message": each.what,
        "fix": each.fix or None,
    }


# The same words for people everywhere.


def verdict(report: Report, code: ExitCode, fail_on: str) -> str:
    """ "Do not apply this: 2 errors, 1 warning, 0 infos ..."."""
    counts = _counts(report)
    found = ", ".join(f"{counts[each]} {each.value}{'' if counts[each] == 1 else 's'}" for each in Severity)
    match code:
        case ExitCode.Findings:
            return f"Do not apply this: {found}."
        case ExitCode.CouldNotTell:
            return f"Could not tell: {found}, but not all could be looked at."
        case _ if all(each.state is State.unchanged for each in report.objects):
            return "No change." if not report.concerns else f"No change; {found}."
        case _:
            return f"Nothing here to stop it (--fail-on {fail_on}): {found}."


def _counts(report: Report) -> Counter[Severity]:
    return Counter(each.severity for each in report.concerns)


def _telling(report: Report) -> list[ObjectDiff]:
    """Those of which there is more to say than that they stay as they are."""
    return [each for each in report.objects if each.state is not State.unchanged or each.concerns or [*_said(each)]]


def _besides(report: Report) -> Iterator[str]:
    shown = _telling(report)
    if same := [each.name for each in report.objects if each not in shown]:
        yield f"no change: {listing(same, most=6)}"
    yield from (f"not audited: {kind}: {why}" for kind, why in report.refused.items())
    if report.ignored:
        kinds = listing([f"{count} {kind}" for kind, count in sorted(report.ignored.items())], most=6)
        yield f"not looked at, no balancer and nothing the audit reads: {kinds}"
    if report.known:
        yield f"audit findings that are there without the change, too: {report.known} (evenload audit shows them)"


def _state(each: ObjectDiff) -> str:
    return {State.new: "new", State.changed: "changed", State.unchanged: "no change"}[each.state]


def _title(outlook: Outlook) -> str:
    rule = f" (rule {outlook.rule})" if outlook.rule else ""
    whose = f"Balancer {outlook.balancer}{rule}" if outlook.balancer else f"Shares{rule}"
    return whose if outlook.moves else f"{whose}: no share changes"


_TITLES: Final = ("BACKEND", "WEIGHT", "SHARE", "SHOULD BE", "READY", "TRAFFIC NOW", "CPU")


def _cells(outlook: Outlook) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Titles and rows, without columns that nothing stands in."""
    new = all(row.weight_before is None for row in outlook.rows)
    rows = [_of_row(row, new=new) for row in outlook.rows]
    kept = [at for at in range(len(_TITLES)) if at == 0 or any(row[at] for row in rows)]
    return [_TITLES[at] for at in kept], [[row[at] for at in kept] for row in rows]


def _of_row(row: Row, *, new: bool) -> tuple[str, ...]:
    about = "~" if row.guessed and row.use_after is not None else ""
    weights, shares = (
        (_whole(row.weight_before), _whole(row.weight_after)),
        (_part(row.share_before), _part(row.share_after)),
    )
    return (
        row.backend,
        weights[1] if new else _step(*weights),
        shares[1] if new else _step(*shares),
        _part(row.due),
        _ready(row),
        _part(row.traffic),
        _step(_part(row.use) or "?", about + _part(row.use_after)) if row.use_after is not None else _part(row.use),
    )


def _ready(row: Row) -> str:
    if row.standing.exists is False:
        return "no Service"
    return "" if row.standing.ready is None else str(row.standing.ready)


def _step(before: str, after: str) -> str:
    """ "250 -> 10", or the one that there is."""
    if before == after:
        return before
    return f"{before or 'none'} -> {after or 'none'}"


def _whole(number: int | None) -> str:
    return "" if number is None else str(number)


def _part(number: float | None) -> str:
    return "" if number is None else percent(number)


def _sentences(outlook: Outlook) -> Iterator[str]:
    if outlook.failing_after is not None:
        now = f"{percent(outlook.failing)} now, " if outlook.failing is not None else ""
        then = percent(outlook.failing_after)
        yield f"requests that fail: {now}{then} predicted, if traffic follows the weights as it does now"
    if any(row.guessed and row.use_after is not None for row in outlook.rows):
        yield "~ at what a request costs the other backends: its own traffic is too little to tell"
    for why in outlook.missing:
        yield f"{'not all is' if outlook.predicted else 'CPU and errors are not'} predicted: {why}"


def _said(each: ObjectDiff) -> Iterator[str]:
    """What the API server answered, and what else is to be known."""
    match each.answer:
        case Answer.unasked:
            yield f"API server: not asked, so defaults and admission are unknown: {each.detail}"
        case Answer.accepted if each.state is not State.unchanged:
            yield f'API server: would take it (dry run as field manager "{each.manager}")'
        case _:
            pass
    yield from (f"API server warns: {warning}" for warning in each.warnings)
    if each.places:
        yield f"also changes: {listing(each.places, most=20)}"
    yield from each.notes
