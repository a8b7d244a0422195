"""A whole remediation with the engine's part scripted: restore, drain, evict, ramp up, close.

The script is as level-triggered as the engine: every tick it learns from the cluster alone where it stands, by the
recovery rules of the engine (a Planned step is Applied if it stands, re-emitted if not, Overwritten if someone else's
weights are there). So it can be killed anywhere and started afresh, which is what its users do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from evenload.act.apply import execute
from evenload.act.episode import closed, decode, episode_of, is_open, progressed
from evenload.act.execution import Bench, Cluster, Execution, Veto
from evenload.act.outcome import Tick, outcome_of
from evenload.act.remediations import amend, newest, open_remediation, store
from evenload.api.v1alpha1 import ObjectMeta, Remediation, RemediationStatus
from evenload.drivers import driver_of
from evenload.errors import KubeError, Unavailable
from evenload.kube.resources import HTTPROUTES, PODS, REMEDIATIONS, Manifest, Resource
from evenload.model.decision import Decision, Verdict
from evenload.model.diagnosis import Diagnosis, Label, SkewCause
from evenload.model.episode import Phase, Step, StepState
from evenload.model.plan import Drain, Purpose, RestartPod, SetWeights, Write
from evenload.model.spec import TargetRef

SHOP = TargetRef(name="shop")
BACKENDS = ("shop-a", "shop-b", "shop-c", "shop-d")
SICK = "shop-d"
BAD = {"shop-a": 10, "shop-b": 10, "shop-c": 10, "shop-d": 970}
EQUAL = dict.fromkeys(BACKENDS, 250)
DRAINED = {**EQUAL, SICK: 0}
RAMPING = {**EQUAL, SICK: 25}
WEIGHT_WRITES = 4  # restore, drain, two of the ramp
LONGEST_TICKS = 60


class Reader(Protocol):
    """What the test itself may ask of the API server, unharmed by faults."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest: ...

    async def list(
        self, resource: Resource, namespace: str | None = None, selector: str | None = None
    ) -> tuple[list[Manifest], str]: ...


async def nothing_against() -> None:
    """The veto of those who may always write."""


@dataclass
class Operator:
    """One process: what it writes goes through `cluster`, what it watches comes from `reader`."""

    cluster: Cluster
    reader: Reader
    namespace: str
    veto: Veto = nothing_against
    clock: Iterator[float] = field(default_factory=lambda: iter(count(1_795_000_000.25)))
    between_ticks: Callable[[], Awaitable[None]] | None = None
    executions: list[Execution] = field(default_factory=list)

    async def run(self) -> None:
        """Tick until the Remediation is closed."""
        for _ in range(LONGEST_TICKS):
            try:
                if await self.tick():
                    return
            except KubeError:
                pass  # as the operator: the next tick looks again
            if self.between_ticks:
                await self.between_ticks()
        raise AssertionError(f"not closed after {LONGEST_TICKS} ticks: {self.executions[-3:]}")

    async def tick(self) -> bool:
        """Whether the remediation is over."""
        now = next(self.clock)
        remediations, _ = await self.reader.list(REMEDIATIONS, self.namespace)
        last = newest(remediations)
        if last is None:
            await self._open(now)
            return False
        manifest = dict(last)
        if not is_open(manifest):
            return True
        weights, pods = await self._look()
        decision, action = decide(episode_of(decode(manifest)).steps, weights, pods, now)
        if decision.phase is Phase.Succeeded:
            await amend(self.cluster, manifest, lambda known: _closed(known, decision))
            return True
        manifest = await store(self.cluster, manifest, progressed(decode(manifest), decision))
        if action is not None:
            self.executions.append(await execute(self._bench(), manifest, action, decision))
        return False

    async def _open(self, now: float) -> None:
        decision = _decision(now, Phase.Executing)
        manifest = await open_remediation(
            self.cluster, self._balancer(), decision, previous=None, approval_required=False
        )
        await store(self.cluster, manifest, progressed(decode(manifest), decision))

    def _balancer(self) -> ObjectMeta:
        return ObjectMeta(name="shop", namespace=self.namespace, uid="balancer-uid", generation=1)

    async def _look(self) -> tuple[dict[str, int], dict[str, Manifest]]:
        route = await self.reader.get(HTTPROUTES, self.namespace, SHOP.name)
        pods, _ = await self.reader.list(PODS, self.namespace, "app=" + SICK)
        weights = driver_of("HTTPRoute").backends(route, SHOP).weights
        return weights, {pod["metadata"]["name"]: pod for pod in pods}

    def _bench(self) -> Bench:
        return Bench(
            cluster=self.cluster,
            driver=driver_of("HTTPRoute"),
            target=SHOP,
            namespace=self.namespace,
            veto=self.veto,
            now=lambda: next(self.clock),
        )


def _closed(known: Remediation, decision: Decision) -> RemediationStatus:
    episode = episode_of(known)
    outcome = outcome_of(episode, known.status.steps, episode.opened_at, [Tick.of(decision)], closed_at=decision.time)
    return closed(known, decision, outcome)


