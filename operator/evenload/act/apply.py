"""One action, from the stored plan to the stored result: plan, write, read back, record.

The order is the whole point. The step is stored as Planned (with its inverse) before the write, and as Applied after,
so whoever finds a Planned step looks at the cluster and knows: it stands there already, or it is still to be done.
Between the two nothing is trusted: the route is read afresh, the write holds only for that very version of it, and
weights that are neither `before` nor `after` are somebody else's and are not touched.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from evenload.act import isolation, restart
from evenload.act.episode import decode, find_step, record_of, step_of, steps_of, with_step
from evenload.act.execution import FAILED, Attempt, Bench, Execution, Result, persistently
from evenload.act.remediations import amend, store
from evenload.api.v1alpha1 import FIELD_MANAGER, Remediation, RemediationStatus, StepRecord
from evenload.drivers.base import BalancerView, RouteProblem
from evenload.episode.steps import planned
from evenload.episode.transitions import Event, moved
from evenload.errors import Conflict, KubeError, NotFound, Refused, Unknown
from evenload.kube.resources import REMEDIATIONS, Manifest
from evenload.model.decision import Decision
from evenload.model.episode import Step, StepState
from evenload.model.plan import POD_ACTIONS, PodAction, Write

_NOT_YET = "; not done yet: "  # in a step's message, between why it is wanted and why it is not made

Change = Callable[[Step], Step]


async def execute(bench: Bench, remediation: Manifest, action: Write, decision: Decision) -> Execution:
    """Do `action`, new or resumed (`action.step`), as a step of `remediation`. Never raises KubeError.

    Safe to be killed anywhere in, and to be run again by anyone: a step is planned once and applied once. What failed
    is tried again later and later (`Bench.retries`).
    """
    what = _what(remediation, action)
    if failing := bench.retries.waiting(what):
        return Execution(result=Result.Waiting, remediation=remediation, detail=failing.why, trouble=failing.told)
    execution = await _executed(bench, remediation, action, decision)
    if execution.result not in FAILED:
        bench.retries.succeeded(what)
        return execution
    return msgspec.structs.replace(execution, trouble=bench.retries.failed(what, execution.detail).told)


def _what(remediation: Manifest, action: Write) -> tuple[str, str, str]:
    """What waits together: a step, and the one that is planned in its place once it is given up. An undo is another."""
    metadata = remediation["metadata"]
    kind = f"{type(action).__name__} {action.uid}" if isinstance(action, PodAction) else action.purpose.value
    return metadata["namespace"], metadata["name"], kind


async def _executed(bench: Bench, remediation: Manifest, action: Write, decision: Decision) -> Execution:
    resumed = await _resumed(bench, remediation, action)
    if isinstance(resumed, Execution):
        return resumed
    if resumed:
        remediation = resumed[0]
    try:
        if reason := await bench.veto():
            return Execution(result=Result.Vetoed, remediation=remediation, detail=reason)
    except KubeError as error:
        attempt = Attempt(result=Result.Unavailable, detail=str(error))
        return await _settled(bench, remediation, resumed[1] if resumed else None, attempt)
    stored = resumed or await _stored(bench, remediation, action, decision)
    if isinstance(stored, Execution):
        return stored
    remediation, step = stored
    attempt = await _made(bench, remediation, step)
    return await _settled(bench, remediation, step, attempt)


async def _made(bench: Bench, remediation: Manifest, step: StepRecord) -> Attempt:
    match step.action:
        case "RestartPod":
            return await restart.evict(bench, step)
        case "Isolate":
            return await isolation.isolate(bench, step, remediation["metadata"]["name"])
        case _:
            return await write_weights(bench, step)


async def _resumed(
    bench: Bench, remediation: Manifest, action: Write
) -> tuple[Manifest, StepRecord] | Execution | None:
    """The Remediation as it stands now, with its step to go on with; None for a new step.

    What we watch may be older than a denial, or than what another operator made of the step.
    """
    if action.step is None:
        return None
    metadata = remediation["metadata"]
    try:
        live = await bench.cluster.get(REMEDIATIONS, metadata["namespace"], metadata["name"])
    except NotFound:
        return Execution(result=Result.Outrun, remediation=remediation, detail="the Remediation is gone")
    except KubeError as error:
        return Execution(result=Result.Unavailable, remediation=remediation, detail=str(error))
    if live["metadata"]["uid"] != metadata["uid"] or live["spec"] != remediation["spec"]:
        return Execution(result=Result.Outrun, remediation=live, detail="the Remediation was changed")
    step = find_step(decode(live).status, action.step)
    if step is None:
        return Execution(result=Result.Outrun, remediation=live, detail=f"the Remediation has no step {action.step}")
    if step.state is not StepState.Planned:
        return Execution(
            result=Result.Outrun, remediation=live, step=step, detail=f"step {step.name} is {step.state} already"
        )
    return live, step


async def _stored(
    bench: Bench, remediation: Manifest, action: Write, decision: Decision
) -> tuple[Manifest, StepRecord] | Execution:
    """Write the plan down. Whoever else changed the Remediation first may be another operator: then we do nothing."""
    status = decode(remediation).status
    new = planned(steps_of(status), action, decision, bench.now())
    step = record_of(new)
    try:
        return await store(bench.cluster, remediation, with_step(status, new)), step
    except Unknown as error:
        return await _looked_up(bench, remediation, step, error)
    except KubeError as error:
        result = _STORE_FAILED.get(type(error), Result.Unavailable)
        return Execution(result=result, remediation=remediation, detail=f"the step could not be stored: {error}")


_STORE_FAILED: dict[type[KubeError], Result] = {
    Conflict: Result.Outrun,
    NotFound: Result.Outrun,
    Refused: Result.Refused,
}


async def _looked_up(
    bench: Bench, remediation: Manifest, step: StepRecord, lost: Unknown
) -> tuple[Manifest, StepRecord] | Execution:
    """After a lost answer: the plan was stored if the very same step, its time included, is there."""
    metadata = remediation["metadata"]
    try:
        fresh = await bench.cluster.get(REMEDIATIONS, metadata["namespace"], metadata["name"])
    except KubeError as error:
        return Execution(result=Result.Unclear, remediation=remediation, detail=f"{lost}; {error}")
    if find_step(decode(fresh).status, step.name) == step:
        return fresh, step
    return Execution(result=Result.Unclear, remediation=fresh, detail=str(lost))


async def write_weights(bench: Bench, step: StepRecord) -> Attempt:
    """Bring the route from the step's `before` to its `after`, and from nothing else."""
    return await persistently(lambda: _write_once(bench, step))


