"""Reads signals from Prometheus: one query a signal for all Balancers that want the same, within a deadline.

A slow Prometheus must never slow a tick: each query runs in a thread of the endpoint's own, a tick takes what has come
by its deadline, and a query that is still under way is not asked again until it has ended. Whatever goes wrong is a
Reading with a `problem` in words; nothing is raised into the tick, and nothing absent becomes a number.

What `prometheus-api-client` would do by default and must not: wait without a timeout, retry, put a POST's query into
the URL, follow redirects, take proxies and passwords from the environment, parse with the slow standard parser. The
session below sees to that. The bearer token goes to the installation's own Prometheus alone, never to an address from
a Balancer.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import re
import sys
import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec
import requests
from urllib3 import Retry

from evenload.errors import InputError, SignalsUnavailable
from evenload.model.snapshot import SIGNALS, SignalName
from evenload.observe.presets import PodLabels, Source, render, shared

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

DEADLINE_SECONDS: Final = 4.0
CONNECT_SECONDS: Final = 2.0
THREADS: Final = len(SIGNALS)
LARGEST_ANSWER_BYTES: Final = 128 * 1024 * 1024
CHUNK_BYTES: Final = 256 * 1024

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
    problem: str = ""
    warnings: tuple[str, ...] = ()


class Interest(msgspec.Struct, frozen=True, kw_only=True):
    """What one Balancer wants read."""

    source: Source
    namespaces: frozenset[str]
    pods: tuple[str, ...] = ()  # only looked at by a person's query that says $(pods)


class Samples(msgspec.Struct, frozen=True, kw_only=True):
    """What one Balancer's signals were, as of one read."""

    source: Source
    readings: Mapping[SignalName, Reading]


class _Ask(msgspec.Struct, frozen=True):
    """One query. What it is for (not its text, which changes with the pods) is what must not pile up."""

    source: Source
    signal: SignalName
    owner: Hashable  # the Balancer, if the query is not shared


class SignalReader:
    """Call `read` once a tick. `close` it at the end."""

    def __init__(
        self,
        *,
        trusted_url: str = "",
        token: Callable[[], str] | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
        observer: Observer | None = None,
    ) -> None:
        """`token` is sent to `trusted_url` alone."""
        self._trusted_url = trusted_url.rstrip("/")
        self._token = token
        self._deadline_seconds = deadline_seconds
        self._observe = observer or _ignore
        self._endpoints: dict[str, _Endpoint] = {}
        self._under_way: dict[_Ask, Future[Reading]] = {}

    async def read(self, interests: Mapping[K, Interest]) -> dict[K, Samples]:
        """Every Balancer's signals, by the deadline; late and failed ones have a Reading that says so."""
        wanted = _wanted(interests)
        texts = {ask: text for asks in wanted.values() for ask, text in asks.values()}
        readings = await self._ask(texts)
        return {
            key: Samples(
                source=interests[key].source, readings={signal: readings[ask] for signal, (ask, _) in asks.items()}
            )
            for key, asks in wanted.items()
        }

    def close(self) -> None:
        """Give up what is under way; threads end with their request."""
        for endpoint in self._endpoints.values():
            endpoint.close()

    async def _ask(self, texts: Mapping[_Ask, str]) -> dict[_Ask, Reading]:
        self._forget({ask.source.url for ask in texts})
        busy = self._under_way.keys() & texts.keys()
        asked = {ask: self._start(ask, text) for ask, text in texts.items() if ask not in busy}
        self._under_way |= asked
        if asked:
            await asyncio.wait(map(asyncio.wrap_future, asked.values()), timeout=self._deadline_seconds)
        return {ask: self._outcome(ask, asked.get(ask)) for ask in texts}

    def _forget(self, urls: Collection[str]) -> None:
        """Let go of answers that came too late, and of endpoints nobody asks any more."""
        self._under_way = {ask: future for ask, future in self._under_way.items() if not future.done()}
        for url in self._endpoints.keys() - urls:
            self._endpoints.pop(url).close()

    def _start(self, ask: _Ask, text: str) -> Future[Reading]:
        return self._endpoint(ask.source.url).submit(text, ask.source.pod_labels(ask.signal))

    def _outcome(self, ask: _Ask, future: Future[Reading] | None) -> Reading:
        where = redacted(ask.source.url)
        if future is None:
            return Reading(problem=f"Prometheus at {where} has still not answered the query of an earlier tick")
        if not future.done():
            future.cancel()  # if it waits for a thread; one that is under way goes on until its own timeout
            self._observe("late", self._deadline_seconds)
            return Reading(problem=f"Prometheus at {where} did not answer within {self._deadline_seconds:g}s")
        return future.result()

    def token_for(self, url: str) -> Callable[[], str] | None:
        """What to sign in with there: our token is for the installation's own Prometheus alone."""
        return self._token if url == self._trusted_url else None

    def _endpoint(self, url: str) -> _Endpoint:
        if url not in self._endpoints:
            self._endpoints[url] = _Endpoint(url, self.token_for(url), self._deadline_seconds, self._observe)
        return self._endpoints[url]


