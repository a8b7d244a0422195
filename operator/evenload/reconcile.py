"""One tick of one Balancer: observe, engine, record, act, in this order and nowhere else.

Nothing here computes or waits for traffic to move: what a write did is learnt from a later Snapshot. One Balancer's run
never overlaps itself (workqueue.py), so at most one writer works on a route.

Whatever a Balancer, its route, pods, Remediations or Prometheus hold concerns its own run alone: `tick` does not raise,
and a run that fails unexpectedly becomes a condition of that Balancer. After each `await` the store is asked anew: any
object may have been changed, deleted or made again meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any

import msgspec
import structlog

from evenload.act.apply import execute
from evenload.act.episode import closed, decode, is_open, progressed, step_of
from evenload.act.execution import Bench, Execution, Result
from evenload.act.outcome import Tick, counted_on, culprit, measured, unmended
from evenload.act.remediations import amend, newest, open_remediation, prune
from evenload.act.retries import Retries
from evenload.api.v1alpha1 import Balancer, Remediation, RemediationStatus
from evenload.api.values import moment
from evenload.case import Case, identity_of, read, source_within
from evenload.engine import Engine
from evenload.errors import InputError, KubeError, NotFound, Unavailable
from evenload.history.warm import Newcomer
from evenload.history.warming import WarmStarts
from evenload.kube.client import Client
from evenload.kube.resources import BALANCERS, Manifest
from evenload.model.decision import Decision, EpisodeMove
from evenload.model.episode import Phase
from evenload.model.plan import PodAction, Write
from evenload.model.snapshot import Snapshot
from evenload.model.spec import Mode
from evenload.model.wording import printable
from evenload.observe.cluster import ClusterView
from evenload.observe.prometheus import Interest, Samples, SignalReader
from evenload.publishing import StatusPublisher
from evenload.record.conditions import Trouble
from evenload.record.events import Bulletin, Happening, applied, not_made, refused, timeline
from evenload.record.journal import Journal
from evenload.record.metrics import Metrics
from evenload.returning import Returns
from evenload.settings import Settings
from evenload.sight import ROUTE_TAKEN, Observer, Sight, paused_by
from evenload.store import Key, Store, balancer_of, key_of
from evenload.workqueue import Pace, WorkQueue

_log = structlog.get_logger()


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
        self._reader = reader
        self._client = client
        self._bulletin = bulletin
        self._journal = journal
        self._metrics = metrics
        self._settings = settings
        self._not_leading = not_leading
        self._paused = paused
        self._now = now
        self._samples: dict[Key, Samples] = {}
        self._reading: dict[Key, asyncio.Task[None]] = {}  # whose signals are being read, by which read
        self._met: dict[Key, Case] = {}  # of each Balancer that this process has begun to look after: how it began
        self._warming: WarmStarts[Key] = WarmStarts(
            self._warmed,
            installation_url=settings.prometheus_url,
            tick_seconds=settings.tick_seconds,
            deadline_seconds=settings.query_timeout_seconds,
            access=reader.access_for,
        )
        self._monotonic = monotonic
        self._retries = Retries(settings.tick_seconds, monotonic)
        self._served: dict[Key, float] = {}  # when its last run came to an end, by the monotonic clock
        max_mode = Mode(settings.max_mode)
        self._observer = Observer(
            store=store,
            cluster=cluster,
            source_of=partial(source_within, settings),
            max_mode=lambda status: max_mode,
            foreign_backends=settings.cross_namespace_backends,
            paused=paused,
            now=now,
            audit_failed=metrics.audit_failed,
        )
        self._statuses = StatusPublisher(
            store=store,
            client=client,
            bulletin=bulletin,
            metrics=metrics,
            max_mode=max_mode,
            audited=self._observer.audited,
            now=now,
        )
        self._returns = Returns(
            store=store,
            cluster=cluster,
            client=client,
            retries=self._retries,
            max_mode=max_mode,
            paused=paused,
            not_leading=not_leading,
            now=now,
        )

    # A tick: one read of signals for all, then a run for each.

    async def tick(self) -> None:
        """Have every Balancer's signals read together, by the deadline, and each looked at. Does not raise.

        It ends as soon as those are looked at that hang on no tenant's server or query. The others are looked at as
        their answers come, and asked again by the first tick after that.
        """
        interests = {key: each for key, each in (await self._interests()).items() if key not in self._reading}
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def ready(samples: dict[Key, Samples]) -> None:
            if begun.done():
                self._look_on(samples)
            else:
                self._begin_turn(interests, samples)
                begun.set_result(None)

        reading = asyncio.create_task(self._read(interests, ready), name="read")
        self._reading |= dict.fromkeys(interests, reading)
        await asyncio.wait((reading, begun), return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            reading.result()

    async def _read(self, interests: Mapping[Key, Interest], ready: Callable[[dict[Key, Samples]], None]) -> None:
        try:
            await self._reader.read(interests, ready)
        finally:
            this = asyncio.current_task()
            self._reading = {key: reading for key, reading in self._reading.items() if reading is not this}

    def _begin_turn(self, interests: Collection[Key], samples: dict[Key, Samples]) -> None:
        """Look at all of which no answer is to come."""
        self._observer.begin_turn()
        awaited = {key for key in (*interests, *self._reading) if key not in samples}
        self._samples = {key: known for key, known in self._samples.items() if key in awaited}
        self._look_on(samples, self._known() - awaited)

    def _look_on(self, samples: dict[Key, Samples], keys: Collection[Key] | None = None) -> None:
        """Look at those whose answers these are; or at `keys`, of which some need none."""
        for key in samples:
            self._reading.pop(key, None)
        self._samples |= samples
        self._look_at(samples.keys() if keys is None else keys)

    async def _interests(self) -> dict[Key, Interest]:
        pace = Pace()
        found: dict[Key, Interest] = {}
        for key in self._store.balancers.all_keys():
            if (interest := self._observer.interest(key)) is not None:
                found[key] = interest
            await pace.give_way()
        return found

    def _known(self) -> set[Key]:
        """Every Balancer, and what is left of those that are gone."""
        known = {
            *self._store.balancers.all_keys(),
            *self._observer.cases,
            *map(Key._make, self._metrics.balancers),
            *self._orphaned(),
            *self._returns.orphaned(),
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
        for reading in {*self._reading.values()}:
            reading.cancel()
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

    # Warm start: an engine that begins here is shown the last minutes before it is asked.

    def _take_on(self, keys: Iterable[Key]) -> None:
        """Begin, in the background, with the Balancers that this process meets for the first time."""
        self._warming.begin([key for key in keys if self._meets(key)], self._newcomer, self._now())

    def _meets(self, key: Key) -> bool:
        """Whether it is there, its metrics are known, and it is not known already."""
        case, met = self._observer.cases.get(key), self._met.get(key)
        if case is None or case.source.preset is None or (met is not None and met.identity[0] == case.identity[0]):
            return False
        self._met[key] = case
        self._served[key] = self._monotonic()  # its wait begins: one that is made again is another Balancer
        return True

    def _newcomer(self, key: Key) -> Newcomer | None:
        """None where it is gone by now, or its own run will find what is wrong."""
        case = self._observer.cases.get(key)
        try:
            sight = self._observer.sight(key)
            return self._taken_on(key, case, sight) if case is not None and isinstance(sight, Sight) else None
        except Exception:  # whatever it holds: its own run finds out
            return None

    def _taken_on(self, key: Key, case: Case, sight: Sight) -> Newcomer:
        now = self._observer.snapshot(key, sight, self._samples[key])
        return Newcomer(
            spec=sight.balancer.spec,
            source=case.source,
            view=sight.view,
            fleet=sight.fleet,
            last_write=now.last_write,
            known_good=now.known_good,
            episode=now.episode,
            ledger=now.ledger,
            expected_pods=self._observer.pods_in(sight.namespaces),
        )

    def _warmed(self, key: Key, engine: Engine | None) -> None:
        """Only the Case that was there when it began may have that engine: a later spec is another one's."""
        case = self._observer.cases.get(key)
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
            await self._statuses.unreadable(key, Trouble(reason="InvalidSpec", message=str(error)))
        except Exception as error:
            await self._statuses.failure(key, error)
            raise
        finally:
            if key in self._served and key not in self._warming:
                self._served[key] = self._monotonic()

    async def _run(self, key: Key) -> None:
        if key.namespace in self._store.unlisted:
            return
        returned = await self._returns.settle(key)
        manifest = self._store.balancers.get(key)
        if manifest is None:
            await self._forget(key)
            return
        balancer = read(manifest)
        for happening in returned:
            await self._bulletin.post(balancer.metadata, happening)
        await self._end_orphans(key, balancer.metadata.uid)
        sight = self._observer.sight(key)
        if isinstance(sight, Trouble):
            if sight.reason == ROUTE_TAKEN:
                await self._end_taken(key, sight)
            await self._statuses.trouble(key, balancer, sight)
            return
        case, samples = self._observer.cases[key], self._samples.get(key)
        if (
            key in self._warming
            or samples is case.judged  # nothing new to be seen: the same numbers twice would count twice
            or sight.view.resource_version == case.outdated_route
            or samples is None
            or samples.source != case.source  # asked for a spec that is no longer
        ):
            return
        case.judged = samples
        if case.look(samples, sight.fleet):
            return  # whose metrics these pods have is known now: the next tick asks for their numbers
        await self._step(key, case, sight, samples)

    async def _step(self, key: Key, case: Case, sight: Sight, samples: Samples) -> None:
        snapshot = self._observer.snapshot(key, sight, samples)
        decision = case.engine.step(snapshot)
        case.ticks.append(Tick.of(decision))
        case.flight.record(snapshot)
        self._journal.tell(key.namespace, key.name, decision)
        happenings = case.chronicle.happenings(snapshot, decision)
        failure: KubeError | None = None
        unwritten, failing = "", self._retries.waiting(key)
        try:
            if failing is None:
                remediation = await self._move_episode(key, case, sight, snapshot, decision, happenings)
                self._retries.succeeded(key)
                done, unwritten = await self._act(key, case, sight, remediation, decision)
                happenings += done
        except KubeError as error:  # what is reported does not depend on what can be written
            failure, failing = error, self._retries.failed(key, str(error), error.retry_after_seconds)
            happenings += not_made(failing.told, self._now())
        finally:
            for happening in happenings:
                await self._bulletin.post(sight.balancer.metadata, happening, sight.view.namespace)
        told = failing.told if failing else ""
        await self._statuses.found(key, case, sight, snapshot, decision, unrecorded=told, unwritten=unwritten)
        if failure is not None:
            raise failure

    # Record and act.

    async def _move_episode(
        self,
        key: Key,
        case: Case,
        sight: Sight,
        snapshot: Snapshot,
        decision: Decision,
        happenings: tuple[Happening, ...],
    ) -> Manifest | None:
        """Open, continue or close the Remediation as decided; None where there is none open afterwards."""
        manifest, balancer = self._manifest(sight.open), sight.balancer
        if decision.episode is EpisodeMove.Open and manifest is None:
            before = newest(self._store.remediations_of(key))
            manifest = await open_remediation(
                self._client,
                balancer.metadata,
                decision,
                previous=before["metadata"]["name"] if before else None,
                approval_required=self._statuses.mode(balancer) is Mode.Approve,
                written=culprit(decision, snapshot.last_write),
            )
            self._store.remediations.put(manifest)
        if manifest is None or not is_open(manifest):
            return None
        ending = decision.episode is EpisodeMove.Close
        entries = timeline(happenings)

        def change(known: Remediation) -> RemediationStatus:
            if not ending:
                return counted_on(known, progressed(known, decision, entries), case.ticks)
            return self._ended(case, balancer, known, decision, happenings)

        manifest = await amend(self._client, manifest, change)
        self._store.remediations.put(manifest)
        if not ending:
            return manifest
        self._metrics.closed(key.namespace, key.name, decode(manifest))
        try:
            await prune(self._client, self._store.remediations_of(key), balancer.spec.history_limit, self._now())
        except KubeError as error:  # the next one that closes takes them along
            _log.warning("prune-failed", namespace=key.namespace, balancer=key.name, error=str(error))
        return None

    def _ended(
        self, case: Case, balancer: Balancer, known: Remediation, decision: Decision, happenings: tuple[Happening, ...]
    ) -> RemediationStatus:
        outcome = measured(known, progressed(known, decision), case.ticks, closed_at=decision.time)
        manifest = {"apiVersion": "evenload.dev/v1alpha1", "kind": "Balancer"} | {
            "metadata": {"name": balancer.metadata.name, "namespace": balancer.metadata.namespace},
            "spec": msgspec.to_builtins(balancer.spec),
        }
        recording = case.flight.pack(manifest, self._settings.tick_seconds)
        return closed(known, decision, outcome, recording, timeline(happenings))

    async def _act(
        self, key: Key, case: Case, sight: Sight, remediation: Manifest | None, decision: Decision
    ) -> tuple[tuple[Happening, ...], str]:
        """Do what is allowed now: at most one write. What happened, and why a write fails again and again."""
        write = next((action for action in decision.actions if isinstance(action, Write)), None)
        if write is None or remediation is None or _outrun(sight.open, remediation):
            return (), ""
        now, subject = self._now(), self._observer.subject(key, sight)
        if isinstance(write, PodAction) and self._store.ledger.of(subject, now) != case.ledger:
            return (), ""  # another Balancer restarts these pods since this was decided: decide anew
        bench = Bench(
            cluster=self._client,
            driver=case.driver,
            target=case.target,
            namespace=key.namespace,
            veto=lambda: self._veto(key, case),
            now=self._now,
            retries=self._retries,
        )
        with self._store.ledger.under_way(subject, write, now):
            execution = await execute(bench, remediation, write, decision)
            self._store.remediations.put(execution.remediation)
        if (
            execution.result is Result.Applied
            and not isinstance(write, PodAction)
            and sight.view.weights != write.after
        ):
            case.outdated_route = sight.view.resource_version
        _log.info(
            "executed",
            namespace=key.namespace,
            balancer=key.name,
            action=type(write).__name__,
            step=execution.step.name if execution.step else None,
            result=execution.result.value,
            detail=execution.detail or None,
        )
        return self._told(execution), execution.trouble

    async def _veto(self, key: Key, case: Case) -> str | None:
        """Why nothing may be written now. The Balancer is read live: a watch may be late or broken without a sign.
        Raises Unavailable where it cannot be read."""
        if reason := self._not_leading() or self._paused():
            return reason
        try:
            manifest = await self._client.get(BALANCERS, key.namespace, key.name)
        except NotFound:
            return "the Balancer is gone"
        except KubeError as error:
            raise Unavailable(f"the Balancer could not be read before the write: {error}") from error
        self._store.balancers.put(manifest)
        if identity_of(manifest) != case.identity or "deletionTimestamp" in manifest["metadata"]:
            return "the Balancer was changed or deleted since this was decided; the next tick decides anew"
        pause = paused_by(manifest)
        return pause.message if pause else self._not_leading()

    def _told(self, execution: Execution) -> tuple[Happening, ...]:
        name, now = execution.remediation["metadata"]["name"], self._now()
        if execution.step is None:
            return () if execution.result is Result.Waiting else not_made(execution.trouble, now)
        step = step_of(execution.step)
        match execution.result:
            case Result.Applied:
                return (applied(name, step, now),)
            case Result.Refused | Result.DisruptionRefused | Result.Gone:
                return (refused(name, step, execution.detail, now),)
            case _ if execution.trouble:
                return (refused(name, step, execution.trouble, now),)
            case _:
                return ()

    # Ends.

    async def _forget(self, key: Key) -> None:
        """The Balancer is gone: its weights stay as they are, and its open Remediation ends."""
        for memory in (self._observer.cases, self._samples, self._met, self._served):
            memory.pop(key, None)
        self._warming.forget(key)
        self._journal.forget(key.namespace, key.name)
        self._metrics.forget(key.namespace, key.name)
        await self._end_orphans(key, None)

    async def _end_orphans(self, key: Key, uid: str | None) -> None:
        """Open Remediations of Balancers that had this name before the one of this `uid`."""
        for manifest in self._store.remediations_of(key):
            if is_open(manifest) and (uid is None or manifest["spec"]["balancerRef"].get("uid", uid) != uid):
                await self._end(manifest, "the Balancer was deleted")

    async def _end_taken(self, key: Key, trouble: Trouble) -> None:
        """Its open Remediations: the route is another Balancer's now, and stays as it is."""
        for manifest in self._store.remediations_of(key):
            if is_open(manifest):
                await self._end(manifest, f"{trouble.reason}: {trouble.message}")

    async def _end(self, manifest: Mapping[str, Any], why: str) -> None:
        """Whatever keeps it from being ended keeps no Balancer from its run: it is tried again, ever more rarely."""
        what = (*key_of(manifest), "end")
        if self._retries.waiting(what):
            return

        def ended(known: Remediation) -> RemediationStatus:
            return msgspec.structs.replace(
                known.status,
                phase=Phase.Expired,
                closed_at=moment(self._now()),
                held=printable(why)[:4096],
                outcome=unmended(known.status.outcome),
            )

        try:
            self._store.remediations.put(await amend(self._client, dict(manifest), ended))
            self._retries.succeeded(what)
        except (KubeError, InputError) as error:  # InputError: a version that we do not know has written it
            self._retries.failed(what, str(error))
            _log.warning("remediation-not-ended", namespace=what[0], remediation=what[1], error=str(error))

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


def _outrun(known: Remediation | None, stored: Manifest) -> bool:
    """Whether it has steps that the decision knew nothing of: another operator is at work. Look again next tick."""
    decided_on = {record.name for record in known.status.steps} if known else set()
    return {step["name"] for step in stored.get("status", {}).get("steps", ())} != decided_on
