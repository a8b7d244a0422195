"""One action at a time, and everything that can come between."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from evenload.act.apply import execute
from evenload.act.episode import decode, progressed
from evenload.act.execution import Bench, Cluster, Execution, Result, Veto
from evenload.act.remediations import open_remediation, store
from evenload.act.retries import LONGEST_SECONDS, Retries
from evenload.api.v1alpha1 import ObjectMeta
from evenload.api.values import epoch_seconds
from evenload.drivers import driver_of
from evenload.errors import KubeError, Refused, Unavailable, Unknown
from evenload.kube.resources import HTTPROUTES, PODS, REMEDIATIONS, Manifest, Resource
from evenload.model.decision import Decision, Verdict
from evenload.model.diagnosis import Diagnosis, Label
from evenload.model.episode import Phase, StepState
from evenload.model.plan import Purpose, RestartPod, SetWeights
from tests.support.faults import Fault, Faulty, Killed
from tests.support.memory import MemoryCluster
from tests.support.scripted import BAD, EQUAL, SHOP, SICK, nothing_against
from tests.unit.act.world import pod as new_pod
from tests.unit.act.world import shop

RESTORE = SetWeights(before=BAD, after=EQUAL, purpose=Purpose.Restore, because="a bad update")
OTHER = dict.fromkeys(BAD, 7)


def decision_at(time: float, **fields: Any) -> Decision:
    return Decision(time=time, diagnosis=Diagnosis(label=Label.LoadBalancerSkew), phase=Phase.Executing, **fields)


NOW = decision_at(1000.0)


@dataclass
class Scene:
    """The shop with an open Remediation."""

    cluster: MemoryCluster
    remediation: Manifest
    time: float = 1000.5
    plane: str = "HTTPRoute"

    def __post_init__(self) -> None:
        self.retries = Retries(10.0, clock=lambda: self.time)

    def bench(self, through: Cluster | None = None, veto: Veto = nothing_against) -> Bench:
        return Bench(
            cluster=through or self.cluster,
            driver=driver_of(self.plane),
            target=SHOP,
            namespace="shop",
            veto=veto,
            now=lambda: self.time,
            retries=self.retries,
        )

    async def execute(
        self,
        action: SetWeights | RestartPod,
        through: Cluster | None = None,
        veto: Veto = nothing_against,
    ) -> Execution:
        execution = await execute(self.bench(through, veto), self.remediation, action, decision_at(1000.0))
        self.remediation = await self.fresh()
        return execution

    async def fresh(self) -> Manifest:
        return await self.cluster.get(REMEDIATIONS, "shop", self.remediation["metadata"]["name"])

    async def weights(self) -> dict[str, int]:
        route = await self.cluster.get(HTTPROUTES, "shop", "shop")
        return driver_of("HTTPRoute").backends(route, SHOP).weights

    async def rival(self, weights: Mapping[str, int], manager: str = "argocd-controller") -> None:
        """Somebody else writes the route."""
        route = await self.cluster.get(HTTPROUTES, "shop", "shop")
        await self.cluster.patch_json(HTTPROUTES, "shop", "shop", driver_of("HTTPRoute").patch(route, SHOP, weights))
        entry = {"manager": manager, "time": "2026-11-23T05:00:00Z", "fieldsV1": {"f:spec": {"f:rules": {}}}}
        self.cluster.objects[("HTTPRoute", "shop", "shop")]["metadata"]["managedFields"] = [entry]

    async def restart(self, step: str | None = None) -> RestartPod:
        ((pod,), _) = await self.cluster.list(PODS, "shop")
        metadata = pod["metadata"]
        return RestartPod(
            backend=SICK,
            pod=metadata["name"],
            uid=metadata["uid"],
            workload=f"ReplicaSet/{SICK}",
            because="it stays sick",
            step=step,
        )

    @property
    def step(self) -> Any:
        (step,) = decode(self.remediation).status.steps
        return step


@pytest.fixture
async def scene() -> Scene:
    cluster = await shop()
    balancer = ObjectMeta(name="shop", namespace="shop", uid="u")
    opened = await open_remediation(cluster, balancer, decision_at(990.0), previous=None, approval_required=False)
    return Scene(cluster, await store(cluster, opened, progressed(decode(opened), decision_at(990.0))))


class Watching:
    """Calls `look` right before every call of one kind, as somebody else at that very moment."""

    def __init__(self, cluster: Cluster, verb: str, look: Callable[[], Any]) -> None:
        self._cluster, self._verb, self._look = cluster, verb, look

    def __getattr__(self, verb: str) -> Any:
        async def call(*arguments: Any, **options: Any) -> Any:
            if verb == self._verb:
                await self._look()
            return await getattr(self._cluster, verb)(*arguments, **options)

        return call


async def test_the_plan_is_stored_with_its_inverse_before_the_route_is_written(scene: Scene) -> None:
    seen: list[Any] = []

    async def look() -> None:
        seen.append(decode(await scene.fresh()).status.steps)

    execution = await scene.execute(RESTORE, Watching(scene.cluster, "patch_json", look))
    ((planned,),) = seen
    assert (planned.name, planned.state, planned.before, planned.after) == ("1-restore", StepState.Planned, BAD, EQUAL)
    assert planned.message == "a bad update"
    assert execution.result is Result.Applied
    assert scene.step.state is StepState.Applied
    assert epoch_seconds(scene.step.applied_at) == 1000.5
    assert await scene.weights() == EQUAL


async def test_nothing_is_written_while_there_is_a_veto(scene: Scene) -> None:
    async def paused() -> str:
        return "paused by evenload.dev/paused"

    counting = Faulty(scene.cluster)
    execution = await scene.execute(RESTORE, counting, veto=paused)
    assert (execution.result, execution.detail) == (Result.Vetoed, "paused by evenload.dev/paused")
    assert counting.calls == []


@pytest.mark.parametrize("kind", ["weights", "eviction"])
async def test_a_veto_that_comes_after_the_plan_still_stops_the_write(scene: Scene, kind: str) -> None:
    asked: list[int] = []

    async def second_time() -> str | None:
        asked.append(1)
        return "no longer the leader" if len(asked) > 1 else None

    execution = await scene.execute(RESTORE if kind == "weights" else await scene.restart(), veto=second_time)
    assert execution.result is Result.Vetoed
    assert scene.step.state is StepState.Planned
    assert await scene.weights() == BAD
    assert scene.cluster.evictions == []


async def test_weights_that_somebody_else_wrote_are_never_overwritten(scene: Scene) -> None:
    async def rival() -> None:
        if await scene.weights() == BAD:
            await scene.rival(OTHER)

    execution = await scene.execute(RESTORE, Watching(scene.cluster, "patch_json", rival))
    assert (execution.result, execution.manager) == (Result.Overtaken, "argocd-controller")
    assert "shop-a=7" in execution.detail
    assert await scene.weights() == OTHER
    assert scene.step.state is StepState.Planned


async def test_a_write_that_something_changed_on_its_way_in_is_not_called_applied(scene: Scene) -> None:
    class Webhook(Faulty):
        async def patch_json(
            self, resource: Resource, namespace: str | None, name: str, operations: Sequence[Mapping[str, object]]
        ) -> Manifest:
            await super().patch_json(resource, namespace, name, operations)
            await scene.rival(OTHER, manager="mutating-webhook")
            return await scene.cluster.get(resource, namespace, name)

    execution = await scene.execute(RESTORE, Webhook(scene.cluster))
    assert (execution.result, execution.manager) == (Result.Overtaken, "mutating-webhook")


async def test_a_route_whose_status_the_gateway_keeps_writing_is_still_written(scene: Scene) -> None:
    touched: list[int] = []

    async def gateway() -> None:
        if len(touched) < 3:
            touched.append(1)
            status = {"status": {"parents": [{"parentRef": {"name": f"g-{len(touched)}"}}]}}
            await scene.cluster.patch_merge(HTTPROUTES, "shop", "shop", status, subresource="status")

    execution = await scene.execute(RESTORE, Watching(scene.cluster, "patch_json", gateway))
    assert execution.result is Result.Applied
    assert len(touched) == 3


async def test_a_route_that_never_holds_still_is_left_for_the_next_tick(scene: Scene) -> None:
    async def gateway() -> None:
        status = {"status": {"parents": [{"parentRef": {"name": f"g-{scene.cluster.version}"}}]}}
        await scene.cluster.patch_merge(HTTPROUTES, "shop", "shop", status, subresource="status")

    execution = await scene.execute(RESTORE, Watching(scene.cluster, "patch_json", gateway))
    assert execution.result is Result.Unclear
    assert (scene.step.state, await scene.weights()) == (StepState.Planned, BAD)


async def test_a_route_deleted_between_plan_and_write_ends_the_step(scene: Scene) -> None:
    async def remove() -> None:
        scene.cluster.objects.pop(("HTTPRoute", "shop", "shop"), None)

    execution = await scene.execute(RESTORE, Watching(scene.cluster, "patch_json", remove))
    assert execution.result is Result.Gone
    assert scene.step.state is StepState.Abandoned
    assert "HTTPRoute shop/shop is gone" in scene.step.message


async def test_a_route_that_can_no_longer_be_weighted_says_so_on_the_step(scene: Scene) -> None:
    rules = scene.cluster.objects[("HTTPRoute", "shop", "shop")]["spec"]["rules"]
    rules[0]["backendRefs"] = []
    execution = await scene.execute(RESTORE)
    assert execution.result is Result.Refused
    assert "leads to a Service" in scene.step.message
    assert scene.step.state is StepState.Planned


async def test_a_plan_is_not_acted_on_if_anybody_changed_the_remediation_first(scene: Scene) -> None:
    name = scene.remediation["metadata"]["name"]
    await scene.cluster.patch_merge(REMEDIATIONS, "shop", name, {"status": {"held": "x"}}, subresource="status")
    execution = await scene.execute(RESTORE)
    assert execution.result is Result.Outrun
    assert decode(scene.remediation).status.steps == ()
    assert await scene.weights() == BAD


async def test_a_deleted_remediation_stops_the_write(scene: Scene) -> None:
    manifest = scene.remediation
    await scene.cluster.delete(REMEDIATIONS, "shop", manifest["metadata"]["name"])
    execution = await execute(scene.bench(), manifest, RESTORE, decision_at(1000.0))
    assert execution.result is Result.Outrun
    assert await scene.weights() == BAD


async def test_a_plan_whose_answer_was_lost_before_it_was_stored_is_not_acted_on(scene: Scene) -> None:
    execution = await scene.execute(RESTORE, Faulty(scene.cluster, at=1, fault=Fault.LostBefore))
    assert execution.result is Result.Unclear
    assert (decode(scene.remediation).status.steps, await scene.weights()) == ((), BAD)


async def test_a_plan_whose_answer_was_lost_after_it_was_stored_is_acted_on_at_once(scene: Scene) -> None:
    execution = await scene.execute(RESTORE, Faulty(scene.cluster, at=1, fault=Fault.LostAfter))
    assert execution.result is Result.Applied
    assert (scene.step.state, await scene.weights()) == (StepState.Applied, EQUAL)


async def test_a_step_of_the_same_name_that_another_operator_stored_is_not_taken_for_ours(scene: Scene) -> None:
    other = Scene(scene.cluster, scene.remediation, time=999.5)

    async def other_plans() -> None:
        if not decode(await scene.fresh()).status.steps:
            await other.execute(RESTORE, Faulty(scene.cluster, at=2, fault=Fault.Throttled))

    lost = Watching(Faulty(scene.cluster, at=1, fault=Fault.LostBefore), "patch_merge", other_plans)
    assert (await scene.execute(RESTORE, lost)).result is Result.Unclear
    assert epoch_seconds(scene.step.planned_at) == 999.5
    assert await scene.weights() == BAD


@pytest.mark.parametrize("fault", [Fault.LostBefore, Fault.LostAfter, Fault.Conflicting, Fault.Broken])
async def test_a_lost_or_refused_write_is_settled_by_looking(scene: Scene, fault: Fault) -> None:
    execution = await scene.execute(RESTORE, Faulty(scene.cluster, at=3, fault=fault))
    assert execution.result is Result.Applied
    assert scene.cluster.objects[("HTTPRoute", "shop", "shop")]["metadata"]["generation"] == 2


@pytest.mark.parametrize("at", [2, 3])
async def test_throttling_leaves_the_step_for_the_next_tick(scene: Scene, at: int) -> None:
    execution = await scene.execute(RESTORE, Faulty(scene.cluster, at=at, fault=Fault.Throttled))
    assert execution.result is Result.Unavailable
    assert (scene.step.state, await scene.weights()) == (StepState.Planned, BAD)


async def test_an_applied_write_that_could_not_be_recorded_is_told_and_found_by_the_next_tick(scene: Scene) -> None:
    execution = await scene.execute(RESTORE, Faulty(scene.cluster, at=4, fault=Fault.Throttled))
    assert execution.result is Result.Applied
    assert "could not be recorded" in execution.detail
    assert (scene.step.state, await scene.weights()) == (StepState.Planned, EQUAL)
    resumed = SetWeights(before=EQUAL, after=EQUAL, purpose=Purpose.Restore, because="", step="1-restore")
    assert (await scene.execute(resumed)).result is Result.Applied
    assert scene.step.state is StepState.Applied


async def test_a_resumed_step_goes_by_what_was_stored_not_by_what_is_asked(scene: Scene) -> None:
    await scene.execute(RESTORE, Faulty(scene.cluster, at=3, fault=Fault.Throttled))
    asked = SetWeights(before=BAD, after=OTHER, purpose=Purpose.Restore, because="", step="1-restore")
    scene.time += 10.0
    assert (await scene.execute(asked)).result is Result.Applied
    assert await scene.weights() == EQUAL


@pytest.mark.parametrize("step", ["1-restore", "9-ramp"])
async def test_a_step_that_is_over_or_unknown_is_not_resumed(scene: Scene, step: str) -> None:
    await scene.execute(RESTORE)
    await scene.rival(OTHER)
    again = SetWeights(before=OTHER, after=EQUAL, purpose=Purpose.Restore, because="", step=step)
    assert (await scene.execute(again)).result is Result.Outrun
    assert await scene.weights() == OTHER


async def denied(scene: Scene) -> None:
    name = scene.remediation["metadata"]["name"]
    approval = {"required": False, "decision": "Denied", "by": "ann"}
    await scene.cluster.patch_merge(REMEDIATIONS, "shop", name, {"spec": {"approval": approval}})


async def done_by_another(scene: Scene) -> None:
    await execute(scene.bench(), await scene.fresh(), msgspec.structs.replace(RESTORE, step="1-restore"), NOW)
    await scene.rival(BAD)


async def deleted(scene: Scene) -> None:
    metadata = scene.remediation["metadata"]
    await scene.cluster.delete(REMEDIATIONS, "shop", metadata["name"], uid=metadata["uid"])


async def remade(scene: Scene) -> None:
    await deleted(scene)
    await scene.cluster.create(
        REMEDIATIONS, "shop", {**scene.remediation, "metadata": {"name": scene.remediation["metadata"]["name"]}}
    )


@pytest.mark.parametrize("happens", [denied, done_by_another, deleted, remade])
async def test_a_step_is_not_resumed_from_a_view_older_than_its_remediation(
    scene: Scene, happens: Callable[[Scene], Awaitable[None]]
) -> None:
    await scene.execute(RESTORE, Faulty(scene.cluster, at=3, fault=Fault.Throttled))
    view = scene.remediation
    scene.time += 10.0
    await happens(scene)
    execution = await execute(scene.bench(), view, msgspec.structs.replace(RESTORE, step="1-restore"), NOW)
    assert execution.result is Result.Outrun
    assert await scene.weights() == BAD


async def test_a_refused_eviction_is_kept_planned_with_the_time_of_the_first_refusal(scene: Scene) -> None:
    scene.cluster.budget_allows = False
    execution = await scene.execute(await scene.restart())
    assert execution.result is Result.DisruptionRefused
    first = scene.step
    assert (first.state, epoch_seconds(first.refused_since)) == (StepState.Planned, 1000.5)
    assert "needs 4 healthy pods and has 4 currently" in first.message
    version = scene.remediation["metadata"]["resourceVersion"]
    scene.time = 1060.5
    await scene.execute(await scene.restart(step=first.name))
    assert scene.step == first
    assert scene.remediation["metadata"]["resourceVersion"] == version  # the same refusal is no news
    scene.cluster.budget_allows = True
    assert (await scene.execute(await scene.restart(step=first.name))).result is Result.Applied
    assert len(scene.cluster.evictions) == 1


async def test_a_pod_of_the_same_name_born_since_is_not_evicted(scene: Scene) -> None:
    action = await scene.restart()
    scene.cluster.objects[("Pod", "shop", action.pod)]["metadata"]["uid"] = "another"
    execution = await scene.execute(action)
    assert execution.result is Result.Applied
    assert scene.step.state is StepState.Applied
    assert scene.cluster.evictions == []


async def test_a_pod_born_between_look_and_eviction_is_saved_by_the_precondition(scene: Scene) -> None:
    action = await scene.restart()

    async def reborn() -> None:
        scene.cluster.objects[("Pod", "shop", action.pod)]["metadata"]["uid"] = "another"

    execution = await scene.execute(action, Watching(scene.cluster, "evict", reborn))
    assert execution.result is Result.Applied
    assert scene.cluster.evictions == []


async def test_a_pod_of_another_namespace_is_never_evicted(scene: Scene) -> None:
    execution = await scene.execute(replace(await scene.restart(), backend=f"market/{SICK}"))
    assert (execution.result, scene.cluster.evictions) == (Result.Refused, [])
    assert scene.step.message == "pods of another namespace are never evicted"


async def test_a_pod_of_a_subset_is_evicted(scene: Scene) -> None:
    scene.plane = "VirtualService"
    execution = await scene.execute(replace(await scene.restart(), backend=f"shop/{SICK}"))
    assert (execution.result, len(scene.cluster.evictions)) == (Result.Applied, 1)


@pytest.mark.parametrize("how", ["gone", "terminating"])
async def test_a_pod_that_is_gone_or_going_needs_no_eviction(scene: Scene, how: str) -> None:
    action = await scene.restart()
    if how == "gone":
        await scene.cluster.delete(PODS, "shop", action.pod)
    else:
        scene.cluster.objects[("Pod", "shop", action.pod)]["metadata"]["deletionTimestamp"] = "2026-11-23T05:00:00Z"
    assert (await scene.execute(action)).result is Result.Applied
    assert scene.cluster.evictions == []


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"ownerReferences": []}, "has no controller"),
        ({"ownerReferences": [{"kind": "Job", "name": "x"}]}, "has no controller"),
        ({"annotations": {"evenload.dev/do-not-disrupt": "true"}}, "evenload.dev/do-not-disrupt"),
        ({"annotations": {"karpenter.sh/do-not-disrupt": "true"}}, "karpenter.sh/do-not-disrupt"),
        (
            {"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}},
            "cluster-autoscaler.kubernetes.io/safe-to-evict",
        ),
    ],
)
async def test_a_pod_that_must_not_be_evicted_is_not(scene: Scene, metadata: dict[str, Any], says: str) -> None:
    action = await scene.restart()
    scene.cluster.objects[("Pod", "shop", action.pod)]["metadata"] |= metadata
    execution = await scene.execute(action)
    assert execution.result is Result.Refused
    assert says in scene.step.message
    assert scene.step.refused_since is not None
    assert scene.cluster.evictions == []


@pytest.mark.parametrize("fault", [Fault.LostAfter, Fault.KilledAfter])
async def test_an_eviction_whose_answer_was_lost_is_not_repeated(scene: Scene, fault: Fault) -> None:
    action = await scene.restart()
    try:
        await scene.execute(action, Faulty(scene.cluster, at=3, fault=fault))
    except Killed:
        scene.remediation = await scene.fresh()
        await scene.execute(msgspec.structs.replace(action, step=scene.step.name))
    assert scene.step.state is StepState.Applied
    assert len(scene.cluster.evictions) == 1


async def test_after_a_lost_eviction_a_new_pod_of_the_same_name_shows_that_it_happened(scene: Scene) -> None:
    """As of a StatefulSet, whose pods keep their names."""
    action = await scene.restart()

    class Reborn(Faulty):
        async def evict(self, namespace: str, pod: str, uid: str, *, dry_run: bool = False) -> None:
            try:
                await super().evict(namespace, pod, uid, dry_run=dry_run)
            finally:
                await scene.cluster.create(PODS, namespace, new_pod(pod))

    assert (await scene.execute(action, Reborn(scene.cluster, at=3, fault=Fault.LostAfter))).result is Result.Applied
    assert len(scene.cluster.evictions) == 1


async def test_an_eviction_that_the_server_keeps_failing_has_its_deadline_too(scene: Scene) -> None:
    execution = await scene.execute(await scene.restart(), Faulty(scene.cluster, at=3, fault=Fault.Broken))
    assert execution.result is Result.Unclear
    assert scene.step.refused_since is not None
    assert "500" in scene.step.message


async def test_steps_are_numbered_on_and_keep_what_was_seen_before_them(scene: Scene) -> None:
    await scene.execute(RESTORE)
    drain = SetWeights(before=EQUAL, after={**EQUAL, SICK: 0}, purpose=Purpose.Ramp, because="")
    await execute(
        scene.bench(), scene.remediation, drain, decision_at(1001.0, error_ratio=0.0351, requests_per_second=212.5)
    )
    last = decode(await scene.fresh()).status.steps[-1]
    assert (last.name, last.error_ratio, last.requests_per_second) == ("2-ramp", "0.0351", "212.5")


async def test_a_verdict_is_not_lost_to_an_operator_that_was_quicker(scene: Scene) -> None:
    """Another operator records the step while our write is on its way: theirs stands, ours adds nothing."""

    async def other() -> None:
        manifest = await scene.fresh()
        steps = decode(manifest).status.steps
        if steps and steps[0].state is StepState.Planned and await scene.weights() == EQUAL:
            verdict = Verdict(step=steps[0].name, state=StepState.Applied, because="seen")
            await store(scene.cluster, manifest, progressed(decode(manifest), decision_at(1003.0, verdicts=(verdict,))))

    execution = await scene.execute(RESTORE, Watching(scene.cluster, "patch_merge", other))
    assert execution.result is Result.Applied
    assert scene.step.message == "seen"
    assert epoch_seconds(scene.step.applied_at) == 1003.0


async def test_an_api_server_that_is_down_raises_nothing(scene: Scene) -> None:
    class Down:
        def __getattr__(self, verb: str) -> Any:
            async def call(*_: Any, **__: Any) -> Any:
                raise Unavailable("connection refused")

            return call

    execution = await execute(scene.bench(Down()), scene.remediation, RESTORE, decision_at(1000.0))
    assert execution.result is Result.Unavailable


# What fails for good.


class Failing(Faulty):
    """The API server fails every write of one verb, as while an admission webhook is down."""

    def __init__(self, cluster: Cluster, verb: str, error: KubeError) -> None:
        super().__init__(cluster)
        self.verb, self.error = verb, error

    async def _call(self, verb: str, call: Callable[[], Any]) -> Any:
        self.calls.append(verb)
        if verb == self.verb:
            raise self.error
        return await call()


BROKEN = Unknown('patch: 500 failed calling webhook "routes.example.com"', status=500)
REFUSED = Refused("patch: 403 admission webhook denied the request", status=403)


async def ticks(scene: Scene, through: Failing, seconds: float) -> list[Execution]:
    """The operator's ticks of ten seconds for so long, each of which resumes the step once it is stored."""
    executions, end = [], scene.time + seconds
    while scene.time < end:
        stored = decode(scene.remediation).status.steps
        asked = msgspec.structs.replace(RESTORE, step=stored[0].name) if stored else RESTORE
        executions.append(await scene.execute(asked, through))
        scene.time += 10.0
    return executions