def _wanted(interests: Mapping[K, Interest]) -> dict[K, dict[SignalName, tuple[_Ask, str]]]:
    """For each Balancer and signal: the query that answers it, and its text; equal wishes share one."""
    everywhere: dict[Source, set[str]] = {}
    for interest in interests.values():
        everywhere.setdefault(interest.source, set()).update(interest.namespaces)
    together = {source: _asks(source, None, namespaces, ()) for source, namespaces in everywhere.items()}
    return {key: together[interest.source] | _own_asks(key, interest) for key, interest in interests.items()}


def _own_asks(key: Hashable, interest: Interest) -> dict[SignalName, tuple[_Ask, str]]:
    own = {signal for signal, query in interest.source.overrides if not shared(query)}
    return _asks(interest.source, key, interest.namespaces, interest.pods, own) if own else {}


def _asks(
    source: Source,
    owner: Hashable,
    namespaces: Collection[str],
    pods: Collection[str],
    signals: Collection[SignalName] | None = None,
) -> dict[SignalName, tuple[_Ask, str]]:
    """With no `signals` named: all that can be shared."""
    alone = {name for name, query in source.overrides if not shared(query)}
    names = signals if signals is not None else [name for name in source.templates if name not in alone]
    return {name: (_Ask(source, name, owner), render(source, name, namespaces, pods)) for name in names}


class _Endpoint:
    """One Prometheus: its connections and its threads, so that a slow one keeps nobody else waiting."""

    def __init__(self, url: str, token: Callable[[], str] | None, deadline_seconds: float, observer: Observer) -> None:
        self._prometheus = Prometheus(url, token=token, deadline_seconds=deadline_seconds)
        self._observe = observer
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="prometheus")

    def submit(self, query: str, labels: PodLabels) -> Future[Reading]:
        return self._threads.submit(self.ask, query, labels)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._prometheus.close()

    def ask(self, query: str, labels: PodLabels) -> Reading:
        """Runs in a thread. Never raises."""
        started = time.monotonic()
        try:
            reading = self._prometheus.now(query, lambda body: parse(body, labels))
        except SignalsUnavailable as error:
            reading = Reading(problem=str(error))
        self._observe("failed" if reading.problem else "ok", time.monotonic() - started)
        return reading