async def _write_once(bench: Bench, step: StepRecord) -> Attempt:
    """Raises Conflict and Unknown: both mean look again."""
    driver, target = bench.driver, bench.target
    try:
        route = await bench.cluster.get(driver.resource, bench.namespace, target.name)
        view = driver.backends(route, target)
        if (known := _compared(view, step)) is not None:
            return known
        operations = driver.patch(route, target, step.after or {})
        if reason := await bench.veto():
            return Attempt(result=Result.Vetoed, detail=reason)
        answer = await bench.cluster.patch_json(driver.resource, bench.namespace, target.name, operations)
        return _read_back(driver.backends(answer, target), step)
    except (Conflict, Unknown):
        raise
    except NotFound:
        return Attempt(result=Result.Gone, detail=f"{target.kind} {bench.namespace}/{target.name} is gone")
    except (Refused, RouteProblem) as error:
        return Attempt(result=Result.Refused, detail=str(error))
    except KubeError as error:
        return Attempt(result=Result.Unavailable, detail=str(error))


def _compared(view: BalancerView, step: StepRecord) -> Attempt | None:
    """What the fresh route says of the step, or None if it is still to be written."""
    if view.weights == step.after:
        return Attempt(result=Result.Applied)
    return None if view.weights == step.before else _overtaken(view)


def _read_back(view: BalancerView, step: StepRecord) -> Attempt:
    return Attempt(result=Result.Applied) if view.weights == step.after else _overtaken(view)


def _overtaken(view: BalancerView) -> Attempt:
    manager = view.writer.manager if view.writer else None
    if manager == FIELD_MANAGER:  # an admission webhook changed our write, or a person used our name
        manager = view.rival.manager if view.rival else None
    weights = ", ".join(f"{name}={weight}" for name, weight in sorted(view.weights.items()))
    by = f" (field manager {manager})" if manager else ""
    return Attempt(result=Result.Overtaken, manager=manager, detail=f"the route holds other weights: {weights}{by}")


async def _settled(bench: Bench, remediation: Manifest, step: StepRecord | None, attempt: Attempt) -> Execution:
    """Record what the attempt came to, where there is a step (it is stored) and the record needs it.

    If that fails, nothing is lost: the step stays Planned, and the next tick sees in the cluster how it stands.
    """
    detail = attempt.detail
    if step is None:
        return Execution(result=attempt.result, remediation=remediation, detail=detail)
    change = _lasting(attempt, bench.now())
    if change is not None:
        try:
            remediation = await amend(bench.cluster, remediation, lambda known: _with_change(known, step.name, change))
        except KubeError as error:
            detail = f"{detail}; it could not be recorded: {error}".removeprefix("; ")
    known = find_step(decode(remediation).status, step.name)
    return Execution(
        result=attempt.result,
        remediation=remediation,
        step=known or step,
        detail=detail,
        manager=attempt.manager,
    )


def _with_change(remediation: Remediation, name: str, change: Change) -> RemediationStatus:
    """The change, unless another operator has moved the step on."""
    step = find_step(remediation.status, name)
    if step is None or step.state is not StepState.Planned:
        return remediation.status
    return with_step(remediation.status, change(step_of(step)))


def _lasting(attempt: Attempt, now: float) -> Change | None:
    event = _event(attempt.result)
    if event is None:
        return None
    return lambda known: moved(known, event, now, _said(event, known, attempt.detail))


def _event(result: Result) -> Event | None:
    match result:
        case Result.Applied:
            return Event.Landed
        case Result.Gone:
            return Event.Dropped
        case Result.DisruptionRefused | Result.Refused | Result.Unclear | Result.Unavailable:
            return Event.Refused
        case _:
            return None


def _said(event: Event, step: Step, detail: str) -> str:
    """The step's message: why it is wanted stays in it as long as it may still be made."""
    wanted = step.message.partition(_NOT_YET)[0]
    if event is Event.Landed:
        return wanted
    return f"{wanted}{_NOT_YET}{detail}" if event is Event.Refused and step.action not in POD_ACTIONS else detail
