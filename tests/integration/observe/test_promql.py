"""The presets' queries, answered by a real Prometheus that scrapes pods of known rates.

What a stand-in cannot tell: whether the queries parse, what increase() makes of a steady rate, who counts as idle.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import pytest

from evenload.history.ranges import Grid
from evenload.history.reader import RangeReader
from evenload.model.snapshot import Pod, SignalState, Snapshot
from evenload.model.spec import Query, SignalLabels
from evenload.observe.prometheus import Interest, Prometheus, Reading, SignalReader, parse, parse_copies, settle
from evenload.observe.queries import render, render_copies
from tests.integration.observe.look import Look
from tests.support.scraped import Exporters, scraping, serve
from tests.support.wait import until

# One Prometheus for all of them; where `make integration` has not built it, it is compiled first.
pytestmark = [pytest.mark.xdist_group("prometheus"), pytest.mark.timeout(1800)]

SCRAPE_SECONDS = 1.0
WINDOW_SECONDS = 4.0
LEAVES_AFTER_SECONDS = 24.0
GRPC = ("code", "grpc_method")
RENAMED = SignalLabels(namespace="k8s_namespace", pod="k8s_pod", code="status")


def serving(rate: float, *, failing: float = 0.0, latency: float = 0.02, start: float = 0.0) -> Callable[[float], str]:
    """A server that has answered `rate` requests a second since `start`, `failing` of them with 503."""

    def page(seconds: float) -> str:
        busy = max(0.0, seconds - start)
        ok, failed = int((rate - failing) * busy), int(failing * busy)
        lines = ["http_requests_in_flight 3"]
        if ok + failed:
            lines += [
                f'http_requests_total{{code="200",endpoint="/a"}} {ok // 2}',
                f'http_requests_total{{code="200",endpoint="/b"}} {ok - ok // 2}',
                f'http_requests_total{{code="503",endpoint="/a"}} {failed}',
            ]
        lines += [
            f"http_request_duration_seconds_sum {latency * (ok + failed)}",
            f"http_request_duration_seconds_count {ok + failed}",
        ]
        return "\n".join(lines) + "\n"

    return page


def counting(*labels: str) -> Callable[[float], str]:
    """A server whose counter has these series, of 50 requests a second each."""
    return lambda seconds: "".join(f"http_requests_total{{{each}}} {int(50 * seconds)}\n" for each in labels)


def cadvisor(cores: dict[str, float]) -> Callable[[float], str]:
    """The kubelet's: a container of each pod, and the sums that would double it."""

    def page(seconds: float) -> str:
        lines = []
        for pod, used in cores.items():
            for container in ("app", "POD", ""):
                labels = f'namespace="shop",pod="{pod}",container="{container}",id="/x/{pod}/{container}"'
                lines.append(f"container_cpu_usage_seconds_total{{{labels}}} {used * seconds}")
                lines.append(f"container_memory_working_set_bytes{{{labels}}} 8e7")
        return "\n".join(lines) + "\n"

    return page


def leaving(seconds: float) -> str:
    """A pod that is scraped for a while only."""
    return serving(100)(seconds) if seconds < LEAVES_AFTER_SECONDS else broken(seconds)


def handed_over(first: bool) -> Callable[[float], str]:
    """One of two targets of a pod, of which now one is scraped and then the other."""
    return lambda seconds: serving(100)(seconds) if (seconds % 12 < 6) is first else broken(seconds)


def plain(seconds: float) -> str:
    return "proxy_up 1\n"


def broken(seconds: float) -> str:
    return "this is not a metric {{{\n"