class Prometheus:
    """Asks one Prometheus, by the rules of this module. Blocks: for threads and for commands.

    Both questions raise SignalsUnavailable with a sentence that names the address; `parse` may raise it too.
    """

    def __init__(self, url: str, *, token: Callable[[], str] | None = None, deadline_seconds: float) -> None:
        from prometheus_api_client.prometheus_connect import PrometheusConnect  # 20 MB, for those who ask

        self._url = url
        self._session = _Session(deadline_seconds, token)
        self._connect = PrometheusConnect(
            url=url,
            session=self._session,
            retry=Retry(0),
            timeout=(CONNECT_SECONDS, deadline_seconds),  # type: ignore[arg-type]  # it hands this to requests
            method="POST",
        )

    def now(self, query: str, parse: Callable[[bytes], T]) -> T:
        """The answer as of now."""
        return self._asked(lambda: self._connect.custom_query(query, params=dict(_WHOLE)), parse)

    def over(self, query: str, start: float, end: float, step: float, parse: Callable[[bytes], T]) -> T:
        """The answer for each `step` seconds from `start` to `end`, both whole seconds since the epoch."""
        first, last = (datetime.fromtimestamp(when, UTC) for when in (start, end))
        return self._asked(
            lambda: self._connect.custom_query_range(query, first, last, f"{step:g}", params=dict(_WHOLE)), parse
        )

    def close(self) -> None:
        self._session.close()

    def _asked(self, ask: Callable[[], Any], parse: Callable[[bytes], T]) -> T:
        where = f"Prometheus at {redacted(self._url)}"
        try:
            (body,) = ask()
            return parse(body)
        except SignalsUnavailable as error:
            raise SignalsUnavailable(f"{where} {error}") from error
        except requests.Timeout as error:
            raise SignalsUnavailable(f"{where} took too long to answer") from error
        except (OSError, ValueError) as error:  # requests' own exceptions are OSErrors
            raise SignalsUnavailable(f"{where} cannot be reached: {_cause(error)}") from error
        except InputError as error:
            raise SignalsUnavailable(f"{where} was not asked: {error}") from error


_WHOLE: Final = {"partial_response": "false"}  # of Thanos: rather no answer than half of one


class _Session(requests.Session):
    """Sends parameters in the body, ends every request by a deadline, and leaves parsing to `parse`."""

    def __init__(self, deadline_seconds: float, token: Callable[[], str] | None) -> None:
        super().__init__()
        self.trust_env = False
        self._deadline_seconds = deadline_seconds
        self._token = token

    def request(self, method: Any, url: Any, params: Any = None, **options: Any) -> Any:  # type: ignore[override]
        headers = dict(options.pop("headers", None) or {})
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token()}"
        started = time.monotonic()
        with super().request(
            method, url, data=params, headers=headers, stream=True, allow_redirects=False, **options
        ) as response:
            body = self._body(response, started + self._deadline_seconds)
        if response.status_code != 200:
            raise SignalsUnavailable(f"answered {response.status_code}: {_complaint(body)}")
        return _Answer(body)

    def _body(self, response: requests.Response, deadline: float) -> bytes:
        # A socket's timeout is between bytes; one who sends a byte a second would hold the thread for ever.
        chunks = bytearray()
        for chunk in response.iter_content(CHUNK_BYTES):
            chunks += chunk
            if time.monotonic() > deadline:
                raise requests.Timeout("the answer came too slowly")
            if len(chunks) > LARGEST_ANSWER_BYTES:
                raise SignalsUnavailable(f"gave an answer of more than {LARGEST_ANSWER_BYTES >> 20} MB")
        return bytes(chunks)


class _Answer:
    """As much of a response as PrometheusConnect looks at. Its "result" is the whole body, parsed later."""

    status_code: Final = 200

    def __init__(self, body: bytes) -> None:
        self.content = body

    def json(self) -> dict[str, dict[str, tuple[bytes]]]:
        return {"data": {"result": (self.content,)}}


class _Failure(msgspec.Struct, rename="camel"):
    error: str = ""
    error_type: str = ""