@pytest.mark.parametrize(
    ("verb", "error"),
    [("patch_json", BROKEN), ("patch_json", REFUSED), ("patch_merge", BROKEN), ("patch_merge", REFUSED)],
)
async def test_a_write_that_fails_for_good_is_tried_ever_more_rarely(scene: Scene, verb: str, error: KubeError) -> None:
    failing = Failing(scene.cluster, verb, error)
    await ticks(scene, failing, 60.0)
    early = failing.calls.count(verb)
    await ticks(scene, failing, 600.0)
    late = failing.calls.count(verb) - early
    assert early <= 8
    assert 600.0 / LONGEST_SECONDS <= late <= 2 * 600.0 / (LONGEST_SECONDS / 2)


@pytest.mark.parametrize("error", [BROKEN, REFUSED])
async def test_why_a_write_fails_stands_on_its_step_until_it_is_made(scene: Scene, error: KubeError) -> None:
    failing = Failing(scene.cluster, "patch_json", error)
    await ticks(scene, failing, 100.0)
    assert scene.step.message == f"a bad update; not done yet: {error}"
    failing.verb = ""
    await ticks(scene, failing, LONGEST_SECONDS + 10.0)
    assert (scene.step.state, scene.step.message) == (StepState.Applied, "a bad update")


async def test_a_write_that_fails_is_told_from_the_second_time_on_and_while_it_waits(scene: Scene) -> None:
    executions = await ticks(scene, Failing(scene.cluster, "patch_json", BROKEN), 200.0)
    assert executions[0].trouble == ""
    assert all("failed calling webhook" in each.trouble for each in executions[1:])
    assert {each.result for each in executions} == {Result.Unclear, Result.Waiting}


