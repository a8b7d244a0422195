"""What to do so that it does not happen again: from what was found to what helps, never to who is to blame."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from evenload.model.diagnosis import INSIDE, SkewCause
from evenload.model.episode import Phase, StepState
from evenload.model.labels import LABELS
from evenload.model.plan import POD_ACTIONS
from evenload.model.spec import GuardMode
from evenload.report.changes import Guarded
from evenload.report.incident import Incident

_WEIGHTS_WRONG = (
    "Find out how the update with these weights came to be, and make its review show the resulting split "
    "of traffic in per cent (evenload diff)."
)
_UNGUARDED = "Let the pipeline that writes the route refuse a split that gives one backend more than it can serve."
_GUARD_ON = "Set spec.guard.mode of Balancer {balancer} to Deny: the API server refuses such an update."
_GUARD_WAS_ON = "Find out how the update came past the guard, which refuses it now."
_WEIGHTS_IGNORED = (
    "Find out why traffic does not follow the weights: sticky sessions, long-lived connections, or a data plane "
    "that has not taken the new configuration.",
)
_OVERLOADED = "Make the server shed load and recover by itself: it stayed sick after the overload was gone."
_OVERWRITTEN = (
    "Decide who owns the weights: tell the other writer ({managers}) to ignore them, or Evenload to only observe."
)
_INEFFECTIVE = "Find out why a step had no effect before Evenload is trusted with it again."
_ROLLED_BACK = "Find out why a step made things worse: it was undone, but its prediction was wrong."
_INSIDE = "Fix what spreads the requests unevenly inside the Service; the diagnosis says what, and how."
_BY_HAND = "Evenload did not mend this one: write down what people did, so that it can learn to."


def followups(incident: Incident, guard: Guarded | None = None) -> tuple[str, ...]:
    """Suggestions, most specific first; people add theirs to the list. `guard`: what it finds wrong with the update."""
    lines = [*_of_weights(incident, guard), *(line for source in _SOURCES for line in source(incident))]
    return tuple(lines)


def _of_weights(incident: Incident, guard: Guarded | None) -> Iterator[str]:
    if incident.diagnosis.cause is not SkewCause.WeightsWrong:
        return
    yield _WEIGHTS_WRONG
    if guard is None:
        yield _UNGUARDED
    else:
        line = _GUARD_WAS_ON if guard.mode is GuardMode.Deny else _GUARD_ON
        yield line.format(balancer=guard.balancer)


def _of_cause(incident: Incident) -> Iterator[str]:
    if incident.diagnosis.cause is SkewCause.WeightsIgnored:
        yield from _WEIGHTS_IGNORED
    if incident.diagnosis.cause in INSIDE:
        yield _INSIDE


def _of_steps(incident: Incident) -> Iterator[str]:
    states = {step.state for step in incident.steps}
    restarted = any(step.action in POD_ACTIONS for step in incident.steps)
    if restarted and incident.overloaded_pods and incident.diagnosis.cause not in INSIDE:
        yield _OVERLOADED
    if StepState.Overwritten in states:
        managers = sorted({step.manager for step in incident.steps if step.manager})
        yield _OVERWRITTEN.format(managers=", ".join(managers) or "unknown")
    if StepState.Ineffective in states:
        yield _INEFFECTIVE
    if StepState.Reverted in states:
        yield _ROLLED_BACK


def _of_label(incident: Incident) -> Iterator[str]:
    if follow_up := LABELS[incident.diagnosis.label].follow_up:
        yield follow_up


def _of_end(incident: Incident) -> Iterator[str]:
    if incident.phase in (Phase.Failed, Phase.Expired):
        yield _BY_HAND


_SOURCES: tuple[Callable[[Incident], Iterator[str]], ...] = (_of_cause, _of_steps, _of_label, _of_end)