@functools.cache
def _decoder(labels: PodLabels) -> msgspec.json.Decoder[Any]:
    """A decoder of answers that reads just the labels we need: a tenth of the standard parser's time."""
    fields = [(name, str, "") for name in ("namespace", "pod", "evenload")]
    rename = {"namespace": labels.namespace, "pod": labels.pod}
    metric = msgspec.defstruct("Metric", fields, rename=rename, gc=False)
    row = msgspec.defstruct("Row", [("metric", metric), ("value", tuple[float, str])], gc=False)
    data = msgspec.defstruct("Data", [("result", list[row])])  # type: ignore[valid-type]
    answer = msgspec.defstruct("Answer", [("data", data), ("warnings", tuple[str, ...], ())])
    return msgspec.json.Decoder(answer)


one_at_a_time = threading.Lock()
"""Parsing in several threads at once would not be faster, and would need the memory several times."""


def parse(body: bytes, labels: PodLabels) -> Reading:
    """One answer to a rendered query. Raises SignalsUnavailable (a predicate: "answered ...") if it is none."""
    try:
        with one_at_a_time:
            answer = _decoder(labels).decode(body)
            reading = Reading(warnings=answer.warnings)
            for row in answer.data.result:
                _take(reading, row)
            for row in labelled(body, labels) if reading.uncoded else ():
                reading.uncoded[row.namespace][row.pod] = row.names
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise SignalsUnavailable(f"answered with {described(body)}: {error}") from error
    return reading


def _take(reading: Reading, row: Any) -> None:
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
        case _:
            pods = reading.values.setdefault(metric.namespace, {})
            if not metric.pod or metric.pod in pods:
                raise ValueError(f'"{metric.pod}" has not one row; a query must give one series a pod')
            pods[sys.intern(metric.pod)] = value  # one name for all six signals: 20 MB of 50,000 pods


class Labelled(NamedTuple):
    """An `uncoded` row: whose series it is, and the names of the labels that tell one of its series from another."""

    namespace: str
    pod: str
    names: LabelNames
    values: msgspec.Raw  # of a range query


class _WholeRow(msgspec.Struct):
    metric: msgspec.Raw
    values: msgspec.Raw = msgspec.Raw()


class _WholeRows(msgspec.Struct):
    result: list[_WholeRow]


class _WholeAnswer(msgspec.Struct):
    data: _WholeRows


_WHOLE_ROWS: Final = msgspec.json.Decoder(_WholeAnswer)
_LABELS: Final = msgspec.json.Decoder(dict[str, str])


def labelled(body: bytes, labels: PodLabels) -> Iterator[Labelled]:
    """The `uncoded` rows of an answer. A second look at it, for the case that somebody has to correct something."""
    hidden = _TARGET_LABELS | {labels.namespace, labels.pod}
    seen: dict[LabelNames, LabelNames] = {}  # the pods of an application have the same ones: kept once
    for row in _WHOLE_ROWS.decode(body).data.result:
        if b'"uncoded"' in bytes(row.metric) and (metric := _LABELS.decode(row.metric)).get("evenload") == "uncoded":
            names = (name for name in sorted(metric.keys() - hidden) if _LABEL_NAME.fullmatch(name))
            told = tuple(itertools.islice(names, MOST_LABEL_NAMES))
            pod = metric.get(labels.namespace, ""), metric.get(labels.pod, "")
            yield Labelled(*pod, seen.setdefault(told, told), row.values)


def described(body: bytes) -> str:
    """What an answer is that is no list of series."""
    start = body[:64].lstrip()
    if start.startswith(b"<"):
        return "a web page instead of numbers (a sign-in page, or another server's address?)"
    return "nothing" if not start else "something that is not a list of series"


def _complaint(body: bytes) -> str:
    """What an error answer says, in at most 200 characters."""
    try:
        failure = msgspec.json.decode(body, type=_Failure)
        return (failure.error or failure.error_type)[:200]
    except msgspec.DecodeError:
        return described(body) if body.lstrip().startswith(b"<") else body[:200].decode(errors="replace").strip()


def _cause(error: BaseException) -> str:
    """The innermost reason: requests and urllib3 wrap it in their own words three times."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def redacted(url: str) -> str:
    """The address without a password, for messages."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _ignore(outcome: str, seconds: float) -> None:
    pass