PAGES = {
    "/steady": serving(200, failing=20),
    "/twice": serving(100),
    "/silent": serving(0),
    "/no-gauge": lambda seconds: "process_cpu_seconds_total 1\n",
    "/sick": broken,
    "/leaving": leaving,
    "/old": handed_over(True),
    "/new": handed_over(False),
    "/sidecar": plain,
    "/cadvisor": cadvisor({"steady": 0.4, "silent": 0.01}),
    "/renamed": lambda seconds: f'http_requests_total{{status="500"}} {int(50 * seconds)}\n',
    "/elsewhere": counting('status="200",path="/"', 'status="503",path="/"'),
    "/class": counting('status="2xx"', 'status="5xx"'),
    "/bare": counting(""),
    "/grpc": counting('grpc_method="Buy",code="0"', 'grpc_method="Buy",code="14"'),
    "/words": counting('code="OK"', 'code="UNAVAILABLE"'),
    "/coded": counting('code="200"', 'code="503"'),
    "/fine": counting('code="200"'),
    "/own-labels": counting('code="200",endpoint="/a",service="x"', 'code="503",endpoint="/b",service="y"'),
    "/idle": lambda seconds: f'http_requests_total{{code="200"}} {int(0.5 * seconds)}\n',
    "/workers": lambda seconds: f'http_requests_total{{code="200"}} {int(50 * seconds) + 9000 * (int(seconds) % 2)}\n',
    "/half": counting('code="200"', 'path="/health"'),
}
# Pods whose counters say in other ways what failed, by namespace: pod -> page
DIALECTS = {
    "elsewhere": {"e-0": "/elsewhere", "e-1": "/elsewhere"},
    "class": {"c-0": "/class"},
    "bare": {"b-0": "/bare"},
    "grpc": {"g-0": "/grpc"},
    "words": {"w-0": "/words"},
    "mixed": {"m-0": "/coded", "m-1": "/elsewhere", "m-2": "/fine", "m-3": "/half"},
    "young": {"y-0": "/elsewhere", "y-1": "/silent"},
}


def _target(page: str, port: int = 8080, **labels: str) -> tuple[str, dict[str, str]]:
    return page, {"job": "shop", "instance": f"10.0.0.1:{port}", **labels}


# Pods that are scraped more than once, by pod: pages and the labels that a scrape configuration gives their targets.
COPIES = {
    "containers": [_target("/coded", container="app"), _target("/coded", container="oauth2-proxy")],
    "ports": [_target("/coded", endpoint="http"), _target("/coded", 9090, endpoint="metrics")],
    "services": [_target("/coded", service="shop", endpoint="http"), _target("/coded", service="shop-headless")],
    "replicas": [_target("/coded", prometheus_replica="a"), _target("/coded", prometheus_replica="b")],
    "jobs": [_target("/coded"), _target("/coded", job="again")],
    "own-labels": [_target("/own-labels", container="app"), _target("/own-labels", container="proxy")],
    "sum": [_target("/own-labels")],
    "admin": [_target("/coded", container="app"), _target("/idle", 9090, container="admin")],
}
# Pods several of whose series nobody can choose from, and what is told of them.
UNCLEAR = {
    "clusters": [_target("/coded", cluster="east"), _target("/coded", 8081, cluster="west")],
    "unlisted": [_target("/coded", dc7="x"), _target("/coded", dc7="y")],
    "two-apps": [_target("/coded", container="app"), _target("/fine", 9090, container="api")],
}
# (job, page, the pod's name); the same pod may be scraped by several jobs
TARGETS = [
    ("apps", "/steady", "steady"),
    ("apps", "/twice", "twice"),
    ("again", "/twice", "twice"),
    ("apps", "/silent", "silent"),
    ("apps", "/no-gauge", "no-gauge"),
    ("apps", "/sick", "sick"),
    ("apps", "/leaving", "leaving"),
    ("old", "/old", "handed-over"),
    ("new", "/new", "handed-over"),
    ("proxies", "/sidecar", "sick"),
    ("proxies", "/sidecar", "other-job"),
    ("apps", "/twice", "web.0"),
    ("apps", "/twice", "webx0"),
]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that scrapes all of the above."""
    folder = tmp_path_factory.mktemp("prometheus")
    with serve(Exporters(dict(PAGES))) as exporter, scraping(configuration(exporter), folder) as url:
        yield url


def configuration(exporter: str) -> dict[str, Any]:
    def target(page: str, **labels: str) -> dict[str, Any]:
        return {"targets": [exporter], "labels": {"__metrics_path__": page, **labels}}

    jobs: dict[str, list[dict[str, Any]]] = {}
    for job, page, pod in TARGETS:
        jobs.setdefault(job, []).append(target(page, namespace="shop", pod=pod))
    for namespace, pods in DIALECTS.items():
        jobs[namespace] = [target(page, namespace=namespace, pod=pod) for pod, page in pods.items()]
    for index, (pod, found) in enumerate([*COPIES.items(), *UNCLEAR.items()]):
        for number, (page, labels) in enumerate(found):
            jobs[f"copies-{index}-{number}"] = [target(page, namespace="copies", pod=pod, **labels)]
    jobs["workers"] = [target("/workers", namespace="workers", pod="w-0")]
    jobs["cadvisor"] = [target("/cadvisor")]
    jobs["renamed"] = [target("/renamed", k8s_namespace="till", k8s_pod="till-0")]
    return {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS:g}s", "scrape_timeout": f"{SCRAPE_SECONDS:g}s"},
        "scrape_configs": [{"job_name": job, "static_configs": found} for job, found in jobs.items()],
    }


@pytest.fixture
async def look(prometheus: str) -> Any:
    """Once Prometheus has scraped for a whole window."""
    reader = SignalReader()
    look = Look(prometheus, reader, window_seconds=WINDOW_SECONDS, scrape_seconds=SCRAPE_SECONDS)

    async def warm() -> bool:
        """Jobs begin one after the other: the last one's window has to be full, too."""
        shop = await look.at("steady", "twice")
        till = await look.at("till-0", namespace="till", labels=RENAMED)
        steady, twice, renamed = pod(shop, "steady"), pod(shop, "twice"), pod(till, "till-0")
        counts = [found.requests or 0.0 for found in (steady, twice, renamed)]
        return steady.cpu is not None and all(
            count > 0.9 * rate * look.source().span_seconds for count, rate in zip(counts, (200, 100, 50), strict=True)
        )

    await until(warm, what="a whole window of scrapes", pause=0.2)
    yield look
    reader.close()


