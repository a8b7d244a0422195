"""Reads signals from Prometheus: one query a signal for all Balancers that want the same, within a deadline.

A slow Prometheus must never slow a tick: each query runs in a thread, a tick takes what has come by its deadline, and a
query that is still under way is not asked again until it has ended. Whatever goes wrong is a Reading with a `problem`
in words; nothing is raised into the tick, and nothing absent becomes a number.

Tenants share this reader, and some of what it is asked comes from them. What the installation asks of its own
Prometheus has threads of its own. What a tenant decides (another address, or a query) has others, given out fairly by
namespace; its answers are small, by the pods that are expected; it is shared with nobody else's Balancers; and of
another address nothing is repeated in a message: it may be any server that the operator can reach.

What `prometheus-api-client` would do by default and must not: wait without a timeout, retry, put a POST's query into
the URL, follow redirects, take proxies and passwords from the environment, parse with the slow standard parser.
`transport` sees to that. Tokens, passwords, headers and certificates go to the installation's own Prometheus alone,
never to an address from a Balancer.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import re
import sys
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Set
from concurrent.futures import Future
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
import requests
from urllib3 import Retry

from evenload.errors import EvenloadError, InputError, InvariantBroken, SignalsUnavailable
from evenload.model.snapshot import SIGNALS, SignalName
from evenload.observe.access import Access
from evenload.observe.address import normal, redacted
from evenload.observe.copies import Labels, PodName, Told, sort_out
from evenload.observe.fair import FairThreads
from evenload.observe.queries import PodLabels, Source, duration, quoted, render, render_copies, shared
from evenload.observe.room import Full, Share
from evenload.observe.transport import NO_ACCESS, Body, HttpStatus, Limits, Session

__all__ = ["Interest", "Limits", "Prometheus", "Reading", "Samples", "SignalReader", "parse", "redacted"]

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

DEADLINE_SECONDS: Final = 4.0
CONNECT_SECONDS: Final = 2.0
THREADS: Final = len(SIGNALS)
"""Of one Source of the installation; as many Sources again may be read at the same time."""
TENANTS_THREADS: Final = 8
TENANT_THREADS: Final = 3

LARGEST_ANSWER: Final = Limits(128 * 1024 * 1024)
"""150,000 pods need a third of it."""
SPARE_BYTES: Final = 16 * 1024 * 1024  # of the installation's own, for pods that are gone
SPARE_ROWS: Final = 20_000
TENANTS_SPARE_BYTES: Final = 1024 * 1024
TENANTS_SPARE_ROWS: Final = 20
TENANTS_LARGEST_BYTES: Final = 16 * 1024 * 1024
TENANTS_MOST_PODS: Final = 20_000
BYTES_A_POD: Final = 4096
ROWS_A_POD: Final = 12  # three kinds of rows, and a few targets
PODS_WHERE_UNKNOWN: Final = 200
LONGEST_COMPLAINT: Final = 200  # characters of what an error answer or a warning says
MOST_WARNINGS: Final = 10
LONGEST_NAME: Final = 253  # of a pod
ROWS_AT_ONCE: Final = 1000


def limits_for(pods: int, bytes_a_pod: int = BYTES_A_POD, *, tenant: bool) -> Limits:
    """What an answer may be, where so many pods are expected; 0: nobody knows. A tenant's question has smaller ones."""
    expected = pods or PODS_WHERE_UNKNOWN
    if not tenant:
        nbytes = min(SPARE_BYTES + bytes_a_pod * expected, LARGEST_ANSWER.nbytes)
        advice = (
            f", which is more than {expected:,} pods need; is it the Prometheus that is meant? If so, narrow what is "
            "asked with spec.signals.matchers"
        )
        return Limits(nbytes, SPARE_ROWS + ROWS_A_POD * expected, advice=advice)
    expected = min(expected, TENANTS_MOST_PODS)
    nbytes = min(TENANTS_SPARE_BYTES + bytes_a_pod * expected, TENANTS_LARGEST_BYTES)
    return Limits(nbytes, TENANTS_SPARE_ROWS + ROWS_A_POD * expected, tenant=True)


Observer = Callable[[str, float], None]
"""Told (outcome, seconds) of every query: "ok", "failed" or "late"."""

ByPod = dict[str, dict[str, float]]
"""Namespace -> pod -> number. The namespace is "" where a person's query leaves it out."""

