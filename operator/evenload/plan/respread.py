"""A pod of a Service that drowns in connections that live long: its graceful restart has them opened anew, at all pods.

A pod is never restarted for having more than its share alone. What two restarts within an hour did not end, a third
will not: from then on there is only the advice. Both are read from the ledger and the episode: no crash forgets them.
"""

from __future__ import annotations

import numpy as np

from evenload.model.decision import Verdict
from evenload.model.diagnosis import SkewCause
from evenload.model.episode import StepState
from evenload.model.plan import Advise
from evenload.model.snapshot import Pod
from evenload.model.spec import RestartWhen
from evenload.model.wording import duration
from evenload.plan import restarts
from evenload.plan.moves import Plan
from evenload.plan.scene import Scene
from evenload.plan.sick import RESTART_AFTER_TICKS, begin_restart

DROWNING_ERROR_RATIO = 0.05
DROWNING_UTILIZATION = 0.95
MOST_RESTARTS = 2
GIVEN_UP_SECONDS = 3600.0
EFFECT_WINDOWS = 2.0  # after it was taken away: by then its connections are open elsewhere, and a whole window shows it


def respread(scene: Scene) -> Plan:
    """What is uneven inside a Service is advice; a pod that drowns in it for a while is restarted."""
    tell = (Advise(topic="UnevenService", because=scene.diagnosis.sentence),)
    index = _drowning(scene)
    if scene.work.restart is not None:
        return Plan(tell=tell, verdicts=_verdicts(scene, index))
    if index is None or not _due(scene):
        return Plan(tell=tell)
    name = scene.fleet.names[index]
    if _spent(scene, scene.fleet.pods[index]):
        because = f"{name} drowns though {MOST_RESTARTS} pods were restarted within {duration(GIVEN_UP_SECONDS)}"
        return Plan(tell=(Advise(topic="RestartDidNotHelp", because=f"{because}; {scene.diagnosis.sentence}"),))
    because = f"{name} drowns, and its restart spreads its connections over all pods; {scene.diagnosis.sentence}"
    # Isolated, it would keep the very connections that it is restarted for.
    return Plan(writes=tuple(begin_restart(scene, index, because, isolating=False)), tell=tell)


def _drowning(scene: Scene) -> int | None:
    """Of the pods that get too much and cannot bear it, the one that gets most."""
    fleet, named = scene.fleet, set(scene.diagnosis.pods)
    failing = fleet.errors > DROWNING_ERROR_RATIO * fleet.requests
    drowning = fleet.ready & (failing | (fleet.utilization >= DROWNING_UTILIZATION))
    found = [index for index in np.flatnonzero(drowning).tolist() if fleet.names[index] in named]
    return max(found, key=lambda index: float(fleet.requests[index]), default=None)


def _due(scene: Scene) -> bool:
    """Only for what a new connection would fix, and only if it lasts."""
    diagnosis, since = scene.diagnosis, scene.diagnosis.since
    lasting = since is not None and scene.snapshot.time - since >= RESTART_AFTER_TICKS * scene.tick_seconds
    fixed_by_it = diagnosis.cause is SkewCause.LongLivedConnections
    return fixed_by_it and lasting and scene.policy.restart_when is RestartWhen.Allowed


def _spent(scene: Scene, pod: Pod) -> bool:
    since = scene.snapshot.time - GIVEN_UP_SECONDS
    entries = (each for each in scene.snapshot.ledger if each.kind == "Restart" and each.time >= since)
    return sum(each.workload == pod.workload for each in entries) >= MOST_RESTARTS


def _verdicts(scene: Scene, drowning: int | None) -> tuple[Verdict, ...]:
    """What became of the restart under way, once its replacement serves and traffic can tell."""
    restart = scene.work.restart
    if restart is None or not restart.steps or not restarts.replaced(scene.snapshot, restart):
        return ()
    step = restart.steps[0]
    since = step.planned_at if step.applied_at is None else step.applied_at
    if scene.snapshot.time - since < EFFECT_WINDOWS * scene.snapshot.window:
        return ()
    if drowning is None:
        because = f"since {restart.pod} was restarted no pod drowns, though the spread is uneven still"
        return restarts.ended(restart, StepState.Verified, because)
    because = f"{scene.fleet.names[drowning]} drowns though {restart.pod} was restarted"
    return restarts.ended(restart, StepState.Ineffective, because)
