"""The first story: a bad update of the HTTPRoute sends nearly all requests to one server. Its script is `incident`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar, Final

from evenload.model.episode import FINAL_PHASES
from lab.demo import cluster, incident, summary, updates
from lab.demo.customers import customers
from lab.demo.script import Keep, Scene, Script, Stage
from lab.demo.summary import Figures, Results, Run, Target, Updates
from lab.demo.tally import Tally
from lab.demo.watch import Facts, Pod, Watch
from lab.shop import manifests as shop
from lab.state import LabState

EARLIER_SECONDS: Final = 190.0
"""So long customers come between the arms, at most: a little longer than is waited for a healthy shop."""


class Postmortem(Script):
    """See the module."""

    name = "postmortem"
    command = "make demo"
    headline = "the postmortem, replayed"
    fault = "the bad update"
    installs = "four servers behind one HTTPRoute"
    counted = "weight"
    balancer = incident.BALANCER
    folder = Path("out/demo")
    seed = incident.SEED
    healthy_seconds = incident.HEALTHY_SECONDS
    period_seconds = incident.PERIOD_SECONDS
    timeout_seconds = incident.TIMEOUT_SECONDS
    tail_seconds = incident.TAIL_SECONDS
    shown_before_seconds = incident.HEALTHY_SECONDS + 10.0
    rows: ClassVar[Sequence[str]] = (
        *("time to detect", "time to mitigate", "time to resolve", "requests", "failed", "failed share"),
        *("restarts", "weight writes"),
    )

    async def install(self, lab: LabState) -> None:
        await cluster.install(lab, shop.objects(lab.gateway))

    async def set_balancer(self, lab: LabState, mode: str) -> None:
        await cluster.set_balancer(lab, incident.balancer(mode))

    def earlier_load(self, stage: Stage, scene: Scene, keep: Keep) -> AbstractAsyncContextManager[None]:
        schedule = incident.earlier_customers(stage.seed, EARLIER_SECONDS)
        return customers(stage.lab, schedule, keep)

    def load(self, stage: Stage, keep: Keep) -> AbstractAsyncContextManager[None]:
        return customers(stage.lab, incident.schedule(stage.seed), keep)

    async def begin_fault(self, stage: Stage, scene: Scene) -> float:
        """Not after it took effect, so no figure is flattered."""
        scene.text = "a bad balancer update"
        scene.onset = begun = time.time()  # the same to a second: what is shown need not wait for it
        stage.watch.facts = facts = Facts()
        await cluster.release(stage.lab, incident.BAD_WEIGHTS)
        await stage.watch.until("the bad update to be seen", lambda: bool(facts.weight_writes), seconds=60)
        return max(begun, facts.weight_writes[0].told or begun)

    async def follow_up(self, stage: Stage, scene: Scene) -> None:
        """Nothing is left to do."""

    async def reset(self, stage: Stage, scene: Scene) -> None:
        """What people would do at last: put the weights back, and replace the server that stays sick."""
        scene.text = "weights put back, sick server replaced by hand"
        await cluster.release(stage.lab, incident.GOOD_WEIGHTS)
        await cluster.replace_pods(stage.lab, incident.FLOODED)
        await stage.watch.until("the new server", lambda: stage.watch.has_ready(incident.FLOODED), seconds=180)

    async def sequel(self, stage: Stage, scene: Scene) -> tuple[Updates, Run]:
        return await updates.play(stage, scene)

    async def close(self) -> None:
        """There is nothing."""

    def staffed(self, watch: Watch) -> bool:
        """One ready pod a server, and nobody leaving."""
        pods = [watch.pods_of(server) for server in shop.SERVERS]
        return all(len(found) == 1 and found[0].ready and not found[0].leaving for found in pods)

    def is_over(self, watch: Watch, since: float) -> bool:
        remediation = watch.remediation_since(since)
        return remediation is not None and remediation.status.phase in FINAL_PHASES

    def server_of(self, pod: Pod) -> str:
        return pod.metadata.labels.get("app.kubernetes.io/instance", "")

    def servers(self, watch: Watch) -> Sequence[str]:
        return shop.SERVERS

    def count(self, watch: Watch, tally: Tally, server: str) -> int | None:
        return watch.weights.get(server)

    def targets(self, results: Results, evenload: Figures, alone: Figures | None) -> tuple[Target, ...]:
        return summary.targets(evenload, alone, results.updates)

    def about(self, seed: int, results: Results) -> Mapping[str, Any]:
        return {
            "requestsPerSecond": incident.REQUESTS_PER_SECOND,
            "seed": seed,
            "badWeights": incident.BAD_WEIGHTS,
        }


POSTMORTEM: Final = Postmortem()