def pod(of: Snapshot, name: str) -> Pod:
    return of.backends[name].pods[name]


async def test_a_steady_rate_is_counted_without_bias(look: Look) -> None:
    span = look.source().span_seconds
    seen = [pod(await look.at("steady"), "steady") for _ in range(12)]
    requests = [each.requests or 0 for each in seen]
    errors = [each.errors or 0 for each in seen]
    assert sum(requests) / len(seen) == pytest.approx(200 * span, rel=0.05)
    assert sum(errors) / len(seen) == pytest.approx(20 * span, rel=0.1)
    assert all(number == pytest.approx(200 * span, rel=0.2) for number in requests)


async def test_every_signal_of_the_preset_is_answered(look: Look) -> None:
    steady = pod(await look.at("steady"), "steady")
    assert steady.latency == pytest.approx(0.02, rel=0.01)
    assert steady.cpu == pytest.approx(0.4, rel=0.2)
    assert steady.memory == 8e7
    assert steady.in_flight == 3
    snapshot = await look.at("steady")
    assert {signal.state for signal in snapshot.signals.values()} == {SignalState.Fresh}
    assert all(0 <= (signal.age or 0) < 3 * SCRAPE_SECONDS for signal in snapshot.signals.values())


async def test_a_pod_scraped_by_two_jobs_is_not_counted_twice(look: Look) -> None:
    twice = pod(await look.at("twice"), "twice")
    assert twice.requests == pytest.approx(100 * look.source().span_seconds, rel=0.2)
    assert twice.in_flight == 3


async def counted(look: Look, name: str, **signals: Any) -> Snapshot:
    """Of a pod that is scraped several times, once each of its targets has a whole window."""
    taken: list[Snapshot] = []

    async def whole() -> bool:
        taken.append(await look.at(name, namespace="copies", **signals))
        detail = taken[-1].signals["requests"].detail
        return (pod(taken[-1], name).requests or 0) > 80 * look.source().span_seconds or "spec.signals" in detail

    await until(whole, what="a whole window", pause=0.2)
    return taken[-1]