LabelNames = tuple[str, ...]
MOST_LABEL_NAMES: Final = 12
_LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,63}")
_TARGET_LABELS: Final = frozenset({"__name__", "evenload", "job", "instance"})  # say nothing about the request


class Reading(msgspec.Struct, kw_only=True):
    """One signal as answered, for all pods of the shared query. NaN and infinities are kept: `join` names them."""

    values: ByPod = {}
    idle: ByPod = {}
    uncoded: dict[str, dict[str, LabelNames]] = {}  # pods whose counter carries no status, and what labels it has
    coded: ByPod = {}
    ages: dict[str, float] = {}  # by namespace, seconds
    torn: ByPod = {}  # how often counters began anew
    found: dict[str, set[PodName]] = {}  # pods that have series of a preset which is looked for, by candidate
    several: dict[PodName, list[tuple[Labels, float]]] = {}  # rows of pods that have more than one, until `settle`
    refused: dict[str, dict[str, str]] = {}  # pods that have a number and nobody knows which, and why
    problem: str = ""
    warnings: tuple[str, ...] = ()


class Interest(msgspec.Struct, frozen=True, kw_only=True):
    """What one Balancer wants read."""

    source: Source
    namespaces: frozenset[str]
    pods: tuple[str, ...] = ()  # only looked at by a person's query that says $(pods)
    owner: str = ""  # the namespace of the Balancer; "": by the key it is read under
    expected_pods: int = 0  # 0: not known; what a tenant's question may be answered is limited by it


class Samples(msgspec.Struct, frozen=True, kw_only=True):
    """What one Balancer's signals were, as of one read."""

    source: Source
    readings: Mapping[SignalName, Reading]


class _Ask(msgspec.Struct, frozen=True):
    """One query. What it is for (not its text, which changes with the pods) is what must not pile up."""

    source: Source
    signal: SignalName
    owner: Hashable  # the Balancer, or the namespace, if the query is not shared by all


class _Question(msgspec.Struct, kw_only=True):
    """How an _Ask is asked now."""

    text: str = ""
    copies: str = ""  # what to ask then where pods have several rows; "": that is a mistake
    problem: str = ""  # why it cannot be asked
    owners: frozenset[str] = frozenset()  # namespaces of the Balancers that want it
    pods: int = 0  # expected in the answer


class _Line:
    """Questions that the same threads ask, each in its turn."""

    def __init__(self, whose: str) -> None:
        self.whose = whose
        self.length = 0


class _Asked(NamedTuple):
    """A question on its way."""

    future: Future[Reading]
    line: _Line


