"""The composition root: builds every part, starts them in order, and ends the process when one that matters ends.

A replica that is not the leader watches and serves its pages, and does nothing else; it is ready to take over. When the
lease is lost the process ends at once: what was in flight is resumed from the cluster by the next leader.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from itertools import chain, repeat
from typing import Any

import kopf
import msgspec
import structlog

from evenload import __version__, clock, handlers, health
from evenload.act.recordings import MOST_DROPPED, decode_without_recording, drop_recording, surplus_recordings
from evenload.act.remediations import retire
from evenload.api.v1alpha1 import PAUSED_ANNOTATION
from evenload.drivers import enabled
from evenload.errors import InputError, KubeError, NotFound
from evenload.history.warming import TIME_BOX_SECONDS
from evenload.kube import config
from evenload.kube.client import Client
from evenload.kube.lease import LeaderElector
from evenload.kube.reflector import FORBIDDEN, Backoff, Reflector
from evenload.kube.resources import BALANCERS, REMEDIATIONS, Manifest, Resource
from evenload.observe.access import Access
from evenload.observe.access import from_files as access_from_files
from evenload.observe.cluster import ClusterView
from evenload.observe.prometheus import SignalReader
from evenload.observe.queries import installation_matchers
from evenload.presets import with_own
from evenload.reconcile import Reconciler
from evenload.record.events import Bulletin
from evenload.record.journal import Journal
from evenload.record.log import conceal, configure
from evenload.record.metrics import Metrics
from evenload.settings import Settings
from evenload.store import Key, Objects, Store, key_of

# A tick that did not end for so long, or a Balancer that was not looked after, is stuck: the kubelet should start us
# anew. A warm start may take its time box.
STUCK_TICKS = 6
# From SIGTERM or a lost Lease until the process is gone, whatever hangs. The next leader may begin by then.
EXIT_SECONDS = 5.0
# kopf's watch never tells what was deleted while it was broken; a list of names now and then does.
SWEEP_SECONDS = 300.0
# It begins with a list of its own, some seconds after ours: what was deleted in between neither of them tells.
FIRST_SWEEPS_SECONDS = (5.0, 10.0, 20.0)
# How often it is looked whether there are too many flight recordings; longer after one that could not be dropped.
RECORDINGS_SECONDS, RECORDINGS_RETRY_SECONDS = 30.0, 300.0
LISTED_SECONDS = 30.0  # a list of Remediations that takes longer is said in the log
LOST_LEASE = 1
FAILED = 1

_log = structlog.get_logger()


def main() -> None:
    """Run the operator until it is told to stop."""
    try:
        settings = Settings.from_environment()
        configure(settings.log_format, settings.log_level)
        code = asyncio.run(Operator(settings).run())
        # Not sys.exit: it would wait for threads, which may wait for a server.
        _end_process(code)
    except InputError as error:
        sys.exit(f"evenload: {error}")


def _end_process(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


class Operator:
    """One replica. Raises InputError naming what of the settings cannot be.

    `now` is the wall clock, seconds since the epoch; nothing that must not wait for it goes by it.
    """

    def __init__(self, settings: Settings, *, now: Callable[[], float] = clock.now) -> None:
        self._settings = settings
        self._now = now
        self._metrics = Metrics(__version__)
        self._store = Store()
        self._stopping = asyncio.Event()
        self._ticked_at: float | None = None  # or when it was elected, before its first tick has ended
        self._exit_code = 0
        installation_matchers(settings.matchers)
        with_own(settings.prometheus_presets)
        self._access = _access_to_prometheus(settings)

    async def run(self) -> int:
        """Returns the process's exit code."""
        settings, metrics = self._settings, self._metrics
        self._connection = config.load()
        conceal(self._connection.unsigned)
        async with Client(
            self._connection,
            observer=lambda verb, code, seconds: metrics.request_duration.labels(verb, code).observe(seconds),
        ) as client:
            identity = f"{settings.pod_name or socket.gethostname()}-{os.getpid()}"
            self._remediations = Reflector(
                client,
                REMEDIATIONS,
                decode_without_recording,
                settings.namespaces,
                on_change=lambda key, before, after: _told(self._store.remediations, before, after),
            )
            self._cluster = ClusterView(
                client,
                settings.namespaces,
                reference_grants=settings.cross_namespace_backends,
                drivers=enabled(settings.disabled),
                now=self._now,
            )
            self._elector = LeaderElector(
                client, settings.lease_name, settings.pod_namespace, identity, on_lost=self._lost
            )
            reader = SignalReader(
                trusted_url=settings.prometheus_url,
                access=self._access,
                deadline_seconds=settings.query_timeout_seconds,
                observer=metrics.prometheus_query,
            )
            self._reconciler = reconciler = Reconciler(
                store=self._store,
                cluster=self._cluster,
                reader=reader,
                client=client,
                bulletin=Bulletin(client, identity, on_failure=metrics.events_failed.inc),
                journal=Journal(_log),
                metrics=self._metrics,
                settings=settings,
                not_leading=self._not_leading,
                paused=self._paused,
                now=self._now,
            )
            metrics.queue_depth.set_function(lambda: reconciler.queue.depth)
            metrics.leader.set_function(lambda: float(self._not_leading() is None))
            pages = health.application(healthy=self._healthy, ready=self._ready, metrics=self._metrics.exposition)
            server = await health.serve(pages, settings.listen_port)
            try:
                await self._serve(client, reconciler)
            finally:
                reconciler.close()
                reader.close()
                await server.cleanup()
        return self._exit_code

    async def _serve(self, client: Client, reconciler: Reconciler) -> None:
        """Watch at once; work once elected. Whatever ends or fails first ends all."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stopping.set)
        election = [asyncio.create_task(self._elector.run(), name="lease")] if self._settings.leader_election else []
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(self._cluster.run(), name="cluster"),
            asyncio.create_task(self._lead(client, reconciler), name="lead"),
        ]
        tasks.append(asyncio.create_task(self._stopping.wait(), name="stop"))
        try:
            done, _ = await asyncio.wait([*election, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except BaseException:
            self._exit_code = FAILED
            raise
        finally:
            self._leave()
            # The lease goes back last, when nothing of ours can write any more.
            await _cancelled(tasks)
            await _cancelled(election)

    def _leave(self) -> None:
        """Whatever hangs from now on, the process is gone in EXIT_SECONDS."""
        timer = threading.Timer(EXIT_SECONDS, _end_process, (self._exit_code,))
        timer.daemon = True
        timer.start()

    async def _lead(self, client: Client, reconciler: Reconciler) -> None:
        if self._settings.leader_election:
            await self._elector.elected.wait()
        self._ticked_at = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as work:
            # From the election on: what is listed now is what the last leader left.
            work.create_task(self._remediations.run(), name="remediations")
            await self._sweep_once(client)
            work.create_task(reconciler.queue.work(), name="queue")
            work.create_task(self._drop_recordings(client), name="recordings")
            work.create_task(self._tick(reconciler), name="tick")
            work.create_task(self._sweep_again(client), name="sweep")
            work.create_task(self._watch_own(), name="kopf")

    async def _tick(self, reconciler: Reconciler) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            started = loop.time()
            if self._cluster.tried:
                await reconciler.tick()
            for kind, number in self._cluster.unreadable.items():
                self._metrics.unreadable_objects.labels(kind).set(number)
            self._ticked_at = loop.time()
            self._metrics.tick_duration.observe(self._ticked_at - started)
            self._metrics.tick_lag.set(started - due)
            # Skip what was missed rather than catch up: late ticks would see the same samples twice.
            due = max(due + self._settings.tick_seconds, loop.time())
            await asyncio.sleep(due - loop.time())

    async def _sweep_once(self, client: Client) -> None:
        """Before the first tick, however often it takes: a Remediation that is not known would be opened twice.

        Of several namespaces, one that may not be listed keeps no other waiting: it is left alone until it may be.
        """
        backoff, namespaces = Backoff(), self._settings.namespaces
        while failed := await self._unswept(client, BALANCERS, self._store.balancers, whole=True):
            if len(failed) < len(namespaces) and all(error.status == FORBIDDEN for error in failed.values()):
                break
            await asyncio.sleep(backoff.seconds())
        known = self._remediations
        while not (known.synced or (known.answered and any(map(known.synced_in, namespaces)))):
            try:
                async with asyncio.timeout(LISTED_SECONDS):
                    await known.wait_synced()
            except TimeoutError:
                _log.warning("remediations-not-listed", error=known.problem)
        self._store.unlisted.update(each for each in namespaces if each in failed or not known.synced_in(each))

    async def _sweep_again(self, client: Client) -> None:
        for seconds in chain(FIRST_SWEEPS_SECONDS, repeat(SWEEP_SECONDS)):
            await asyncio.sleep(seconds)
            failed = await self._unswept(client, BALANCERS, self._store.balancers)
            known = {each for each in self._store.unlisted if each not in failed and self._remediations.synced_in(each)}
            self._store.unlisted -= known
            if not await self._unswept(client, REMEDIATIONS, self._store.remediations) and not failed:
                await self._retired(client)

    async def _retired(self, client: Client) -> None:
        """Age out what deleted Balancers left. What could not be deleted is tried again after the next sweep."""
        try:
            await retire(client, self._store.left_behind(), self._now())
        except KubeError as error:
            _log.warning("retire-failed", error=str(error))

    async def _drop_recordings(self, client: Client) -> None:
        """Keep the flight recordings of the whole installation within what the settings allow."""
        while True:
            await asyncio.sleep(RECORDINGS_SECONDS)
            most = self._settings.recordings_mebibytes << 20
            doomed = surplus_recordings(self._store.remediations, most)[:MOST_DROPPED]
            refused, why = 0, ""
            for manifest in doomed:
                try:
                    left = await drop_recording(client, manifest)
                except KubeError as error:
                    refused, why = refused + 1, str(error)
                    continue
                if left is not None:
                    self._store.remediations.put(left)
            if doomed:
                _log.info("recordings-dropped", dropped=len(doomed) - refused)
            if refused:
                _log.warning("recordings-not-dropped", number=refused, error=why)
                await asyncio.sleep(RECORDINGS_RETRY_SECONDS)

    async def _unswept(
        self, client: Client, resource: Resource, objects: Objects, *, whole: bool = False
    ) -> dict[str | None, KubeError]:
        """Take in what the watch has missed; where that was not possible, and why. `whole`: nothing is known yet."""
        failed: dict[str | None, KubeError] = {}
        for namespace in self._settings.namespaces or (None,):
            try:
                await _sweep(client, resource, objects, namespace, whole=whole)
            except KubeError as error:
                _log.warning("sweep-failed", kind=resource.kind, error=str(error))
                failed[namespace] = error
        return failed

    async def _watch_own(self) -> None:
        namespaces = self._settings.namespaces
        await kopf.operator(
            registry=handlers.registry(self._store, self._connection),
            settings=handlers.settings(),
            clusterwide=not namespaces,
            namespaces=namespaces,
            stop_flag=self._stopping,
        )
        self._stopping.set()

    # What others ask.

    def _not_leading(self) -> str | None:
        if self._stopping.is_set():
            return "the operator is stopping"
        if self._settings.leader_election and not self._elector.leads():
            return "this replica is not the leader any more"
        return None

    def _paused(self) -> str | None:
        if self._settings.paused:
            return "the installation is paused (value `paused` of the chart)"
        word = self._elector.annotations.get(PAUSED_ANNOTATION)
        if word is not None and word != "false":
            lease = f"{self._settings.pod_namespace}/{self._settings.lease_name}"
            return f"the installation is paused (annotation {PAUSED_ANNOTATION} of Lease {lease}): {word}"
        return None

    def _lost(self) -> None:
        self._exit_code = LOST_LEASE
        self._stopping.set()

    def _healthy(self) -> str | None:
        if self._ticked_at is None:
            return None
        limit = STUCK_TICKS * self._settings.tick_seconds + self._settings.query_timeout_seconds
        since = asyncio.get_running_loop().time() - self._ticked_at
        if since > limit:
            return f"no tick has ended for {since:.0f} s"
        waited = self._reconciler.longest_wait_seconds
        return f"a Balancer has not been looked after for {waited:.0f} s" if waited > limit + TIME_BOX_SECONDS else None

    def _ready(self) -> str | None:
        if not self._cluster.usable:
            return "; ".join(self._cluster.troubles) or "the cluster is still being listed"
        return None


async def _sweep(client: Client, resource: Resource, objects: Objects, namespace: str | None, *, whole: bool) -> None:
    """Read the list into `objects`: `whole`, or by names and versions alone, to read what is newer than what is known.

    A namespace's list says nothing of the others. Raises KubeError.
    """
    seen: set[Key] = set()
    outdated: list[Key] = []
    version = "0"
    async for page in client.pages(resource, namespace, metadata_only=not whole):
        for item in page.items or ():
            manifest = msgspec.json.decode(item, type=Manifest)
            seen.add(key_of(manifest))
            if whole:
                objects.put(manifest)
            elif objects.outdated(manifest):
                outdated.append(key_of(manifest))
        version = page.metadata.resource_version
    objects.sweep_out(seen, int(version), namespace)
    for key in outdated:
        with contextlib.suppress(NotFound):  # it is gone since, and the watch tells
            objects.put(await client.get(resource, *key))


def _told(objects: Objects, before: Manifest | None, after: Manifest | None) -> None:
    """A Reflector's change."""
    if after is not None:
        objects.put(after)
    elif before is not None:
        objects.remove(before)


def _access_to_prometheus(settings: Settings) -> Access:
    """Files that cannot be read yet are no reason to stop: a tick says so, and another may find them there."""
    return access_from_files(
        token_file=settings.prometheus_token_file,
        username_file=settings.prometheus_username_file,
        password_file=settings.prometheus_password_file,
        headers=settings.headers,
        headers_folder=settings.prometheus_headers_folder,
        ca_file=settings.prometheus_ca_file,
        cert_file=settings.prometheus_cert_file,
        key_file=settings.prometheus_key_file,
    )


async def _cancelled(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
