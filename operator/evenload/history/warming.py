"""The warm starts under way, each in a task with a time box: nobody's Prometheus keeps another Balancer waiting.

Balancers that ask the installation's own Prometheus the same questions share one task, as they share the queries. Each
of the others has a task of its own, one at a time a namespace and a few at a time in all, so that many slow addresses
cost neither threads without end nor anybody else's start. Whoever's turn does not come in time starts cold.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Final, Generic, TypeVar
from weakref import WeakValueDictionary

import structlog

from evenload.engine import Engine
from evenload.history.warm import BUDGET_SECONDS, GiveUp, Newcomer, Warmed, warm_engines
from evenload.observe.queries import Source

TIME_BOX_SECONDS: Final = BUDGET_SECONDS + 2.0
SHARED_AT_ONCE: Final = 2
ALONE_AT_ONCE: Final = 4

K = TypeVar("K")
Group = Mapping[K, Newcomer]

_log = structlog.get_logger()


class WarmStarts(Generic[K]):
    """`begin` some; `ended(key, engine)` follows once for each, with None for a cold start. Until then `key in` it."""

    def __init__(
        self,
        ended: Callable[[K, Engine | None], None],
        *,
        installation_url: str = "",
        time_box_seconds: float = TIME_BOX_SECONDS,
        **options: Any,
    ) -> None:
        """`options` are those of `warm_engines`. `installation_url`: the Prometheus whose queries may be shared."""
        self._ended = ended
        self._installation_url = installation_url.rstrip("/")
        self._time_box_seconds = time_box_seconds
        self._options = options
        self._under_way: dict[K, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._lanes: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by namespace
        self._slots = {True: asyncio.Semaphore(SHARED_AT_ONCE), False: asyncio.Semaphore(ALONE_AT_ONCE)}
        self._threads = ThreadPoolExecutor(SHARED_AT_ONCE + ALONE_AT_ONCE, thread_name_prefix="warm-start")

    def __contains__(self, key: K) -> bool:
        return key in self._under_way

    def __iter__(self) -> Iterator[K]:
        return iter(tuple(self._under_way))

    def begin(self, keys: Collection[K], newcomer: Callable[[K], Newcomer | None], now: float) -> None:
        """`now`: seconds since the epoch. One that is begun again is waited for under its new start alone.

        `newcomer` says what is known of each now; None for one that cannot be warmed. At a start there are thousands:
        they are looked at in the background, one after the other.
        """
        if keys:
            self._spawn(self._prepare(keys, newcomer, now), keys)

    def _spawn(self, work: Coroutine[None, None, None], keys: Iterable[K]) -> None:
        task = asyncio.create_task(work, name="warm-start")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._under_way.update(dict.fromkeys(keys, task))

    async def _prepare(self, keys: Iterable[K], newcomer: Callable[[K], Newcomer | None], now: float) -> None:
        task = asyncio.current_task()
        found: dict[K, Newcomer | None] = {}
        for key in keys:
            if self._under_way.get(key) is task:
                found[key] = newcomer(key)
            await asyncio.sleep(0)
        mine = {key: each for key, each in found.items() if self._under_way.get(key) is task}
        for group in self._groups({key: each for key, each in mine.items() if each is not None}):
            self._spawn(self._run(group, now), group)
        self._end({key: each for key, each in mine.items() if each is None}, {})

    def forget(self, key: K) -> None:
        """Its Balancer is gone: what its task finds is dropped."""
        self._under_way.pop(key, None)

    def close(self) -> None:
        """End all of them; no `ended` follows."""
        self._under_way.clear()
        for task in self._tasks:
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _groups(self, newcomers: Group[K]) -> Iterator[Group[K]]:
        together: dict[Source, dict[K, Newcomer]] = {}
        for key, newcomer in newcomers.items():
            if self._shares(newcomer):
                together.setdefault(newcomer.source, {})[key] = newcomer
            else:
                yield {key: newcomer}
        yield from together.values()

    def _shares(self, newcomer: Newcomer) -> bool:
        return newcomer.source.url == self._installation_url and not newcomer.source.overrides

    async def _run(self, group: Group[K], now: float) -> None:
        engines: Mapping[K, Engine] = {}
        try:
            async with asyncio.timeout(self._time_box_seconds), self._turn(group):
                engines = await self._warmed(group, now)
        except TimeoutError:
            _log.warning("cold-start", problem=f"not warm within {self._time_box_seconds:g} s", balancers=len(group))
        except Exception:  # the past is a help, not a need
            _log.exception("warm-start-failed", balancers=len(group))
        finally:
            self._end(group, engines)

    def _end(self, group: Iterable[K], engines: Mapping[K, Engine]) -> None:
        task = asyncio.current_task()
        for key in group:
            if self._under_way.get(key) is task:
                del self._under_way[key]
                self._ended(key, engines.get(key))

    @asynccontextmanager
    async def _turn(self, group: Group[K]) -> AsyncIterator[None]:
        """One at a time a namespace and a few at a time in all, those of other addresses apart from the others."""
        one = next(iter(group.values()))
        namespaces = {newcomer.view.namespace for newcomer in group.values()}
        lane = one.view.namespace if len(namespaces) == 1 else ""
        async with self._lanes.setdefault(lane, asyncio.Lock()), self._slots[self._shares(one)]:
            yield

    async def _warmed(self, group: Group[K], now: float) -> Mapping[K, Engine]:
        give_up = GiveUp()

        def work() -> Warmed[K]:
            return warm_engines(group, now=now, give_up=give_up, **self._options)

        try:
            warmed = await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            give_up()
        for problem in warmed.problems:
            _log.warning("cold-start", problem=problem)
        _log.info("warm-start", warm=len(warmed.engines), cold=len(group) - len(warmed.engines))
        return warmed.engines