class SignalReader:
    """Call `read` once a tick. `close` it at the end."""

    def __init__(
        self,
        *,
        trusted_url: str = "",
        access: Access | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
        observer: Observer | None = None,
    ) -> None:
        """`access` is for `trusted_url` alone."""
        self._trusted_url = normal(trusted_url) if trusted_url else ""
        self._access = access
        self._deadline_seconds = deadline_seconds
        self._observe = observer or _ignore
        self._prometheuses: dict[tuple[str, bool], Prometheus] = {}
        self._under_way: dict[_Ask, Future[Reading]] = {}
        self._reads: list[Mapping[_Ask, _Question]] = []  # those that have not ended
        self._begun: dict[_Ask, float] = {}  # when each was last asked, by the monotonic clock
        self._threads = FairThreads(2 * THREADS, THREADS, "prometheus")
        self._tenants_threads = FairThreads(TENANTS_THREADS, TENANT_THREADS, "prometheus-own")

    async def read(
        self, interests: Mapping[K, Interest], ready: Callable[[dict[K, Samples]], None] | None = None
    ) -> dict[K, Samples]:
        """Every Balancer's signals, by the deadline; late and failed ones have a Reading that says so. Never raises.

        `ready` is called with all that ask what the installation asks by itself: they do not wait for what tenants
        decide. And then with each of the others, as its answers come. Another read may begin meanwhile.
        """
        wanted, questions, bundles = _wanted(interests, self._is_own)
        tell = ready or (lambda samples: None)
        self._reads.append(questions)
        try:
            asked = self._begin(questions, bundles)
            deadline = asyncio.get_running_loop().time() + self._deadline_seconds
            readings: dict[_Ask, Reading] = {}
            await self._await([ask for ask in questions if self._is_usual(ask.source)], asked, deadline, readings)
            samples = _samples(interests, wanted, readings)
            tell(dict(samples))

            async def rest(key: K) -> None:
                await self._await(wanted[key].values(), asked, deadline, readings)
                samples.update(found := _samples(interests, {key: wanted[key]}, readings))
                tell(found)

            await asyncio.gather(*[rest(key) for key in wanted if key not in samples])
        finally:
            self._reads = [each for each in self._reads if each is not questions]
        return samples

    def close(self) -> None:
        """Give up what is under way, at once."""
        for threads in (self._threads, self._tenants_threads):
            threads.close()
        for prometheus in self._prometheuses.values():
            prometheus.close()

    def _begin(self, questions: Mapping[_Ask, _Question], bundles: Iterable[Collection[_Ask]]) -> dict[_Ask, _Asked]:
        """Submit what is not under way: of many slow ones each has its turn."""
        self._forget({ask for read in self._reads for ask in read})
        asked: dict[_Ask, _Asked] = {}
        lines: dict[str, _Line] = {}
        with self._threads.together(), self._tenants_threads.together():
            for ask in _in_turn(bundles, self._begun):
                if ask not in self._under_way and ask not in asked:
                    asked[ask] = self._start(ask, questions[ask], lines)
        self._under_way |= {ask: each.future for ask, each in asked.items()}
        return asked

    async def _await(
        self, asks: Iterable[_Ask], asked: Mapping[_Ask, _Asked], deadline: float, readings: dict[_Ask, Reading]
    ) -> None:
        """Add what was answered by then; an ask that is not in `asked` is still under way from an earlier read."""
        asks = [ask for ask in asks if ask not in readings]
        waiting = [asyncio.wrap_future(asked[ask].future) for ask in asks if ask in asked]
        if waiting:
            await asyncio.wait(waiting, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
        for ask in asks:
            if ask not in readings:  # another Balancer that asks the same may have been quicker
                readings[ask] = self._outcome(ask, asked.get(ask))

    def _forget(self, asks: Set[_Ask]) -> None:
        """Let go of answers that came too late, and of what nobody asks any more."""
        for ask in tuple(self._begun):
            if ask not in asks:
                del self._begun[ask]
        self._under_way = {ask: future for ask, future in self._under_way.items() if not future.done()}
        wanted = {(ask.source.url, self._is_foreign(ask.source)) for ask in asks}
        for gone in self._prometheuses.keys() - wanted:
            self._prometheuses.pop(gone).close()
        usual = {self._is_usual(ask.source) for ask in asks}
        for threads, kind in ((self._threads, True), (self._tenants_threads, False)):
            threads.settle()
            if kind not in usual:
                threads.rest()

    def _start(self, ask: _Ask, question: _Question, lines: dict[str, _Line]) -> _Asked:
        """Never raises."""
        try:
            if question.problem:
                return self._known(ask, Reading(problem=question.problem))
            limits = limits_for(question.pods, tenant=self._is_own(ask.source))
            work = self._asking(ask, question, limits)
            threads, owner, whose = self._threads, ask.source.url, "to it"
            if not self._is_usual(ask.source):
                threads = self._tenants_threads
                owner = threads.cheapest(question.owners)
                whose = f"of namespace {owner}"
            line = lines.setdefault(owner, _Line(whose))
            line.length += 1
            return _Asked(threads.submit(owner, work), line)
        except Exception as error:
            return self._known(ask, self._failed(ask, error))

    def _known(self, ask: _Ask, reading: Reading) -> _Asked:
        """One that had its turn without being asked."""
        future: Future[Reading] = Future()
        future.set_result(reading)
        self._begun[ask] = time.monotonic()
        return _Asked(future, _Line(""))

    def _asking(self, ask: _Ask, question: _Question, limits: Limits) -> Callable[[], Reading]:
        prometheus = self._prometheus(ask.source)
        labels = ask.source.pod_labels(ask.signal)
        by_target = bool(question.copies)

        def read(body: Body) -> Reading:
            return parse(body, labels, limits, by_target=by_target)

        def run() -> Reading:
            """In a thread. Never raises."""
            started = self._begun[ask] = time.monotonic()
            try:
                reading = prometheus.now(question.text, read, limits)
                if reading.several:
                    told = prometheus.now(question.copies, lambda body: parse_copies(body, labels, limits), limits)
                    settle(reading, told, named=not limits.tenant)
            except SignalsUnavailable as error:
                reading = Reading(problem=str(error))
            except Exception as error:
                reading = self._failed(ask, error)
            if reading.warnings and prometheus.foreign:
                reading.warnings = (UNREPEATED,)
            self._observe("failed" if reading.problem else "ok", time.monotonic() - started)
            return reading

        return run

    def _outcome(self, ask: _Ask, asked: _Asked | None) -> Reading:
        where, seconds = redacted(ask.source.url), self._deadline_seconds
        if asked is None:
            return Reading(problem=f"Prometheus at {where} has still not answered the query of an earlier tick")
        future = asked.future
        if not future.done():
            self._observe("late", seconds)
            if not future.cancel():  # it goes on until its own timeout
                return Reading(problem=f"Prometheus at {where} did not answer within {seconds:g}s")
            line = asked.line
            turn = f"this is one of {line.length} questions {line.whose}, which are asked in turn and answered slowly"
            return Reading(problem=f"Prometheus at {where} was not asked within {seconds:g}s: {turn}")
        if future.cancelled():
            return Reading(problem=f"Prometheus at {where} was not asked: the reader is closed")
        error = future.exception()
        return future.result() if error is None else self._failed(ask, error)

    def _failed(self, ask: _Ask, error: BaseException) -> Reading:
        """For what no rule foresees, whatever it is."""
        return Reading(problem=f"Prometheus at {redacted(ask.source.url)} {_unforeseen(error)}")

    def access_for(self, url: str) -> Access | None:
        """How to sign in there: ours is for the installation's own Prometheus alone."""
        return self._access if self._trusted_url and normal(url) == self._trusted_url else None

    def _is_foreign(self, source: Source) -> bool:
        return source.foreign or bool(self._trusted_url and source.url != self._trusted_url)

    def _is_own(self, source: Source) -> bool:
        return source.own or self._is_foreign(source)

    def _is_usual(self, source: Source) -> bool:
        return source.usual and not self._is_foreign(source)

    def _prometheus(self, source: Source) -> Prometheus:
        foreign = self._is_foreign(source)
        known = self._prometheuses.get((source.url, foreign))
        if known is None:
            known = self._prometheuses[source.url, foreign] = Prometheus(
                source.url,
                access=None if foreign else self.access_for(source.url),
                deadline_seconds=self._deadline_seconds,
                foreign=foreign,
            )
        return known


def _in_turn(bundles: Iterable[Collection[_Ask]], begun: Mapping[_Ask, float]) -> list[_Ask]:
    """All of them, the bundle first that has an ask which was not begun for longest; and within it that ask."""
    timed = [sorted(((begun.get(ask, 0.0), ask) for ask in each), key=itemgetter(0)) for each in bundles if each]
    return [ask for bundle in sorted(timed, key=lambda each: each[0][0]) for _, ask in bundle]


def _samples(
    interests: Mapping[K, Interest], wanted: Mapping[K, Mapping[SignalName, _Ask]], readings: Mapping[_Ask, Reading]
) -> dict[K, Samples]:
    """Of those all of whose questions have their outcome."""
    return {
        key: Samples(source=interests[key].source, readings={signal: readings[ask] for signal, ask in asks.items()})
        for key, asks in wanted.items()
        if all(ask in readings for ask in asks.values())
    }


UNREPEATED: Final = "it answered with warnings; they are not repeated, as it is not the installation's Prometheus"


class _Party:
    """Those who want the same answer."""

    def __init__(self) -> None:
        self.namespaces: set[str] = set()
        self.owners: set[str] = set()
        self.pods = 0  # expected in the answer
        self.unknown = False  # somebody did not say how many to expect

    def add(self, owner: str, interest: Interest) -> None:
        expected = max(interest.expected_pods, len(interest.pods))
        self.namespaces |= interest.namespaces
        self.owners.add(owner)
        self.pods += expected
        self.unknown = self.unknown or not expected

    def join(self, other: _Party) -> None:
        self.namespaces |= other.namespaces
        self.owners |= other.owners
        self.pods += other.pods
        self.unknown = self.unknown or other.unknown

    def question(self, ask: _Ask, pods: Iterable[str] = ()) -> _Question:
        """Never raises: what cannot be written down is a problem of those who want it."""
        try:
            text = render(ask.source, ask.signal, self.namespaces, pods)
            by_target = ask.source.by_target(ask.signal)
            copies = render_copies(ask.source, ask.signal, self.namespaces) if by_target else ""
        except Exception as error:
            return _Question(problem=f"Prometheus was not asked: {error}")
        expected = self.pods + (PODS_WHERE_UNKNOWN if self.unknown else 0)
        return _Question(text=text, copies=copies, owners=frozenset(self.owners), pods=expected)


def _wanted(
    interests: Mapping[K, Interest], is_own: Callable[[Source], bool]
) -> tuple[dict[K, dict[SignalName, _Ask]], dict[_Ask, _Question], list[Collection[_Ask]]]:
    """For each Balancer and signal the query that answers it, equal ones shared; how each is asked; and which are for
    one and the same Balancer, or for several. Never raises.

    What a tenant decides is shared within a namespace only.
    """
    own = {source: is_own(source) for source in {interest.source for interest in interests.values()}}
    groups: dict[tuple[Source, Hashable], dict[K, Interest]] = {}
    for key, interest in interests.items():
        if not all(map(_is_plain, interest.namespaces)):
            owner: Hashable = (key,)  # what is wrong with it is its own affair
        else:
            owner = _owner(key, interest) if own[interest.source] else None
        groups.setdefault((interest.source, owner), {})[key] = interest
    wanted: dict[K, dict[SignalName, _Ask]] = {}
    parties: dict[_Ask, _Party] = {}
    questions: dict[_Ask, _Question] = {}
    bundles: list[Collection[_Ask]] = []
    for (source, owner), members in groups.items():
        alone = {name for name, query in source.overrides if not shared(query)}
        together = {name: _ask(source, name, owner, is_own) for name in source.templates if name not in alone}
        party = _Party()
        for key, interest in members.items():
            party.add(_owner(key, interest), interest)
        for ask in together.values():
            parties.setdefault(ask, _Party()).join(party)
        for key, interest in members.items():
            apart = {name: _Ask(source, name, (key,)) for name in alone}
            wanted[key] = together | apart
            if apart or key is next(iter(members)):
                bundles.append(wanted[key].values())
            questions |= {ask: _question_of_one(ask, key, interest) for ask in apart.values()}
    return wanted, questions | {ask: party.question(ask) for ask, party in parties.items()}, bundles


def _ask(source: Source, signal: SignalName, owner: Hashable, is_own: Callable[[Source], bool]) -> _Ask:
    """Own queries for other signals do not make this one another question; one for requests does for errors."""
    concerned = {signal, "requests"} if signal == "errors" else {signal}
    overrides = tuple(each for each in source.overrides if each[0] in concerned)
    source = msgspec.structs.replace(source, overrides=overrides)
    return _Ask(source, signal, owner if is_own(source) or isinstance(owner, tuple) else None)


def _question_of_one(ask: _Ask, key: Hashable, interest: Interest) -> _Question:
    party = _Party()
    party.add(_owner(key, interest), interest)
    return party.question(ask, interest.pods)


def _owner(key: Hashable, interest: Interest) -> str:
    return interest.owner or getattr(key, "namespace", "") or str(key)


@functools.lru_cache(maxsize=65536)
def _is_plain(namespace: str) -> bool:
    try:
        quoted((namespace,))
    except InvariantBroken:
        return False
    return True


class Prometheus:
    """Asks one Prometheus, by the rules of this module. Blocks: for threads and for commands.

    Both questions raise SignalsUnavailable, and nothing else, with a sentence that names the address; `parse` may raise
    whatever it likes. `foreign`: not the installation's own, so nothing of what it says is repeated.
    """

    def __init__(
        self,
        url: str,
        *,
        access: Access | None = None,
        deadline_seconds: float,
        foreign: bool = False,
        method: str = "POST",
    ) -> None:
        from prometheus_api_client.prometheus_connect import PrometheusConnect  # 20 MB, for those who ask

        self.foreign = foreign
        self._url = url
        self._access = access or NO_ACCESS
        self._session = Session(deadline_seconds, access, connections=1 if foreign else 2 * THREADS)
        self._params = {**_WHOLE, "timeout": duration(max(0.001, deadline_seconds))}
        self._connect = PrometheusConnect(
            url=url,
            session=self._session,
            retry=Retry(0),
            timeout=(min(CONNECT_SECONDS, deadline_seconds), deadline_seconds),  # type: ignore[arg-type]  # for requests
            method=method,
        )

    def now(self, query: str, parse: Callable[[Body], T], limits: Limits = LARGEST_ANSWER) -> T:
        """The answer as of now."""
        return self._asked(lambda: self._connect.custom_query(query, params=dict(self._params)), parse, limits)

    def over(
        self,
        query: str,
        start: float,
        end: float,
        step: float,
        parse: Callable[[Body], T],
        limits: Limits = LARGEST_ANSWER,
    ) -> T:
        """The answer for each `step` seconds from `start` to `end`, both whole seconds since the epoch."""

        def ask() -> Any:
            first, last = (datetime.fromtimestamp(when, UTC) for when in (start, end))
            return self._connect.custom_query_range(query, first, last, f"{step:g}", params=dict(self._params))

        return self._asked(ask, parse, limits)

    def close(self) -> None:
        """From any thread: questions under way fail at once, later ones too."""
        self._session.close()

    def _asked(self, ask: Callable[[], Any], parse: Callable[[Body], T], limits: Limits) -> T:
        try:
            with limits.room.share() as share:
                return parse(self._answer(ask, limits, share))
        except Exception as error:
            raise SignalsUnavailable(f"Prometheus at {redacted(self._url)} {self._said(error)}") from error

    def _answer(self, ask: Callable[[], Any], limits: Limits, share: Share) -> Body:
        with self._session.exchange(limits, share) as exchange:
            try:
                (body,) = ask()
            except Full:
                raise
            except Exception:
                exchange.check()  # why it was cut off says more than that it was
                raise
            exchange.check()  # an answer that was cut off may look like one that has ended
        whole: Body = body
        return whole

    def _said(self, error: Exception) -> str:
        """What went wrong, as a predicate. Of a foreign server in our own words only."""
        match error:
            case HttpStatus():
                said = "" if self.foreign else self._access.unsigned(_complaint(error.body))[:LONGEST_COMPLAINT]
                return f"{error}: {said}" if said else str(error)
            case Unreadable():
                return error.summary if self.foreign else str(error)
            case SignalsUnavailable():
                return str(error)
            case InputError():
                return f"was not asked: {error}"
            case requests.Timeout():
                return "took too long to answer"
            case OSError() | ValueError():  # requests' own exceptions are OSErrors
                return f"cannot be reached: {self._cause(error)}"
            case _:
                return _unforeseen(error)

    def _cause(self, error: BaseException) -> str:
        """The innermost reason: requests and urllib3 wrap it in their own words three times."""
        while error.__cause__ or error.__context__:
            error = error.__cause__ or error.__context__ or error
        of_the_system = isinstance(error, OSError) and error.strerror
        if self.foreign and not of_the_system:
            return "what it answers is not HTTP"
        return str(of_the_system or error) or type(error).__name__


_WHOLE: Final = {"partial_response": "false"}  # of Thanos: rather no answer than half of one


class Unreadable(SignalsUnavailable):
    """An answer that is no list of series. `summary` is in our own words; the rest may repeat what was answered."""

    def __init__(self, summary: str, detail: object) -> None:
        super().__init__(f"{summary}: {detail}")
        self.summary = summary


def _unforeseen(error: BaseException) -> str:
    return f"could not be asked: {type(error).__name__}" + (f": {error}" if isinstance(error, EvenloadError) else "")


class _Failure(msgspec.Struct, rename="camel"):
    error: str = ""
    error_type: str = ""


@functools.lru_cache(maxsize=256)  # labels come from Balancers: as many as somebody likes to try
def _decoder(labels: PodLabels) -> msgspec.json.Decoder[Any]:
    """A decoder of rows that reads just the labels we need: a tenth of the standard parser's time."""
    fields = [(name, str, "") for name in ("namespace", "pod", "evenload")]
    rename = {"namespace": labels.namespace, "pod": labels.pod}
    metric = msgspec.defstruct("Metric", fields, rename=rename, gc=False)
    row = msgspec.defstruct("Row", [("metric", metric), ("value", tuple[float, str])], gc=False)
    return msgspec.json.Decoder(list[row])  # type: ignore[valid-type]


def parse(body: Body, labels: PodLabels, limits: Limits = LARGEST_ANSWER, *, by_target: bool = False) -> Reading:
    """One answer to a rendered query. Raises SignalsUnavailable (a predicate: "answered ...") if it is none.

    `by_target`: a pod may have several rows, which are then to be settled.
    """
    with limits.room.parsing:
        try:
            answer = counted(body, limits)
            reading = Reading(warnings=answer.warnings)
            for row in each_row(answer, _decoder(labels), limits):
                _take(reading, row, by_target=by_target)
            for pod, metric, value, _ in whole(body, labels, "value") if reading.several else ():
                if pod in reading.several:
                    reading.several[pod].append((metric, float(value[1])))
            # Of a tenant's answer not even names of labels are repeated.
            for row in labelled(body, labels) if reading.uncoded and not limits.tenant else ():
                reading.uncoded[row.namespace][row.pod] = row.names
        except NOT_SERIES as error:
            raise Unreadable(f"answered with {described(body)}", error) from error
    return reading


NOT_SERIES: Final = (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError)
"""What reading an answer that is no list of series may raise: 100,000 brackets, 1e999 where a time should be ..."""


class _Rows(msgspec.Struct):
    result: list[msgspec.Raw]


class RawAnswer(msgspec.Struct):
    """Text, of which only the ends of its rows are known."""

    data: _Rows
    warnings: tuple[str, ...] = ()


_RAW: Final = msgspec.json.Decoder(RawAnswer)


def counted(body: Body, limits: Limits) -> RawAnswer:
    """Raises SignalsUnavailable where an answer is more than the pods that it is about could give.

    Before it is read: making 20,000 rows of two MiB takes ten times as long as finding where they end.
    """
    answer = _RAW.decode(body)
    answer.warnings = tuple(each[:LONGEST_COMPLAINT] for each in answer.warnings[:MOST_WARNINGS])
    if limits.rows is not None and len(answer.data.result) > limits.rows:
        advice = limits.advice or "; give one series a pod, of the Balancer's pods only"
        raise SignalsUnavailable(f"gave more than {limits.rows} series{advice}")
    return answer


def each_row(answer: RawAnswer, decoder: msgspec.json.Decoder[Any], limits: Limits) -> Iterator[Any]:
    """A few at a time: all rows made at once would need ten times the text's memory. Raises SignalsUnavailable."""
    found = answer.data.result
    for first in range(0, len(found), ROWS_AT_ONCE):
        text = b"[" + b",".join(found[first : first + ROWS_AT_ONCE]) + b"]"
        rows = decoder.decode(text)
        if limits.tenant or len(text) > BYTES_A_POD * len(rows):
            _check_names(rows)
        yield from rows


def _check_names(rows: Iterable[Any]) -> None:
    """Names that no pod can have would only fill our memory. Raises SignalsUnavailable."""
    if any(max(len(row.metric.pod), len(row.metric.namespace)) > LONGEST_NAME for row in rows):
        raise SignalsUnavailable(f"gave a pod or a namespace a name of more than {LONGEST_NAME} characters")


def parse_copies(body: Body, labels: PodLabels, limits: Limits = LARGEST_ANSWER) -> dict[PodName, Told]:
    """The answer to `render_copies`, at a moment or over a time (then as of its end). Raises as `parse` does."""
    told: dict[PodName, Told] = {}
    with limits.room.parsing:
        try:
            counted(body, limits)
            for pod, metric, *_ in whole(body, labels, "target"):
                told[pod] = Told([*told.get(pod, Told()).targets, metric])
            for pod, metric, value, values in whole(body, labels, "total"):
                before = told.get(pod, Told())
                last = _SAMPLES.decode(values)[-1] if bytes(values) else value
                told[pod] = before._replace(totals=[*before.totals, (metric, float(last[1]))])
        except NOT_SERIES as error:
            raise Unreadable(f"answered with {described(body)}", error) from error
    return told


def settle(reading: Reading, told: Mapping[PodName, Told], *, named: bool) -> None:
    """Make one number of the several rows of a pod, or tell why that cannot be."""
    for (namespace, pod), rows in reading.several.items():
        if not rows:
            continue  # its targets are many, but it has no such counter
        numbers = [number for _, number in rows]
        parts = sort_out([labels for labels, _ in rows], numbers, told.get((namespace, pod), Told()), named=named)
        if isinstance(parts, str):
            reading.values[namespace].pop(pod, None)
            reading.refused.setdefault(namespace, {})[pod] = parts
        else:
            reading.values[namespace][pod] = parts.number(numbers)
    reading.several = {}


def _take(reading: Reading, row: Any, *, by_target: bool) -> None:
    metric, value = row.metric, float(row.value[1])
    match metric.evenload:
        case "age":
            reading.ages[metric.namespace] = value
        case "idle":
            reading.idle.setdefault(metric.namespace, {})[sys.intern(metric.pod)] = value
        case "uncoded":
            reading.uncoded.setdefault(metric.namespace, {})[metric.pod] = ()
        case "coded":
            reading.coded.setdefault(metric.namespace, {})[sys.intern(metric.pod)] = value
        case "torn":
            reading.torn.setdefault(metric.namespace, {})[sys.intern(metric.pod)] = value
        case candidate if "/" in candidate:
            reading.found.setdefault(candidate, set()).add((metric.namespace, sys.intern(metric.pod)))
        case "merged":
            reading.several.setdefault((metric.namespace, metric.pod), [])
        case _:
            pods = reading.values.setdefault(metric.namespace, {})
            if by_target and metric.pod in pods:
                reading.several.setdefault((metric.namespace, metric.pod), [])
            elif not metric.pod or metric.pod in pods:
                raise ValueError(f'"{metric.pod[:LONGEST_NAME]}" has not one row; a query must give one series a pod')
            pods[sys.intern(metric.pod)] = value  # one name for all six signals: 20 MB of 50,000 pods


class Labelled(NamedTuple):
    """An `uncoded` row: whose series it is, and the names of the labels that tell one of its series from another."""

    namespace: str
    pod: str
    names: LabelNames
    values: msgspec.Raw  # of a range query


class _WholeRow(msgspec.Struct):
    metric: msgspec.Raw
    value: tuple[float, str] = (0.0, "0")
    values: msgspec.Raw = msgspec.Raw()


class _WholeRows(msgspec.Struct):
    result: list[_WholeRow]


class _WholeAnswer(msgspec.Struct):
    data: _WholeRows


_WHOLE_ROWS: Final = msgspec.json.Decoder(_WholeAnswer)
_SAMPLES: Final = msgspec.json.Decoder(list[tuple[float, str]])
_LABELS: Final = msgspec.json.Decoder(dict[str, str])


class Whole(NamedTuple):
    """A row with all of its labels."""

    pod: PodName
    metric: Labels
    value: tuple[float, str]  # of an instant query
    values: msgspec.Raw  # of a range query


def whole(body: Body, labels: PodLabels, kind: str) -> Iterator[Whole]:
    """The rows of that kind. A second look at an answer, for those that need it."""
    sign = f'"{kind}"'.encode()
    for row in _WHOLE_ROWS.decode(body).data.result:
        if sign in bytes(row.metric) and (metric := _LABELS.decode(row.metric)).get("evenload") == kind:
            yield Whole((metric.get(labels.namespace, ""), metric.get(labels.pod, "")), metric, row.value, row.values)


def labelled(body: Body, labels: PodLabels) -> Iterator[Labelled]:
    """The `uncoded` rows of an answer."""
    hidden = _TARGET_LABELS | {labels.namespace, labels.pod}
    seen: dict[LabelNames, LabelNames] = {}  # the pods of an application have the same ones: kept once
    for pod, metric, _, values in whole(body, labels, "uncoded"):
        names = (name for name in sorted(metric.keys() - hidden) if _LABEL_NAME.fullmatch(name))
        told = tuple(itertools.islice(names, MOST_LABEL_NAMES))
        yield Labelled(*pod, seen.setdefault(told, told), values)


def described(body: Body) -> str:
    """What an answer is that is no list of series."""
    start = body[:64].lstrip()
    if start.startswith(b"<"):
        return "a web page instead of numbers (a sign-in page, or another server's address?)"
    return "nothing" if not start else "something that is not a list of series"


def _complaint(body: bytes) -> str:
    """What an error answer says."""
    try:
        failure = msgspec.json.decode(body, type=_Failure)
        return failure.error or failure.error_type
    except NOT_SERIES:
        return described(body) if body.lstrip().startswith(b"<") else body.decode(errors="replace").strip()


def _ignore(outcome: str, seconds: float) -> None:
    pass