@pytest.mark.parametrize("name", COPIES)
async def test_a_pod_is_counted_once_whatever_tells_its_targets_apart(look: Look, name: str) -> None:
    copied = pod(await counted(look, name), name)
    assert copied.requests == pytest.approx(100 * look.source().span_seconds, rel=0.2)
    assert copied.errors == pytest.approx(50 * look.source().span_seconds, rel=0.2)


@pytest.mark.parametrize(
    ("name", "label", "value", "rate"),
    [
        ("clusters", "cluster", "east", 100),
        ("unlisted", "dc7", "x", 100),
        ("two-apps", "container", "app", 100),
        ("two-apps", "container", "api", 50),
    ],
)
async def test_where_nobody_can_know_which_series_is_the_pods_it_has_no_number_until_one_is_chosen(
    look: Look, name: str, label: str, value: str, rate: float
) -> None:
    taken: list[Snapshot] = []

    async def refused() -> bool:
        taken.append(await look.at(name, namespace="copies"))
        return "spec.signals" in taken[-1].signals["requests"].detail

    await until(refused, what="a refusal", pause=0.2)
    unclear = taken[-1]
    assert pod(unclear, name).requests is None
    assert pod(unclear, name).errors is None
    assert unclear.signals["requests"].state is SignalState.Missing
    assert f'label "{label}": ' in unclear.signals["requests"].detail
    assert f'"{value}"' in unclear.signals["requests"].detail
    chosen = await look.at(name, namespace="copies", matchers=(f'{label}="{value}"',))
    assert pod(chosen, name).requests == pytest.approx(rate * look.source().span_seconds, rel=0.2)


async def test_the_other_pods_of_a_refused_one_keep_their_numbers(look: Look) -> None:
    await counted(look, "jobs")
    both = await look.at("jobs", "clusters", namespace="copies")
    assert pod(both, "jobs").requests == pytest.approx(100 * look.source().span_seconds, rel=0.2)
    assert both.signals["requests"].state is SignalState.Partial
    assert "of 1 of 2 ready pods (clusters): " in both.signals["requests"].detail


async def test_counters_that_several_workers_answer_by_turns_are_no_data(look: Look) -> None:
    async def torn() -> bool:
        return "worker processes" in (await look.at("w-0", namespace="workers")).signals["requests"].detail

    await until(torn, what="counters that begin anew", pause=0.2)
    taken = await look.at("w-0", namespace="workers")
    assert taken.signals["requests"].state is SignalState.Missing
    assert pod(taken, "w-0").requests is None


async def test_a_scraped_pod_without_a_request_had_none(look: Look) -> None:
    snapshot = await look.at("steady", "silent")
    silent = pod(snapshot, "silent")
    assert silent.requests == 0
    assert silent.errors == 0
    assert silent.latency is None
    assert snapshot.signals["requests"].state is SignalState.Fresh


async def test_a_scraped_pod_of_the_same_job_had_none_even_without_the_gauge(look: Look) -> None:
    assert pod(await look.at("no-gauge"), "no-gauge").requests == 0


async def test_a_pod_whose_application_is_not_scraped_is_absent_though_its_sidecar_is(look: Look) -> None:
    snapshot = await look.at("steady", "sick", "other-job")
    assert pod(snapshot, "sick").requests is None
    assert pod(snapshot, "other-job").requests is None
    assert snapshot.signals["requests"].state is SignalState.Partial


async def test_a_pod_nobody_ever_scraped_is_absent(look: Look) -> None:
    assert pod(await look.at("steady", "ghost"), "ghost").requests is None


