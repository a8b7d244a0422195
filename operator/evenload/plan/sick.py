"""Pods that fail or are slow though traffic is even: away from them first, a restart last."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from evenload.model.diagnosis import Label
from evenload.model.plan import Advise, Purpose, RestartPod, SetWeights, Write
from evenload.model.snapshot import Pod
from evenload.model.spec import RestartWhen
from evenload.model.wording import clock, duration
from evenload.plan import restarts
from evenload.plan.balance import lean
from evenload.plan.moves import Plan
from evenload.plan.quiet import quietest
from evenload.plan.scene import Scene
from evenload.plan.targets import fitted, restored, scaled_down

PROBE_FRACTION = 0.05  # of its share: what an ejected backend keeps, to be seen recovering
MOST_HELD_RATIO = 0.1  # of the ready pods, or one
RESTART_AFTER_TICKS = 6  # of failing
SLOW_RESTART_SECONDS = 300.0
LEAK_RESTART_SECONDS = 1800.0  # where nobody knows when it is quiet
LEAK_MARGIN_SECONDS = 900.0  # below a quarter of an hour the forecast errs by a third: act earlier
LEAK_RESTART_USED = 0.5  # of the limit: below, a steep rise has not shown yet where it stops
REPEAT_SECONDS = 1800.0  # the same fault this soon after a restart: another restart will not help either


def mend_failing(scene: Scene) -> Plan | None:
    if scene.diagnosis.label is not Label.Failing:
        return None
    if not scene.diagnosis.pods:
        return _eject_empty(scene)
    index = _worst(scene)
    if index is None:
        return None
    fleet = scene.fleet
    name, pod = fleet.names[index], fleet.pods[index]
    marked = scene.overloaded.get(name) == pod.uid
    repeated = restarted_lately(scene, pod)
    writes: list[Write] = []
    if not repeated and _deserves_restart(scene, marked=marked):
        writes += begin_restart(scene, index, scene.diagnosis.sentence)
    writes += _eject(scene, index)
    tell = (_page(scene.fleet.subject(index), scene),) if repeated else ()
    return Plan(writes=tuple(writes), tell=(*tell, *_unknown(scene, index, due=_persists(scene))))


def _deserves_restart(scene: Scene, *, marked: bool) -> bool:
    """After a skew at once: what it broke is known. Else only if the failure lasts, and the spec allows it."""
    when = scene.policy.restart_when
    if when is RestartWhen.Never:
        return False
    return marked or (when is RestartWhen.Allowed and _persists(scene))


def _unknown(scene: Scene, index: int, *, due: bool) -> Iterator[Advise]:
    """Why a restart that is `due` is none of that pod, nor of a sibling."""
    backend = scene.fleet.backends[int(scene.fleet.where[index])]
    if due and backend in scene.blind and scene.policy.restart_when is not RestartWhen.Never:
        because = (
            f"no pod of {backend} is restarted, as its numbers are counted by Service and which pod is sick is not "
            "known; name a preset in spec.signals.preset that counts by pod"
        )
        yield Advise(topic="PodNotKnown", because=because)


def _page(name: str, scene: Scene) -> Advise:
    because = (
        f"{name} fails again within {duration(REPEAT_SECONDS)} of a restart; another one will not help: look at it"
    )
    return Advise(topic="RestartDidNotHelp", because=because)


def _persists(scene: Scene) -> bool:
    since = scene.diagnosis.since
    return since is not None and scene.snapshot.time - since >= RESTART_AFTER_TICKS * scene.tick_seconds


def _worst(scene: Scene) -> int | None:
    """The named pod with the most errors; those overloaded by a skew first: what helps them is known."""
    named = set(scene.diagnosis.pods)
    fleet = scene.fleet
    held = set(scene.work.held_back) if not scene.work.ramps else set()
    candidates = [
        index
        for index, name in enumerate(fleet.names)
        if name in named and fleet.ready[index] and fleet.backends[int(fleet.where[index])] not in held
    ]
    return max(candidates, key=lambda index: _badness(scene, index), default=None)


def _badness(scene: Scene, index: int) -> tuple[bool, float]:
    fleet = scene.fleet
    marked = scene.overloaded.get(fleet.names[index]) == fleet.pods[index].uid
    return marked, float(np.nan_to_num(fleet.errors[index]))


def restarted_lately(scene: Scene, pod: Pod) -> bool:
    since = scene.snapshot.time - REPEAT_SECONDS
    return any(
        entry.kind == "Restart" and entry.workload == pod.workload and entry.time >= since
        for entry in scene.snapshot.ledger
    )


def begin_restart(scene: Scene, index: int, because: str, *, isolating: bool = True) -> Iterator[Write]:
    """The first move of a restart: drain where the backend is this pod alone; where it has siblings, isolate it, or
    evict it where that is not possible or it gets no requests anyway. `isolating`: whether that may be done.

    None where nobody knows whether it is that pod that is sick.
    """
    fleet = scene.fleet
    name, pod, backend = fleet.names[index], fleet.pods[index], fleet.backends[int(fleet.where[index])]
    if not pod.uid or backend in scene.blind:
        return
    if restarts.alone(fleet, backend) and len(fleet.backends) > 1:
        yield restarts.drain(scene.snapshot, backend, name, pod.uid, f"{because}; drain it, then restart it")
        return
    isolate = restarts.isolate(pod, name, backend, because) if isolating and fleet.ready[index] else None
    if isolate is not None:
        yield isolate
    else:
        yield RestartPod(backend=backend, pod=name, uid=pod.uid, workload=pod.workload or "", because=because)


def _eject(scene: Scene, index: int) -> Iterator[SetWeights]:
    """All but a probe's worth of traffic away from a backend that mostly fails."""
    fleet = scene.fleet
    where = int(fleet.where[index])
    backend = fleet.backends[where]
    failing = sum(fleet.where[i] == where and fleet.names[i] in scene.diagnosis.pods for i in range(len(fleet.names)))
    if 2 * failing <= fleet.ready_by_backend[where] or _too_many_held(scene, where):
        return
    base = scene.work.base if scene.work.base is not None else scene.before
    factors = {**dict.fromkeys(scene.work.held_back, PROBE_FRACTION), backend: PROBE_FRACTION}
    after = scaled_down(base, factors, fleet.weights_total)
    if fleet.weights_total is not None and after == scene.before:  # it has a single per cent
        return
    because = f"{scene.diagnosis.sentence}; leaving {backend} {100 * PROBE_FRACTION:.0f}% of its share"
    yield SetWeights(before=scene.before, after=after, purpose=Purpose.Eject, because=because)