def _decision(now: float, phase: Phase, verdicts: tuple[Verdict, ...] = ()) -> Decision:
    diagnosis = Diagnosis(
        label=Label.LoadBalancerSkew, cause=SkewCause.WeightsWrong, sentence="shop-d takes 97% of the requests"
    )
    return Decision(
        time=now, diagnosis=diagnosis, phase=phase, verdicts=verdicts, error_ratio=0.35, requests_per_second=200.0
    )


def decide(
    steps: tuple[Step, ...], weights: dict[str, int], pods: dict[str, Manifest], now: float
) -> tuple[Decision, Write | None]:
    """The script's engine: one verdict or one action a tick, from the steps and the cluster alone."""
    last = steps[-1] if steps else None
    if last is not None and last.state is StepState.Planned:
        return _recovered(last, weights, pods, now)
    if last is not None and last.state is StepState.Applied:
        verified = last.action != "RestartPod" or _replaced(last, pods)
        verdicts = (_verdict(last, StepState.Verified),) if verified else ()
        return _decision(now, Phase.Verifying, verdicts), None
    action = _next(tuple(step for step in steps if step.state is StepState.Verified), weights, pods)
    return _decision(now, Phase.Executing if action else Phase.Succeeded), action


def _recovered(
    step: Step, weights: dict[str, int], pods: dict[str, Manifest], now: float
) -> tuple[Decision, Write | None]:
    if step.action == "RestartPod":
        gone = all(pod["metadata"]["uid"] != step.uid or _terminating(pod) for pod in pods.values())
        if gone:
            return _decision(now, Phase.Executing, (_verdict(step, StepState.Applied),)), None
        return _decision(now, Phase.Executing), _restart(pods[step.pod or ""], step.name)
    if weights == step.after:
        return _decision(now, Phase.Executing, (_verdict(step, StepState.Applied),)), None
    if weights != step.before:
        return _decision(now, Phase.Executing, (_verdict(step, StepState.Overwritten),)), None
    assert step.purpose is not None
    assert step.after is not None
    return _decision(now, Phase.Executing), _weights(step.purpose, weights, step.after, pods, step.name)


def _next(done: tuple[Step, ...], weights: dict[str, int], pods: dict[str, Manifest]) -> Write | None:
    """What follows the steps that are verified: it goes by what they were for, so order and number are checked too."""
    match [step.purpose or step.action for step in done]:
        case []:
            return _weights(Purpose.Restore, weights, EQUAL, pods)
        case [Purpose.Restore]:
            return _weights(Purpose.Drain, weights, DRAINED, pods)
        case [Purpose.Restore, Purpose.Drain]:
            return _restart(_ready(pods))
        case [Purpose.Restore, Purpose.Drain, "RestartPod"]:
            return _weights(Purpose.Ramp, weights, RAMPING, pods)
        case [Purpose.Restore, Purpose.Drain, "RestartPod", Purpose.Ramp]:
            return _weights(Purpose.Ramp, weights, EQUAL, pods)
        case [Purpose.Restore, Purpose.Drain, "RestartPod", Purpose.Ramp, Purpose.Ramp]:
            return None
        case other:
            raise AssertionError(f"steps that no engine would have taken: {other}")


def _weights(
    purpose: Purpose, before: dict[str, int], after: dict[str, int], pods: dict[str, Manifest], step: str | None = None
) -> Write:
    if purpose is not Purpose.Drain:
        return SetWeights(before=before, after=after, purpose=purpose, because="the script says so", step=step)
    pod = _ready(pods)["metadata"]
    return Drain(
        before=before, after=after, backend=SICK, pod=pod["name"], uid=pod["uid"], because="it stays sick", step=step
    )


def _restart(pod: Manifest, step: str | None = None) -> RestartPod:
    metadata = pod["metadata"]
    return RestartPod(
        backend=SICK,
        pod=metadata["name"],
        uid=metadata["uid"],
        workload=f"Deployment/{SICK}",
        because="it stays sick",
        step=step,
    )


def _ready(pods: dict[str, Manifest]) -> Manifest:
    """Raises Unavailable, for the next tick to look again: another operator may have evicted it since we looked."""
    for pod in pods.values():
        if _is_ready(pod) and not _terminating(pod):
            return pod
    raise Unavailable(f"{SICK} has no ready pod now")


def _replaced(step: Step, pods: dict[str, Manifest]) -> bool:
    return any(pod["metadata"]["uid"] != step.uid and _is_ready(pod) for pod in pods.values()) and all(
        pod["metadata"]["uid"] != step.uid for pod in pods.values()
    )


def _is_ready(pod: Manifest) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _terminating(pod: Manifest) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _verdict(step: Step, state: StepState) -> Verdict:
    return Verdict(step=step.name, state=state, because="the cluster says so")


def check_outcome(remediations: list[Manifest], route: Manifest, first_generation: int) -> None:
    """The end state that every run must reach, however often it was killed: each step taken, and once."""
    (remediation,) = remediations
    typed = decode(remediation)
    steps = typed.status.steps
    assert [step.purpose or step.action for step in steps] == ["Restore", "Drain", "RestartPod", "Ramp", "Ramp"]
    assert {step.state for step in steps} == {StepState.Verified}
    assert typed.status.phase is Phase.Succeeded
    assert typed.status.closed_at is not None
    assert driver_of("HTTPRoute").backends(route, SHOP).weights == EQUAL
    assert route["metadata"]["generation"] == first_generation + WEIGHT_WRITES
