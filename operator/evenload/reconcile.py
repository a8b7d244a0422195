"""One tick of one Balancer: observe, engine, record, act, in this order and nowhere else.

Nothing here computes or waits for traffic to move: what a write did is learnt from a later Snapshot. One Balancer's run
never overlaps itself (workqueue.py), so at most one writer works on a route.

Whatever a Balancer, its route, pods, Remediations or Prometheus hold concerns its own run alone: `tick` does not raise,
and a run that fails unexpectedly becomes a condition of that Balancer. After each `await` the store is asked anew: any
object may have been changed, deleted or made again meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec
import structlog

from evenload.act.apply import execute
from evenload.act.episode import closed, decode, episode_of, is_open, progressed, step_of
from evenload.act.execution import Bench, Execution, Result
from evenload.act.ledger import Subject
from evenload.act.outcome import Tick, onset_of, outcome_of
from evenload.act.remediations import amend, newest, open_remediation, prune
from evenload.api.v1alpha1 import PAUSED_ANNOTATION, Balancer, Remediation, RemediationStatus, Resolved, Trigger
from evenload.api.values import epoch_seconds, moment
from evenload.case import Case, identity_of, read
from evenload.drivers.base import Granted, RouteProblem, RouteView, refuse_foreign
from evenload.engine import Engine
from evenload.errors import InputError, KubeError, NotFound
from evenload.history.warm import Newcomer
from evenload.history.warming import WarmStarts
from evenload.kube.client import Client
from evenload.kube.resources import BALANCERS, Manifest
from evenload.model.base import Value
from evenload.model.decision import Decision, EpisodeMove, HeldReason
from evenload.model.episode import Phase
from evenload.model.plan import RestartPod, Write
from evenload.model.policy import strictest
from evenload.model.snapshot import Hold, Snapshot
from evenload.model.spec import Mode
from evenload.model.wording import printable
from evenload.observe import cluster
from evenload.observe.cluster import ClusterView, Fleet
from evenload.observe.join import last_write, snapshot_of
from evenload.observe.prometheus import Interest, Samples, SignalReader
from evenload.ownership import Ownership
from evenload.record.conditions import Facts, Trouble, status_of
from evenload.record.events import Bulletin, Happening, applied, refused, timeline
from evenload.record.journal import Journal
from evenload.record.metrics import Metrics
from evenload.record.publish import known_status, publish
from evenload.settings import Settings
from evenload.store import Key, Store, Target, balancer_of, key_of
from evenload.workqueue import Pace, WorkQueue

# The API server shows at least once a minute that a watch is alive. An older view is not acted on.
STALEST_VIEW_SECONDS = 90.0
ROUTE_TAKEN = "RouteTaken"

_log = structlog.get_logger()


class Scene(Value, frozen=True, kw_only=True):
    """What was observed of one Balancer: the route, who stands behind it, and its open Remediation."""

    view: RouteView
    fleet: Fleet
    remediations: tuple[Remediation, ...]
    open: Remediation | None
    pause: Trouble | None


class Reconciler:
    """Looks after every Balancer in `store`. Call `tick` at the scrape interval, with `queue.work()` running."""

    def __init__(
        self,
        *,
        store: Store,
        cluster: ClusterView,
        reader: SignalReader,
        client: Client,
        bulletin: Bulletin,
        journal: Journal,
        metrics: Metrics,
        settings: Settings,
        not_leading: Callable[[], str | None],
        paused: Callable[[], str | None],
        now: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`not_leading` and `paused` (the whole installation): None, or a sentence why nothing may be written."""
        self.queue: WorkQueue[Key] = WorkQueue(self.reconcile, self._failed)
        self._store = store
        self._cluster = cluster
        self._reader = reader
        self._client = client
        self._bulletin = bulletin
        self._journal = journal
        self._metrics = metrics
        self._settings = settings
        self._not_leading = not_leading
        self._paused = paused
        self._now = now
        self._cases: dict[Key, Case] = {}
        self._samples: dict[Key, Samples] = {}
        self._met: dict[Key, Case] = {}  # of each Balancer that this process has begun to look after: how it began
        self._warming: WarmStarts[Key] = WarmStarts(
            self._warmed,
            installation_url=settings.prometheus_url,
            tick_seconds=settings.tick_seconds,
            deadline_seconds=settings.query_timeout_seconds,
            access=reader.access_for,
        )
        self._monotonic = monotonic
        self._served: dict[Key, float] = {}  # when its last run came to an end, by the monotonic clock
        self._ownership = Ownership(
            lambda view: store.balancers.group(Target(view.namespace, view.kind, view.name)), self._view_of
        )
        self._turn = 0

    # A tick: one read of signals for all, then a run for each.

    async def tick(self) -> None:
        """Read every Balancer's signals together, by the deadline, and have each looked at. Does not raise.

        Those that hang on no tenant's server or query are looked at as soon as they are read.
        """
        interests = await self._interests()

        def ready(samples: dict[Key, Samples]) -> None:
            self._turn += 1
            self._samples = samples
            self._look_at(self._known() - (interests.keys() - samples.keys()))

        samples = await self._reader.read(interests, ready)
        rest = {key: samples[key] for key in interests.keys() - self._samples.keys()}
        self._samples = self._samples | rest
        self._look_at(rest)

    async def _interests(self) -> dict[Key, Interest]:
        pace = Pace()
        found: dict[Key, Interest] = {}
        for key in self._store.balancers.all_keys():
            if (interest := self._interest(key)) is not None:
                found[key] = interest
            await pace.give_way()
        return found

    def _known(self) -> set[Key]:
        """Every Balancer, and what is left of those that are gone."""
        known = {
            *self._store.balancers.all_keys(),
            *self._cases,
            *map(Key._make, self._metrics.balancers),
            *self._orphaned(),
        }
        now = self._monotonic()
        self._served = {key: self._served.get(key, now) for key in known}
        return known

    def _look_at(self, keys: Collection[Key]) -> None:
        self._take_on(self._samples.keys() & keys)
        for key in keys:
            self.queue.add(key)

    def close(self) -> None:
        """Give up what is under way in the background."""
        self._warming.close()

    @property
    def longest_wait_seconds(self) -> float:
        """How long ago the last run of the Balancer ended that has waited longest; one that is warmed waits, too."""
        return self._monotonic() - min(self._served.values(), default=self._monotonic())

    def _orphaned(self) -> set[Key]:
        """Balancers that are gone and left an open Remediation, perhaps while nobody looked."""
        return {
            balancer_of(manifest)
            for manifest in self._store.remediations
            if is_open(manifest) and self._store.balancers.get(balancer_of(manifest)) is None
        }

    def _interest(self, key: Key) -> Interest | None:
        """What to ask Prometheus for this Balancer; None where its own run will find what is wrong."""
        try:
            case = self._case(key)
            route = case and self._route(key, case)
            if case is None or not isinstance(route, RouteView) or self._taken(key, route):
                return None
            namespaces = frozenset(service.namespace for service in route.services.values())
            return Interest(
                source=case.source,
                namespaces=namespaces,
                pods=self._cluster.fleet(route).pods if case.source.own else (),
                owner=key.namespace,
                expected_pods=self._cluster.pods_in(namespaces),  # a preset asks about all of them
            )
        except Exception:  # whatever it holds: it must not keep the others from being asked for
            return None

    # Warm start: an engine that begins here is shown the last minutes before it is asked.

    def _take_on(self, keys: Iterable[Key]) -> None:
        """Begin, in the background, with the Balancers that this process meets for the first time."""
        newcomers = {key: newcomer for key in keys if (newcomer := self._newcomer(key)) is not None}
        self._warming.begin(newcomers, self._now())

    def _newcomer(self, key: Key) -> Newcomer | None:
        """None where it is known already, is gone by now, or its own run will find what is wrong."""
        case, met = self._cases.get(key), self._met.get(key)
        if case is None or (met is not None and met.identity[0] == case.identity[0]):
            return None
        self._met[key] = case
        self._served[key] = self._monotonic()  # its wait begins: one that is made again is another Balancer
        try:
            return self._taken_on(key, case)
        except Exception:  # as for `_interest`
            return None

    def _taken_on(self, key: Key, case: Case) -> Newcomer | None:
        balancer = read(self._store.balancers.get(key) or {})
        scene = self._observe(key, balancer)
        if isinstance(scene, Trouble):
            return None
        now = self._snapshot(key, case, balancer, scene)
        return Newcomer(
            spec=balancer.spec,
            source=case.source,
            view=scene.view,
            fleet=scene.fleet,
            last_write=now.last_write,
            known_good=now.known_good,
            episode=now.episode,
            ledger=now.ledger,
            expected_pods=self._cluster.pods_in({service.namespace for service in scene.view.services.values()}),
        )

    def _warmed(self, key: Key, engine: Engine | None) -> None:
        """Only the Case that was there when it began may have that engine: a later spec is another one's."""
        case = self._cases.get(key)
        if engine is not None and case is not None and case is self._met.get(key):
            case.engine = engine
        self.queue.add(key)

    # One Balancer.

    async def reconcile(self, key: Key) -> None:
        """One run. Raises KubeError where telling failed: the next tick tells it."""
        try:
            await self._run(key)
        except KubeError:
            raise
        except InputError as error:
            await self._publish_trouble(key, Trouble(reason="InvalidSpec", message=str(error)))
        except Exception as error:
            await self._publish_failure(key, error)
            raise
        finally:
            if key in self._served and key not in self._warming:
                self._served[key] = self._monotonic()

    async def _run(self, key: Key) -> None:
        manifest = self._store.balancers.get(key)
        if manifest is None:
            await self._forget(key)
            return
        balancer = read(manifest)
        await self._end_orphans(key, balancer.metadata.uid)
        scene = self._observe(key, balancer)
        if isinstance(scene, Trouble):
            if scene.reason == ROUTE_TAKEN:
                await self._end_taken(key, scene)
            await self._publish(key, balancer, Facts(**self._common(balancer), trouble=scene))
            return
        case, samples = self._cases[key], self._samples.get(key)
        if (
            key in self._warming
            or case.turn == self._turn
            or scene.view.resource_version == case.outdated_route
            or samples is None
            or samples.source != case.source  # asked for a spec that is no longer
        ):
            return  # nothing new to be seen: the same numbers twice would count twice
        case.turn = self._turn
        await self._step(key, case, balancer, scene)

    async def _step(self, key: Key, case: Case, balancer: Balancer, scene: Scene) -> None:
        snapshot = self._snapshot(key, case, balancer, scene)
        decision = case.engine.step(snapshot)
        case.ticks.append(Tick.of(decision))
        case.flight.record(snapshot)
        self._journal.tell(key.namespace, key.name, decision)
        happenings = case.chronicle.happenings(snapshot, decision)
        unrecorded: KubeError | None = None
        try:
            remediation = await self._move_episode(key, case, balancer, scene, snapshot, decision, happenings)
            happenings += await self._act(key, case, scene, remediation, decision)
        except KubeError as error:  # what is reported does not depend on what can be written
            unrecorded = error
        finally:
            for happening in happenings:
                await self._bulletin.post(balancer.metadata, happening, scene.view.namespace)
        facts = self._facts(case, balancer, scene, snapshot, decision, key, str(unrecorded or ""))
        await self._publish(key, balancer, facts)
        if unrecorded is not None:
            raise unrecorded

    # Observe.

    def _observe(self, key: Key, balancer: Balancer) -> Scene | Trouble:
        try:
            case = self._case(key)
            if case is None:
                return Trouble(reason="Deleted", message="the Balancer is being deleted")
            view = self._route(key, case)
            if isinstance(view, Trouble):
                return view
            if reason := self._taken(key, view):
                return Trouble(reason=ROUTE_TAKEN, message=reason)
            fleet = self._cluster.fleet(view)
            mine = [
                m
                for m in self._store.remediations_of(key)
                if m["spec"]["balancerRef"].get("uid") == balancer.metadata.uid
            ]
            remediations = case.remediations(mine)
        except InputError as error:
            return Trouble(reason="InvalidSpec", message=str(error))
        still_open = _current(mine)
        current = next(
            (r for r in remediations if still_open and r.metadata.name == still_open["metadata"]["name"]), None
        )
        if problem := _blocking(fleet, restarting=current is not None):
            return Trouble(reason=problem.reason.value, message=problem.sentence)
        return Scene(view=view, fleet=fleet, remediations=remediations, open=current, pause=self._pause(key))

    def _case(self, key: Key) -> Case | None:
        """The Case of the Balancer's present generation. Raises InputError."""
        manifest = self._store.balancers.get(key)
        if manifest is None or "deletionTimestamp" in manifest["metadata"]:
            return None
        known = self._cases.get(key)
        if known is None or known.identity != identity_of(manifest):
            known = self._cases[key] = Case.of(read(manifest), self._settings, known)
        return known

    def _route(self, key: Key, case: Case) -> RouteView | Trouble:
        """Raises RouteProblem's reasons as a Trouble."""
        if case.target.namespace not in (None, key.namespace):
            # Whoever may write Balancers here need not be allowed to change routes there.
            return Trouble(
                reason="OtherNamespace",
                message=f"spec.targetRef.namespace: {case.target.namespace} is not the Balancer's own namespace; "
                f"create the Balancer in {case.target.namespace}",
            )
        route = self._cluster.route(key.namespace, case.target.name)
        if isinstance(route, cluster.Problem):
            return Trouble(reason=route.reason.value, message=route.sentence)
        try:
            view = case.view_of(route)
            refuse_foreign(view, self._granted(key) if self._settings.cross_namespace_backends else None)
        except RouteProblem as error:
            return Trouble(reason=error.reason.value, message=str(error))
        return self._unseen({key.namespace, *(service.namespace for service in view.services.values())}) or view

    def _unseen(self, namespaces: set[str]) -> Trouble | None:
        """Why what is known of these namespaces is not to be acted on."""
        if unwatched := sorted(name for name in namespaces if not self._cluster.watches(name)):
            message = (
                f"namespace {unwatched[0]} is not watched by this installation (value watchNamespaces of the chart)"
            )
            return Trouble(reason="NamespaceNotWatched", message=message)
        if self._cluster.fresh_age_in(namespaces) <= STALEST_VIEW_SECONDS:
            return None
        why = "; ".join(self._cluster.troubles) or "no watch has been answered"
        return Trouble(reason="ClusterViewStale", message=f"what is known of the cluster is too old to act on: {why}")

    def _granted(self, key: Key) -> Granted:
        return lambda service: self._cluster.granted(service, key.namespace)

    def _taken(self, key: Key, view: RouteView) -> str | None:
        """Why another Balancer owns what this one would weight, if one does."""
        manifest = self._store.balancers.get(key)
        return self._ownership.taken(manifest, view, self._turn) if manifest is not None else None

    def _view_of(self, manifest: Mapping[str, Any]) -> RouteView | None:
        """What a rival of somebody reads; None where it reads nothing, whatever is wrong with it."""
        key = key_of(manifest)
        try:
            case = self._case(key)
            view = case and self._route(key, case)
        except Exception:  # its own run finds out; it locks nobody out
            return None
        return view if isinstance(view, RouteView) else None

    def _subject(self, key: Key, case: Case, scene: Scene) -> Subject:
        """Whose budgets count."""
        return Subject(
            namespace=key.namespace,
            name=key.name,
            uid=case.identity[0],
            workloads=case.workloads(scene.fleet, key.namespace),
            backends=frozenset(scene.view.weights),
        )

    def _snapshot(self, key: Key, case: Case, balancer: Balancer, scene: Scene) -> Snapshot:
        now = self._now()
        case.ledger = self._store.ledger.of(self._subject(key, case, scene), now)
        previous = self._cluster.previous_route(scene.view.namespace, scene.view.name)
        status = known_status(self._store.balancers.get(key) or {})
        seen = snapshot_of(
            time=now,
            weights=scene.view.weights,
            fleet=scene.fleet,
            samples=self._samples[key],
            max_age_seconds=case.policy.max_age_seconds,
            last_write=last_write(scene.view, _readable(case, previous)),
            known_good=status.known_good.weights if status.known_good else None,
            episode=episode_of(scene.open, scene.remediations) if scene.open else None,
            ledger=case.ledger,
            holds=_holds(scene),
            max_mode=Mode(self._settings.max_mode),
        )
        return case.ahead.settled(seen)

    def _pause(self, key: Key) -> Trouble | None:
        """By what writes are stopped, if they are, as far as the store knows."""
        if reason := self._paused():
            return Trouble(reason="Installation", message=reason)
        manifest = self._store.balancers.get(key)
        if manifest is None:
            return Trouble(reason="Deleted", message="the Balancer is gone")
        return _paused_by(manifest)

    # Record and act.

    async def _move_episode(
        self,
        key: Key,
        case: Case,
        balancer: Balancer,
        scene: Scene,
        snapshot: Snapshot,
        decision: Decision,
        happenings: tuple[Happening, ...],
    ) -> Manifest | None:
        """Open, continue or close the Remediation as decided; None where there is none open afterwards."""
        manifest = self._manifest(scene.open)
        if decision.episode is EpisodeMove.Open and manifest is None:
            case.onset = onset_of(decision, snapshot.last_write)
            before = newest(self._store.remediations_of(key))
            manifest = await open_remediation(
                self._client,
                balancer.metadata,
                decision,
                previous=before["metadata"]["name"] if before else None,
                approval_required=self._mode(balancer) is Mode.Approve,
            )
            self._store.remediations.put(manifest)
        if manifest is None or not is_open(manifest):
            return None
        ending = decision.episode is EpisodeMove.Close
        entries = timeline(happenings)

        def change(known: Remediation) -> RemediationStatus:
            if not ending:
                return progressed(known, decision, entries)
            return self._ended(case, balancer, known, decision, happenings)

        manifest = await amend(self._client, manifest, change)
        self._store.remediations.put(manifest)
        if not ending:
            return manifest
        case.onset = None
        self._metrics.closed(key.namespace, key.name, decode(manifest))
        await prune(self._client, self._store.remediations_of(key), balancer.spec.history_limit, self._now())
        return None

    def _ended(
        self, case: Case, balancer: Balancer, known: Remediation, decision: Decision, happenings: tuple[Happening, ...]
    ) -> RemediationStatus:
        outcome = outcome_of(
            episode_of(known), known.status.steps, _onset(case, known), decision.time, tuple(case.ticks)
        )
        manifest = {"apiVersion": "evenload.dev/v1alpha1", "kind": "Balancer"} | {
            "metadata": {"name": balancer.metadata.name, "namespace": balancer.metadata.namespace},
            "spec": msgspec.to_builtins(balancer.spec),
        }
        recording = case.flight.pack(manifest, self._settings.tick_seconds)
        return closed(known, decision, outcome, recording, timeline(happenings))

    async def _act(
        self, key: Key, case: Case, scene: Scene, remediation: Manifest | None, decision: Decision
    ) -> tuple[Happening, ...]:
        """Do what is allowed now: at most one write."""
        write = next((action for action in decision.actions if isinstance(action, Write)), None)
        if write is None or remediation is None or _outrun(scene.open, remediation):
            return ()
        now, subject = self._now(), self._subject(key, case, scene)
        if isinstance(write, RestartPod) and self._store.ledger.of(subject, now) != case.ledger:
            return ()  # another Balancer restarts these pods since this was decided: decide anew
        bench = Bench(
            cluster=self._client,
            driver=case.driver,
            target=case.target,
            namespace=key.namespace,
            veto=lambda: self._veto(key, case),
            now=self._now,
        )
        with self._store.ledger.under_way(subject, write, now):
            execution = await execute(bench, remediation, write, decision)
            self._store.remediations.put(execution.remediation)
        if (
            execution.result is Result.Applied
            and not isinstance(write, RestartPod)
            and scene.view.weights != write.after
        ):
            case.outdated_route = scene.view.resource_version
        _log.info(
            "executed",
            namespace=key.namespace,
            balancer=key.name,
            action=type(write).__name__,
            step=execution.step.name if execution.step else None,
            result=execution.result.value,
            detail=execution.detail or None,
        )
        return self._told(execution)

    async def _veto(self, key: Key, case: Case) -> str | None:
        """Why nothing may be written now. The Balancer is read live: a watch may be late or broken without a sign."""
        if reason := self._not_leading() or self._paused():
            return reason
        try:
            manifest = await self._client.get(BALANCERS, key.namespace, key.name)
        except NotFound:
            return "the Balancer is gone"
        except KubeError as error:
            return f"the Balancer could not be read before the write: {error}"
        self._store.balancers.put(manifest)
        if identity_of(manifest) != case.identity or "deletionTimestamp" in manifest["metadata"]:
            return "the Balancer was changed or deleted since this was decided; the next tick decides anew"
        pause = _paused_by(manifest)
        return pause.message if pause else self._not_leading()

    def _told(self, execution: Execution) -> tuple[Happening, ...]:
        if execution.step is None:
            return ()
        name, step, now = execution.remediation["metadata"]["name"], step_of(execution.step), self._now()
        match execution.result:
            case Result.Applied:
                return (applied(name, step, now),)
            case Result.Refused | Result.DisruptionRefused | Result.Gone:
                return (refused(name, step, execution.detail, now),)
            case _:
                return ()

    def _facts(
        self,
        case: Case,
        balancer: Balancer,
        scene: Scene,
        snapshot: Snapshot,
        decision: Decision,
        key: Key,
        unrecorded: str,
    ) -> Facts:
        still_open = _current(self._store.remediations_of(key))
        return Facts(
            **self._common(balancer),
            snapshot=snapshot,
            decision=decision,
            policy=case.policy,
            resolved=Resolved(
                driver=case.driver.kind,
                signals=case.source.preset,
                backends=tuple(sorted(scene.view.weights)),
            ),
            remediation=still_open["metadata"]["name"] if still_open else None,
            paused=scene.pause,
            unrecorded=unrecorded,
        )

    def _common(self, balancer: Balancer) -> dict[str, Any]:
        target = balancer.spec.target_ref
        return {
            "time": self._now(),
            "generation": balancer.metadata.generation,
            "mode": self._mode(balancer),
            "subject": f"{target.kind} {target.name}",
        }

    def _mode(self, balancer: Balancer) -> Mode:
        return strictest(balancer.spec.mode, Mode(self._settings.max_mode))

    async def _publish(self, key: Key, balancer: Balancer, facts: Facts) -> None:
        await self._publish_for(key, (balancer.metadata.uid, balancer.metadata.generation), facts)

    async def _publish_for(self, key: Key, identity: tuple[str, int], facts: Facts) -> None:
        manifest = self._store.balancers.get(key)
        if manifest is None or identity_of(manifest) != identity:
            return  # what was found is about a spec that is no longer
        self._metrics.tell(key.namespace, key.name, facts)
        status = status_of(known_status(manifest), facts)
        try:
            self._store.balancers.put(await publish(self._client, dict(manifest), status))
        except NotFound:
            return

    async def _publish_failure(self, key: Key, error: Exception) -> None:
        """A run that failed unexpectedly is a condition of its Balancer; nothing more is done for that one."""
        message = (
            f"Evenload failed on this Balancer ({type(error).__name__}) and does nothing for it; "
            "its log has the details: please report them"
        )
        try:
            await self._publish_trouble(key, Trouble(reason="InternalError", message=message))
        except Exception:  # the first failure is the one to be raised
            _log.exception("failure-not-published", namespace=key.namespace, balancer=key.name)

    async def _publish_trouble(self, key: Key, trouble: Trouble) -> None:
        """For a Balancer of which no more can be read than that it is there."""
        manifest = self._store.balancers.get(key)
        if manifest is None:
            return
        facts = Facts(
            time=self._now(),
            generation=identity_of(manifest)[1],
            mode=Mode(self._settings.max_mode),
            subject=f"Balancer {key.name}",
            trouble=trouble,
        )
        await self._publish_for(key, identity_of(manifest), facts)

    # Ends.

    async def _forget(self, key: Key) -> None:
        """The Balancer is gone: its weights stay as they are, and its open Remediation ends."""
        for memory in (self._cases, self._samples, self._met, self._served):
            memory.pop(key, None)
        self._warming.forget(key)
        self._journal.forget(key.namespace, key.name)
        self._metrics.forget(key.namespace, key.name)
        await self._end_orphans(key, None)

    async def _end_orphans(self, key: Key, uid: str | None) -> None:
        """Open Remediations of Balancers that had this name before the one of this `uid`."""
        for manifest in self._store.remediations_of(key):
            if is_open(manifest) and (uid is None or manifest["spec"]["balancerRef"].get("uid", uid) != uid):
                try:
                    await self._end(manifest, "the Balancer was deleted")
                except InputError as error:  # of a version that we do not know: it must not keep this one from its run
                    _log.warning("orphan-not-ended", namespace=key.namespace, error=str(error))

    async def _end_taken(self, key: Key, trouble: Trouble) -> None:
        """Its open Remediations: the route is another Balancer's now, and stays as it is."""
        for manifest in self._store.remediations_of(key):
            if is_open(manifest):
                await self._end(manifest, f"{trouble.reason}: {trouble.message}")

    async def _end(self, manifest: Mapping[str, Any], why: str) -> None:
        def ended(known: Remediation) -> RemediationStatus:
            return msgspec.structs.replace(
                known.status, phase=Phase.Expired, closed_at=moment(self._now()), held=printable(why)[:4096]
            )

        self._store.remediations.put(await amend(self._client, dict(manifest), ended))

    def _failed(self, key: Key, error: Exception) -> None:
        """One run failed; the next tick tries again."""
        level = _log.warning if isinstance(error, KubeError) else _log.exception
        level("reconcile-failed", namespace=key.namespace, balancer=key.name, error=str(error))
        self._metrics.failed(type(error).__name__)

    def _manifest(self, remediation: Remediation | None) -> Manifest | None:
        if remediation is None:
            return None
        found = self._store.remediations.get(Key(remediation.metadata.namespace, remediation.metadata.name))
        return dict(found) if found else None