def _too_many_held(scene: Scene, where: int) -> bool:
    fleet = scene.fleet
    held = [fleet.backends.index(name) for name in scene.work.held_back if name in fleet.backends]
    pods = sum(float(fleet.ready_by_backend[index]) for index in {*held, where})
    return pods > max(1.0, float(fleet.ready_by_backend[where]), MOST_HELD_RATIO * float(fleet.ready.sum()))


def _eject_empty(scene: Scene) -> Plan:
    after = fitted({**scene.before, **dict.fromkeys(scene.diagnosis.backends, 0)}, scene.fleet.weights_total)
    if not any(after.values()):  # only what is empty had weight: whoever is ready gets it
        after = restored(scene.fleet, scene.policy, scene.snapshot.known_good)
    write = SetWeights(
        before=scene.before,
        after=after,
        purpose=Purpose.Eject,
        because=f"{scene.diagnosis.sentence}; taking its weight away until a pod is ready",
    )
    return Plan(writes=(write,))


def spare_slow(scene: Scene) -> Plan:
    """Less traffic for slow pods; the place if they share one; a restart only of a single pod that stays slow."""
    suspect = any(evidence.metric == "slow_place" for evidence in scene.diagnosis.evidence)
    topic = "SuspectNode" if suspect else "SlowPods"
    tell = (Advise(topic=topic, because=scene.diagnosis.sentence),)
    since = scene.diagnosis.since
    lasting = since is not None and scene.snapshot.time - since >= SLOW_RESTART_SECONDS
    if lasting and len(scene.diagnosis.pods) == 1 and scene.policy.restart_when is RestartWhen.Allowed:
        index = scene.fleet.names.index(scene.diagnosis.pods[0])
        blind = scene.fleet.backends[int(scene.fleet.where[index])] in scene.blind
        if not blind and not restarted_lately(scene, scene.fleet.pods[index]):
            return Plan(writes=tuple(begin_restart(scene, index, scene.diagnosis.sentence)), tell=tell)
    told_apart = since is not None and scene.snapshot.time - since >= scene.snapshot.window  # others may join
    leaning = lean(scene, scene.diagnosis.sentence) if told_apart and not suspect else None
    return Plan(writes=leaning.writes if leaning is not None else (), tell=tell)


def relieve_leak(scene: Scene) -> Plan:
    """Told at once; restarted, gently, at the quietest time while there is still time for it to be gentle."""
    full = scene.out_of_memory
    if full is None:
        return Plan(tell=(Advise(topic="MemoryLeak", because=scene.diagnosis.sentence),))
    index = scene.fleet.names.index(full.subject)
    moment = quiet_time(scene)
    tell = (Advise(topic="MemoryLeak", because=scene.diagnosis.sentence + _when(scene, moment)),)
    much = LEAK_RESTART_USED * float(scene.fleet.memory_limit[index])
    near = full.seconds <= LEAK_RESTART_SECONDS if moment is None else moment <= scene.snapshot.time
    due = near and 0 < much <= float(scene.fleet.memory[index]) and scene.policy.restart_when is RestartWhen.Allowed
    if not due or restarted_lately(scene, scene.fleet.pods[index]):
        return Plan(tell=tell)
    because = f"the memory of {full.subject} rises without end: full in {duration(full.seconds)}"
    unknown = _unknown(scene, index, due=True)
    return Plan(writes=tuple(begin_restart(scene, index, because)), tell=(*tell, *unknown))


def quiet_time(scene: Scene) -> float | None:
    """When the first leaking pod is best restarted (seconds since the epoch); None without a leak, or where unknown."""
    full, now = scene.out_of_memory, scene.snapshot.time
    return None if full is None else quietest(now, now + full.soonest - LEAK_MARGIN_SECONDS, scene.usual)


def _when(scene: Scene, moment: float | None) -> str:
    """The quietest time, where it is known and yet to come."""
    if moment is None or moment <= scene.snapshot.time:
        return ""
    planned = "the restart is planned for" if scene.policy.restart_when is RestartWhen.Allowed else "restart it at"
    return f"; {planned} about {clock(moment)[:5]} UTC, the quietest time before it is full"