async def test_a_pod_that_is_scraped_no_more_is_absent_long_before_its_last_samples_leave_the_window(
    look: Look,
) -> None:
    source = look.source(window="12s")

    counted_at = time.monotonic()

    async def left() -> bool:
        """And its last sample is out of the window: it alone has had no number for as long as that."""
        nonlocal counted_at
        seen = await look.at("steady", "leaving", window="12s")
        if pod(seen, "leaving").requests is not None or pod(seen, "steady").requests is None:
            counted_at = time.monotonic()
        return time.monotonic() - counted_at > source.window_seconds

    await until(left, what="its last sample left the window", pause=0.5)
    reader = RangeReader(source, {"shop"}, deadline_seconds=60.0)
    now = time.time()
    grid = Grid.between(now - 120, now, 0.5)
    answer = reader.chunk(grid).signals["requests"]
    reader.close()
    counts = [answer.at(index).values.get("shop", {}).get("leaving") for index in range(grid.moments)]
    most = max(count or 0.0 for count in counts)
    later = counts[max(index for index, count in enumerate(counts) if count and count > 0.95 * most) :]
    assert later[-1] is None
    assert min(count for count in later if count is not None) > 0.4 * most  # it would go down to nothing


async def test_a_pod_whose_target_is_replaced_is_never_counted_twice(look: Look) -> None:
    counts = []
    for _ in range(40):
        counts.append(pod(await look.at("handed-over"), "handed-over").requests)
        await asyncio.sleep(0.3)  # one target after the other: twelve seconds hold two replacements
    assert max(count or 0.0 for count in counts) < 1.2 * 100 * look.source().span_seconds
    assert min(count or 0.0 for count in counts) > 0.25 * 100 * look.source().span_seconds


async def test_label_names_may_differ(look: Look) -> None:
    till = pod(await look.at("till-0", namespace="till", labels=RENAMED), "till-0")
    assert till.requests == pytest.approx(50 * look.source().span_seconds, rel=0.2)
    assert till.errors == pytest.approx(till.requests, rel=0.3)  # two questions: a scrape may be between them


async def dialect(look: Look, namespace: str, **signals: Any) -> Snapshot:
    """Of all pods of that namespace, once there are requests to judge."""
    pods, taken = DIALECTS[namespace], []

    async def counted() -> bool:
        taken.append(await look.at(*pods, namespace=namespace, **signals))
        return all(pod(taken[-1], name).requests is not None for name in pods)

    await until(counted, what="requests of every pod", pause=0.2)
    return taken[-1]


@pytest.mark.parametrize(
    ("namespace", "what"),
    [
        ("elsewhere", 'carries the label "code"; set spec.signals.labels.code to the one that holds the status'),
        ("elsewhere", "(these series have: path, status)"),
        ("bare", "they have no other label, so write a query for errors in spec.signals.queries"),
        ("grpc", 'has a status (200, 5xx) in the label "code"; set spec.signals.labels.code'),
        ("words", 'has a status (200, 5xx) in the label "code"; they have no other label'),
        ("young", 'carries the label "code"'),
    ],
)
async def test_where_no_series_carries_the_status_errors_are_unknown_and_the_way_out_is_told(
    look: Look, namespace: str, what: str
) -> None:
    taken = await dialect(look, namespace)
    assert [pod(taken, name).errors for name in DIALECTS[namespace]] == [None] * len(DIALECTS[namespace])
    assert taken.signals["errors"].state is SignalState.Missing
    assert what in taken.signals["errors"].detail
    assert taken.signals["requests"].state is SignalState.Fresh


@pytest.mark.parametrize(("namespace", "name"), [("elsewhere", "e-0"), ("class", "c-0")])
async def test_they_are_known_once_the_label_is_named(look: Look, namespace: str, name: str) -> None:
    taken = await dialect(look, namespace, labels=SignalLabels(code="status"))
    assert taken.signals["errors"].state is SignalState.Fresh
    assert pod(taken, name).errors == pytest.approx((pod(taken, name).requests or 0) / 2, rel=0.3)


async def test_of_mixed_pods_those_that_carry_the_status_are_known(look: Look) -> None:
    taken = await dialect(look, "mixed")
    assert pod(taken, "m-0").errors == pytest.approx((pod(taken, "m-0").requests or 0) / 2, rel=0.3)
    assert [pod(taken, name).errors for name in ("m-1", "m-2", "m-3")] == [None, 0, 0]
    assert taken.signals["errors"].state is SignalState.Partial
    assert "1 of 4 ready pods (m-1)" in taken.signals["errors"].detail


