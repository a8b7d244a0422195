"""From two looks at the cluster to what happened in between, in words. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from evenload.api.v1alpha1 import Balancer, Remediation, StepRecord
from evenload.model.episode import FINAL_PHASES, Phase, StepState
from evenload.model.plan import Purpose
from lab.demo.incident import BAD_WEIGHTS, RELEASE
from lab.demo.view import Happening, Kind
from lab.demo.watch import Pod

READY: Final = "ready"
STARTING: Final = "starting"
LEAVING: Final = "leaving"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The cluster at one moment, as far as the story tells it."""

    weights: Mapping[str, int] = field(default_factory=dict)
    diagnosis: str = ""
    sentence: str = ""
    remediation: str = ""
    phase: Phase | None = None
    held: str = ""
    steps: tuple[StepRecord, ...] = ()
    pods: Mapping[str, str] = field(default_factory=dict)
    """Pod to what it is doing."""
    cause: str = ""
    """The newest thing that was done to the shop, where no object shows it."""


def look(
    weights: Mapping[str, int],
    balancer: Balancer | None,
    remediation: Remediation | None,
    pods: list[Pod],
    cause: str = "",
) -> Look:
    """What the objects say."""
    diagnosis = balancer.status.diagnosis if balancer else None
    status = remediation.status if remediation else None
    return Look(
        weights=dict(weights),
        diagnosis=diagnosis.label if diagnosis else "",
        sentence=diagnosis.sentence if diagnosis else "",
        remediation=remediation.metadata.name if remediation else "",
        phase=status.phase if status else None,
        held=status.held if status else "",
        steps=status.steps if status else (),
        pods={pod.metadata.name: pod_state(pod) for pod in pods},
        cause=cause,
    )


def pod_state(pod: Pod) -> str:
    if pod.leaving:
        return LEAVING
    return READY if pod.ready else STARTING


def news(before: Look, after: Look, seconds: float | None) -> Iterator[Happening]:
    """What changed from one look to the next, causes before effects."""
    changes = (*_cause(before, after), *_diagnosis(before, after), *_remediation(before, after))
    for text, kind in (*changes, *_steps(before, after), *_pods(before, after)):
        yield Happening(seconds=seconds, text=text, kind=kind)


def doing(now: Look) -> str:
    """The step under way, or what Evenload waits for."""
    if now.phase is None or now.phase in FINAL_PHASES:
        return ""
    if now.held:
        return f"holds back: {now.held}"
    current = next((step for step in now.steps if step.state is StepState.Planned), None)
    if current is not None:
        return f"{step_text(current)} …"
    latest = now.steps[-1] if now.steps else None
    if latest is not None and latest.state is StepState.Applied:
        return f"{step_text(latest)} – {_awaited(latest)}"
    return f"phase {now.phase}"


def _awaited(step: StepRecord) -> str:
    """What a step that is written waits for."""
    return "waiting for its replacement" if step.action == "RestartPod" else "watching what the traffic does"


def step_text(step: StepRecord) -> str:
    """A step as something one does."""
    if step.action == "RestartPod":
        return f"restart pod {step.pod} by eviction"
    if step.action == "Drain":
        return f"drain {step.backend}: weight 0, its requests in flight may end"
    if step.purpose is Purpose.Ramp:
        return f"ramp up: {weights_text(step.after)}"
    return f"{_VERBS[step.purpose]} weights: {weights_text(step.after)}"


_VERBS: Final[Mapping[Purpose | None, str]] = {
    None: "set",
    Purpose.Drain: "drain by",
    Purpose.Restore: "restore",
    Purpose.Rollback: "roll back",
    Purpose.Rebalance: "rebalance",
    Purpose.Eject: "eject by",
    Purpose.Revert: "put back",
}


def _cause(before: Look, after: Look) -> Iterator[tuple[str, Kind]]:
    if after.cause and after.cause != before.cause:
        yield after.cause, Kind.Cause
    if before.weights != after.weights == BAD_WEIGHTS:
        yield f"{RELEASE} sets the weights to {weights_text(after.weights)}", Kind.Cause


def _diagnosis(before: Look, after: Look) -> Iterator[tuple[str, Kind]]:
    if after.diagnosis and after.diagnosis != before.diagnosis:
        good = after.diagnosis == "Healthy"
        yield f"diagnosis: {after.diagnosis}", Kind.Good if good else Kind.Detection


def _remediation(before: Look, after: Look) -> Iterator[tuple[str, Kind]]:
    if after.remediation and after.remediation != before.remediation:
        yield f"Remediation {after.remediation} is opened", Kind.Detection
    closed = after.phase in FINAL_PHASES and before.phase not in FINAL_PHASES
    if closed and before.remediation == after.remediation:
        good = after.phase is Phase.Succeeded
        yield f"Remediation {after.remediation} is closed: {after.phase}", Kind.Good if good else Kind.Note


def _steps(before: Look, after: Look) -> Iterator[tuple[str, Kind]]:
    known = {step.name: step.state for step in before.steps}
    for step in after.steps:
        if step.state is StepState.Planned or step.state == known.get(step.name):
            continue
        if step.state is StepState.Applied:
            yield step_text(step), Kind.Action
        elif step.state is StepState.Verified:
            yield f"verified: {step_text(step)}", Kind.Good
        else:
            yield f"{step.state}: {step_text(step)} {step.message}".rstrip(), Kind.Cause


def _pods(before: Look, after: Look) -> Iterator[tuple[str, Kind]]:
    if not before.pods:
        return
    for name, state in after.pods.items():
        was = before.pods.get(name)
        if state == LEAVING and was != LEAVING:
            yield f"pod {name} is leaving, after its last requests", Kind.Note
        elif state == READY and was != READY:
            yield f"pod {name} is ready", Kind.Note
    for name in before.pods.keys() - after.pods.keys():
        yield f"pod {name} is gone", Kind.Note


def weights_text(weights: Mapping[str, int] | None) -> str:
    """ "all 100", "shop-a 970, all others 10", or each by its name."""
    found = dict(sorted((weights or {}).items()))
    counts = Counter(found.values()).most_common()
    if len(counts) == 1 and len(found) > 1:
        return f"all {counts[0][0]}"
    if len(counts) == 2 and counts[1][1] == 1 < counts[0][1]:
        (common, _), (other, _) = counts
        odd = next(name for name, weight in found.items() if weight == other)
        return f"{odd} {other}, all others {common}"
    return ", ".join(f"{name} {weight}" for name, weight in found.items())