def _current(remediations: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The open one. A wish to undo an earlier one waits until the incident under way has ended."""
    still_open = [manifest for manifest in remediations if is_open(manifest)]
    return newest(m for m in still_open if m["spec"].get("trigger") != Trigger.Undo) or newest(still_open)


def _blocking(fleet: Fleet, *, restarting: bool) -> cluster.Problem | None:
    """The first problem that forbids to go on. While its only pod is restarted, a backend may be without any."""
    tolerated = {cluster.Trouble.NoPods} if restarting else set()
    return next((problem for problem in fleet.problems if problem.reason not in tolerated), None)


def _paused_by(manifest: Mapping[str, Any]) -> Trouble | None:
    annotation = (manifest["metadata"].get("annotations") or {}).get(PAUSED_ANNOTATION)
    if annotation is not None and annotation != "false":
        return Trouble(reason="Annotation", message=f"paused by annotation {PAUSED_ANNOTATION}: {annotation}")
    if manifest["spec"].get("suspend"):
        return Trouble(reason="Suspended", message="spec.suspend is true")
    return None


def _outrun(known: Remediation | None, stored: Manifest) -> bool:
    """Whether it has steps that the decision knew nothing of: another operator is at work. Look again next tick."""
    decided_on = {record.name for record in known.status.steps} if known else set()
    return {step["name"] for step in stored.get("status", {}).get("steps", ())} != decided_on


def _holds(scene: Scene) -> tuple[Hold, ...]:
    holds = []
    if scene.pause is not None:
        holds.append(Hold(reason=HeldReason.Paused, detail=scene.pause.message))
    if scene.view.accepted is False or scene.view.resolved is False:
        detail = "; ".join(parent.detail for parent in scene.view.parents if parent.detail)
        holds.append(Hold(reason=HeldReason.NotAccepted, detail=f"a gateway does not accept the route: {detail}"))
    return tuple(holds)


def _readable(case: Case, route: Manifest | None) -> RouteView | None:
    """The route before its last change, if a driver could read it."""
    if route is None:
        return None
    try:
        return case.driver.backends(route, case.target)
    except RouteProblem:
        return None


def _onset(case: Case, known: Remediation) -> float:
    """As seen when it was opened; after a restart, as far as the record tells."""
    if case.onset is not None:
        return case.onset
    since = known.spec.diagnosis.since or known.status.opened_at or known.metadata.creation_timestamp
    return epoch_seconds(since) if since else 0.0
