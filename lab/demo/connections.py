"""The second story: connections that live long, behind one plain Service. No gateway, no weights: kube-proxy.

kube-proxy balances connections, not requests: a connection stays with the pod where it was opened. So each arm goes:

1. The Deployment has one pod. The workers of a job connect, and keep still.
2. It is scaled to three pods. The customers of the web shop connect, at random, and keep their connections.
3. It is scaled to six, ahead of the job. The new pods stay cold: nobody opens a connection.
4. The job begins, and all of it is at the first pod, which drowns. From here the figures count.
5. With Evenload: once its restart was judged, the job ends, and people follow its advice: the server closes connections
   that are too old. With that the traffic is even, and the incident is closed.

Evenload sees what it would see in life: the pods' own metrics, and what the API server says. Which pod drowns follows
from who connected when; nobody is steered.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from evenload.model.diagnosis import SkewCause
from evenload.model.episode import FINAL_PHASES, StepState
from lab.demo import cluster
from lab.demo.script import Keep, Scene, Script, Stage
from lab.demo.summary import Figures, Results, Run, Target, at_most, camel
from lab.demo.tally import Tally, of_server
from lab.demo.watch import Facts, Pod, Watch
from lab.errors import CommandFailed
from lab.load.analysis import within
from lab.load.generator import Target as Whom
from lab.load.keepalive import Crowd, Group
from lab.load.record import Record
from lab.shop import manifests as shop
from lab.shop import plain
from lab.shop.manifests import Manifest
from lab.state import LabState

FIRST, USUAL, SCALED = 1, 3, 6
"""Pods."""
WEB: Final = Group(name="web", clients=120, rate=20.0, unevenness=0.5)
"""A third of it is 7 requests a second; a pod bears 18."""
JOB: Final = Group(name="job", clients=48, rate=1.2)
BUSY_JOB_RATE: Final = 18.0
"""With its part of the web's, the first pod is sent 25 requests a second; a sixth of 38 is 6."""
AGE_SECONDS: Final = 90.0
"""Of the first pod when the new ones come; they are told apart by age until they are half as old as it is."""
COLD_SECONDS: Final = 22.0
"""Between the scale-up and the job: by then the new pods have been there for a whole window."""
SPREAD_SECONDS: Final = 2.0
"""From a pod that is ready to a node that sends it connections."""
PATIENCE_SECONDS: Final = 20.0
"""Of a client; then it gives up, and its connection with it."""
JOINING_SECONDS: Final = 4.0
"""Not all at once: that would be an overload of its own."""
CONNECTION_SECONDS: Final = 30.0
"""Minutes in life; then a scale-up is spread within minutes, too."""
PAUSE_SECONDS: Final = 0.5
CLOSING_SECONDS: Final = 150.0
ROLLOUT_SECONDS: Final = 120.0
JUDGED: Final = frozenset({StepState.Verified, StepState.Ineffective, StepState.Abandoned})