async def test_a_write_is_made_within_a_minute_of_the_end_of_the_trouble(scene: Scene) -> None:
    failing = Failing(scene.cluster, "patch_json", BROKEN)
    await ticks(scene, failing, 3600.0)
    failing.verb = ""
    await ticks(scene, failing, LONGEST_SECONDS + 10.0)
    assert await scene.weights() == EQUAL


async def test_a_balancer_that_cannot_be_read_before_the_write_is_said_on_the_step(scene: Scene) -> None:
    async def unreadable() -> str | None:
        raise Unavailable("the Balancer could not be read before the write: 503")

    await scene.execute(RESTORE, Faulty(scene.cluster, at=3, fault=Fault.Throttled))
    scene.time += 10.0
    again = msgspec.structs.replace(RESTORE, step="1-restore")
    execution = await scene.execute(again, veto=unreadable)
    assert execution.result is Result.Unavailable
    assert "could not be read before the write" in scene.step.message
    assert await scene.weights() == BAD


async def test_an_undo_does_not_wait_for_another_step_that_could_not_be_stored(scene: Scene) -> None:
    failing = Failing(scene.cluster, "patch_merge", REFUSED)
    await ticks(scene, failing, 100.0)
    failing.verb = ""
    undo = SetWeights(before=BAD, after=EQUAL, purpose=Purpose.Revert, because="it made things worse")
    assert (await scene.execute(undo, failing)).result is Result.Applied


async def test_an_eviction_whose_pod_can_never_be_read_has_its_deadline_too(scene: Scene) -> None:
    failing = Failing(scene.cluster, "get", Unavailable("get: 503", status=503))
    await scene.execute(await scene.restart(), failing)
    assert scene.step.refused_since is not None