async def test_a_persons_query_for_requests_says_nothing_about_the_errors_of_another_counter(look: Look) -> None:
    own = Query(
        signal="requests",
        query='sum by (namespace, pod) (increase(http_requests_total{namespace=~"$(namespaces)"}[$(window)]))',
    )
    bare = await dialect(look, "bare", queries=(own,))
    assert bare.signals["errors"].state is SignalState.Missing
    assert "requests come from spec.signals.queries" in bare.signals["errors"].detail
    taken = await dialect(look, "mixed", queries=(own,))
    assert [pod(taken, name).errors for name in ("m-1", "m-2", "m-3")] == [None, 0, 0]


async def test_a_dot_in_a_pods_name_matches_a_dot_only(look: Look) -> None:
    query = Query(signal="cpu", query='sum by (pod) (http_requests_in_flight{pod=~"$(pods)"})')
    snapshot = await look.at("web.0", queries=(query,))
    assert pod(snapshot, "web.0").cpu == 3
    reading = await look.reader.read(
        {"it": Interest(source=look.source(queries=(query,)), namespaces=frozenset({"shop"}), pods=("web.0",))}
    )
    assert set(reading["it"].readings["cpu"].values[""]) == {"web.0"}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("sum by pod (up)", "parse error"),
        ("vector(1)", "one series a pod"),
        ("42", "expected type instant vector"),
        ("http_requests_total", "one series a pod"),
    ],
)
async def test_a_persons_wrong_query_is_told_in_prometheus_words(look: Look, query: str, words: str) -> None:
    snapshot = await look.at("steady", queries=(Query(signal="cpu", query=query),))
    assert snapshot.signals["cpu"].state is SignalState.Missing
    assert words in snapshot.signals["cpu"].detail
    assert snapshot.signals["requests"].state is SignalState.Fresh


def _but_for(names: Iterable[str], reading: Reading) -> Reading:
    """Whether their two counters are copies is judged once for a whole range, and not by the first samples of it."""
    for known in (reading.values, reading.refused):
        for name in names:
            known.get("copies", {}).pop(name, None)
    return reading


async def test_a_range_query_tells_of_each_moment_what_an_instant_query_told_then(look: Look) -> None:
    source, began = look.source(), math.floor(time.time())
    await until(lambda: time.time() > began + 8, what="a past to look at", pause=0.2)
    grid = Grid(began + 1.0, 1.0, 6)
    await counted(look, "own-labels")
    places = {"shop", "mixed", "grpc", "copies"}
    reader = RangeReader(source, places, deadline_seconds=60.0)
    chunk = await asyncio.to_thread(reader.chunk, grid)
    reader.close()
    # Copies look less alike where scrapes came late.
    unlike = [*COPIES, *UNCLEAR] if await asyncio.to_thread(look.disturbed, COPIES, 16) else ["two-apps"]
    prometheus = Prometheus(look.url, deadline_seconds=60.0)
    for signal, answer in chunk.signals.items():
        query = render(source, signal, places)
        for index, moment in enumerate(grid.times):
            labels, by_target = source.pod_labels(signal), source.by_target(signal)
            prometheus._params["time"] = str(moment)
            told = prometheus.now(query, partial(parse, labels=labels, by_target=by_target))
            if told.several:
                copies = render_copies(source, signal, places)
                settle(told, prometheus.now(copies, partial(parse_copies, labels=labels)), named=True)
            assert _but_for(unlike, answer.at(index)) == _but_for(unlike, told)
        assert any(answer.at(index).values for index in range(grid.moments)), signal
    assert chunk.signals["errors"].at(0).uncoded == {"mixed": {"m-1": ("path", "status")}, "grpc": {"g-0": GRPC}}
    assert "steady" in {name for _, name in chunk.pods({"shop"})[0]}