class Connections(Script):
    """See the module. The crowd outlives the scenes of an arm: its connections are what the story is about."""

    name = "connections"
    command = "make demo-connections"
    headline = "connections that live long"
    fault = "the start of the job"
    installs = "one pod behind one plain Service"
    counted = "conns"
    balancer = plain.WEB
    folder = Path("out/demo-connections")
    seed = 7
    healthy_seconds = 5.0
    period_seconds = 60.0
    timeout_seconds = 120.0
    tail_seconds = 6.0
    shown_before_seconds = COLD_SECONDS + 30.0
    rows: ClassVar[Sequence[str]] = (
        *("time to detect", "time to mitigate", "time to resolve", "requests", "failed", "failed share"),
        *("p95 of the answers", "restarts"),
    )

    def __init__(self) -> None:
        self._crowd: Crowd | None = None
        self._places: dict[int, str] = {}
        self._pods = FIRST

    async def install(self, lab: LabState) -> None:
        self._pods = FIRST
        await cluster.install(lab, plain.objects(FIRST))

    async def set_balancer(self, lab: LabState, mode: str) -> None:
        await cluster.set_balancer(lab, balancer(mode))

    @contextlib.asynccontextmanager
    async def earlier_load(self, stage: Stage, scene: Scene, keep: Keep) -> AsyncIterator[None]:
        if self._crowd is None:
            await self._gather(stage, scene)
        self._keep_by(keep)
        yield

    @contextlib.asynccontextmanager
    async def load(self, stage: Stage, keep: Keep) -> AsyncIterator[None]:
        self._keep_by(keep)
        try:
            yield
        finally:
            await self.close()

    async def begin_fault(self, stage: Stage, scene: Scene) -> float:
        await _aged(stage.watch, AGE_SECONDS)
        stage.watch.facts = Facts()
        scene.since = time.time()
        scene.text = "scaled up, ahead of the job"
        scene.cause = f"{plain.WEB} is scaled from {USUAL} to {SCALED} pods; connections stay where they are"
        await self._scale(stage, SCALED)
        scene.text = "the new pods stay cold"
        await asyncio.sleep(COLD_SECONDS)
        await _served(scene.tally)
        scene.text = "the job begins"
        scene.cause = f"the job begins: {JOB.clients} connections of the first pod send {BUSY_JOB_RATE:.0f} requests/s"
        onset = time.time()
        self._the_crowd.change(JOB.name, BUSY_JOB_RATE)
        return onset

    async def follow_up(self, stage: Stage, scene: Scene) -> None:
        """What Evenload advises; until the incident is closed, which is no matter of seconds."""
        scene.text = "the advice is followed"
        stage.watch.facts = Facts()
        scene.cause = f"the job ends; a release closes connections that are {CONNECTION_SECONDS:.0f} s old, as advised"
        self._the_crowd.change(JOB.name, JOB.rate)
        await cluster.apply(stage.lab, plain.objects(SCALED, CONNECTION_SECONDS))
        with contextlib.suppress(CommandFailed):
            await stage.watch.until("the end", lambda: _closed(stage.watch, scene), seconds=CLOSING_SECONDS)
        scene.text = "closed" if _closed(stage.watch, scene) else "NOT closed"

    async def reset(self, stage: Stage, scene: Scene) -> None:
        """All pods are new, so that the arms begin alike."""
        scene.text = "the Deployment is deleted, and begins with one pod again"
        where = ("--namespace", shop.NAMESPACE)
        await cluster.kubectl(stage.lab, *where, "delete", "deployment", plain.WEB, "--cascade=foreground", "--wait")
        await self.install(stage.lab)

    async def close(self) -> None:
        crowd, self._crowd = self._crowd, None
        self._places.clear()
        if crowd is not None:
            await crowd.stop()

    def staffed(self, watch: Watch) -> bool:
        """As many pods as there should be, all ready, and nobody leaving."""
        return len(watch.pods) == self._pods and all(pod.ready and not pod.leaving for pod in watch.pods)

    def is_over(self, watch: Watch, since: float) -> bool:
        """A restart was judged, or the incident is closed: uneven it may be for as long as the connections live."""
        remediation = watch.remediation_since(since)
        if remediation is None:
            return False
        restarts = [step for step in remediation.status.steps if step.action == "RestartPod"]
        judged = bool(restarts) and all(step.state in JUDGED for step in restarts)
        return judged or remediation.status.phase in FINAL_PHASES

    def server_of(self, pod: Pod) -> str:
        return pod.metadata.name

    def servers(self, watch: Watch) -> Sequence[str]:
        """Oldest first."""
        return [pod.metadata.name for pod in sorted(watch.pods, key=lambda pod: (_born(pod), pod.metadata.name))]

    def short(self, server: str) -> str:
        """The pod's own part of its name."""
        return f"…{server.rpartition('-')[2]}"

    def count(self, watch: Watch, tally: Tally, server: str) -> int | None:
        """Connections, as far as clients were answered over them."""
        return sum(place == server for place in self._places.values())

    def targets(self, results: Results, evenload: Figures, alone: Figures | None) -> tuple[Target, ...]:
        return tuple(_targets(results.evenload, evenload)) if results.evenload else ()

    def about(self, seed: int, results: Results) -> Mapping[str, Any]:
        return {
            "seed": seed,
            "clients": {group.name: {"connections": group.clients, "rate": group.rate} for group in (WEB, JOB)},
            "busyJobRate": BUSY_JOB_RATE,
            "pods": {"first": FIRST, "usual": USUAL, "scaled": SCALED},
            "finding": _finding(results.evenload) if results.evenload else None,
        }

    @property
    def _the_crowd(self) -> Crowd:
        assert self._crowd is not None, "there are no customers yet"
        return self._crowd

    async def _gather(self, stage: Stage, scene: Scene) -> None:
        """Customers connect as the Deployment grows."""
        said = await cluster.kubectl(
            stage.lab,
            *("--namespace", shop.NAMESPACE, "get", "service", plain.WEB, "--output=jsonpath={.spec.clusterIP}"),
        )
        whom = Whom(url=f"http://{said.strip()}/", timeout_seconds=PATIENCE_SECONDS)
        self._crowd = crowd = Crowd(whom, scene.tally.add, stage.seed)
        scene.text = "the job's workers connect, while there is one pod"
        await crowd.join(JOB, seconds=JOINING_SECONDS)
        await self._scale(stage, USUAL)
        scene.text = "the web's customers connect to three pods"
        await crowd.join(WEB, seconds=2 * JOINING_SECONDS)
        scene.text = "waiting until Evenload sees a healthy shop"

    async def _scale(self, stage: Stage, pods: int) -> None:
        await cluster.apply(stage.lab, plain.objects(pods))
        self._pods = pods
        await stage.watch.until(f"{pods} pods", lambda: self.staffed(stage.watch), seconds=ROLLOUT_SECONDS)
        await asyncio.sleep(SPREAD_SECONDS)

    def _keep_by(self, keep: Keep) -> None:
        def kept(record: Record) -> None:
            if record.client is not None and record.server is not None:
                self._places[record.client] = record.server
            keep(record)

        self._the_crowd.on_record = kept


