"""The figures of the demo and whether they hold. Pure: records and facts go in, a JSON document comes out.

Time to mitigate and all counts are the customers' (lab/load); detection and resolution are the Remediation's times;
restarts and writes are what was seen in the API server. All seconds count from the fault: in the postmortem, from the
bad update.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lab.load.analysis import time_to_mitigate, totals, within
from lab.load.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """A pod that did not live to the end: when it was told to leave (or its container died), and of which server."""

    time: float
    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is known of one arm afterwards. Times in Unix seconds, None where it did not happen."""

    records: Sequence[Record]
    onset: float
    detected: float | None = None
    resolved: float | None = None
    remediation: str | None = None
    phase: str | None = None
    """Name and, at the end, phase of the Remediation."""
    restarted: Sequence[Restart] = ()
    weight_writes: int = 0
    """Changes of the route after the bad update."""
    most_leaving: int = 0
    """Of pods at one moment."""
    cause: str | None = None
    sentence: str = ""
    """What the Remediation was opened for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One arm. Counts are of the comparison period, but for the failures after mitigation and by the restart."""

    time_to_detect_seconds: float | None
    time_to_mitigate_seconds: float | None
    time_to_resolve_seconds: float | None
    requests: int
    failed: int
    failed_share: float | None
    restarts: int
    weight_writes: int
    failed_after_mitigation: int | None
    """Stray failures, below 1% of any five seconds; None without mitigation."""
    failed_by_restart: int
    """Due after a server's pod was told to leave, and answered by that server or by nobody (a proxy's own 502, say)."""
    failed_elsewhere_after_restart: int
    """Due after that too, but answered by another server: its queue was full, as on a machine that is too busy."""
    latency_p95_seconds: float | None
    phase: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Updates:
    """What became of two later updates. Counts are of the comparison period after the second."""

    refusal: str | None
    """What the API server said to the update of the incident with the guard on; None where it took it."""
    rolled_back_seconds: float | None
    """From the update that the guard cannot see until the server that it added got nothing."""
    requests: int
    failed: int


@dataclass
class Results:
    """What has been played so far."""

    alone: Run | None = None
    evenload: Run | None = None
    updates: Updates | None = None
    rollback: Run | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A figure and its limit; `met` is None where it could not be judged."""

    name: str
    value: float | None
    limit: float
    met: bool | None
    text: str


def figures(run: Run, period_seconds: float) -> Figures:
    """The figures of one arm over the period after the bad update."""
    period = totals(run.records, run.onset, run.onset + period_seconds)
    after_onset = within(run.records, run.onset)
    mitigated = time_to_mitigate(after_onset, run.onset)
    after_restart = _failed_after_restart(run)
    by_restart = [
        record for record in after_restart if record.server in {None, *(each.server for each in run.restarted)}
    ]
    return Figures(
        time_to_detect_seconds=_since(run.onset, run.detected),
        time_to_mitigate_seconds=mitigated,
        time_to_resolve_seconds=_since(run.onset, run.resolved),
        requests=period.requests,
        failed=period.failed,
        failed_share=period.failed_share,
        restarts=len(run.restarted),
        weight_writes=run.weight_writes,
        failed_after_mitigation=None if mitigated is None else _failed(run.records, run.onset + mitigated),
        failed_by_restart=len(by_restart),
        failed_elsewhere_after_restart=len(after_restart) - len(by_restart),
        latency_p95_seconds=period.latency_p95,
        phase=run.phase,
    )


def targets(evenload: Figures, alone: Figures | None, updates: Updates | None = None) -> tuple[Target, ...]:
    """Every figure that was promised."""
    later = () if updates is None else _later(updates)
    return (*_targets(evenload, alone), *later)


def _later(updates: Updates) -> Iterator[Target]:
    refused = updates.refusal is not None
    yield Target(name="the same update with the guard", value=int(refused), limit=1, met=refused, text="refused")
    yield at_most("a bad update taken back", updates.rolled_back_seconds, 30, "s")


def _targets(evenload: Figures, alone: Figures | None) -> Iterator[Target]:
    yield at_most("time to detect", evenload.time_to_detect_seconds, 20, "s")
    yield at_most("time to mitigate", evenload.time_to_mitigate_seconds, 45, "s")
    resolved = evenload.time_to_resolve_seconds if evenload.phase == "Succeeded" else None
    yield at_most("time to resolve", resolved, 150, "s")
    yield _fifth(evenload, alone)
    restarts = evenload.restarts
    yield Target(name="restarts", value=restarts, limit=1, met=restarts == 1, text="exactly one")
    by_restart = evenload.failed_by_restart if restarts else None
    yield at_most("requests failed by the restart itself", by_restart, 0, "")


def at_most(name: str, value: float | None, limit: float, unit: str) -> Target:
    """Missed where there is no value."""
    met = value is not None and value <= limit
    return Target(name=name, value=value, limit=limit, met=met, text=f"at most {limit:g} {unit}".rstrip())


def _fifth(evenload: Figures, alone: Figures | None) -> Target:
    text = "at most 1/5 of those when left alone"
    if alone is None:
        return Target(name="requests failed", value=evenload.failed, limit=0, met=None, text=f"{text} (not run)")
    limit = alone.failed / 5
    return Target(name="requests failed", value=evenload.failed, limit=limit, met=evenload.failed <= limit, text=text)


def document(
    evenload: Figures | None,
    alone: Figures | None,
    judged: Sequence[Target],
    about: Mapping[str, Any],
    updates: Updates | None = None,
) -> dict[str, Any]:
    """summary.json: the figures with Evenload at the top, those without under `alone`."""
    return {
        **(camel(asdict(evenload)) if evenload else {}),
        "alone": camel(asdict(alone)) if alone else None,
        "updates": camel(asdict(updates)) if updates else None,
        "targets": [camel(asdict(target)) for target in judged],
        "passed": passed(judged),
        **about,
    }


def passed(judged: Sequence[Target]) -> bool:
    """No target was missed; one that could not be judged is not missed."""
    return all(target.met is not False for target in judged)


def camel(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Keys as JSON has them, numbers to the millisecond."""
    return {_camel(key): round(value, 4) if isinstance(value, float) else value for key, value in fields.items()}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _since(onset: float, moment: float | None) -> float | None:
    return None if moment is None else moment - onset


def _failed_after_restart(run: Run) -> list[Record]:
    if not run.restarted:
        return []
    return [record for record in within(run.records, min(each.time for each in run.restarted)) if record.failed]


def _failed(records: Sequence[Record], start: float) -> int:
    return sum(record.failed for record in within(records, start))