CONNECTIONS: Final = Connections()


def balancer(mode: str) -> Manifest:
    """What the shop's owner writes: the Service, the mode, and the window that the demo waits for."""
    return {
        "apiVersion": "evenload.dev/v1alpha1",
        "kind": "Balancer",
        "metadata": {"name": plain.WEB, "namespace": shop.NAMESPACE},
        "spec": {
            "targetRef": {"kind": "Service", "name": plain.WEB},
            "mode": mode,
            "signals": {"window": "15s"},
        },
    }


def _closed(watch: Watch, scene: Scene) -> bool:
    remediation = watch.remediation_since(scene.begun) if scene.begun is not None else None
    return remediation is not None and remediation.status.phase in FINAL_PHASES


def broken_off(run: Run) -> int:
    """Requests due since a pod was told to leave that got no answer at all."""
    if not run.restarted:
        return 0
    since = min(each.time for each in run.restarted)
    return sum(record.error is not None for record in within(run.records, since))


def _targets(run: Run, figures: Figures) -> Iterator[Target]:
    found = run.cause == SkewCause.LongLivedConnections
    yield Target(name="long-lived connections named", value=int(found), limit=1, met=found, text="as the cause")
    yield at_most("failures end after", figures.time_to_mitigate_seconds, 60, "s")
    restarts = figures.restarts
    yield Target(name="restarts", value=restarts, limit=2, met=1 <= restarts <= 2, text="one, or two")
    yield at_most("pods that left at a time", run.most_leaving if restarts else None, 1, "")
    yield at_most("requests without an answer since", broken_off(run) if restarts else None, 0, "")


def _finding(run: Run) -> Mapping[str, Any]:
    finding = {
        "cause": run.cause,
        "sentence": run.sentence,
        "restarted": [each.server for each in run.restarted],
        "most_leaving": run.most_leaving,
        "broken_off": broken_off(run),
        "retried": sum(record.retried for record in within(run.records, run.onset)),
    }
    return camel(finding)


def _born(pod: Pod) -> float:
    created = pod.metadata.creation_timestamp
    return created.timestamp() if created is not None else 0.0


async def _served(tally: Tally) -> None:
    """Until nobody fails: on a busy machine new pods may hinder the old ones for a moment. Not for ever."""
    deadline = time.time() + ROLLOUT_SECONDS
    while of_server(tally.recent(time.time())).failed_share != 0 and time.time() < deadline:  # noqa: ASYNC110  # of time
        await asyncio.sleep(PAUSE_SECONDS)


async def _aged(watch: Watch, seconds: float) -> None:
    """Until the oldest pod is so old."""
    oldest = min(map(_born, watch.pods))
    await asyncio.sleep(max(0.0, oldest + seconds - time.time()))
