"""The chart's alerts in a real Prometheus, with time compressed: which fire, on what, and which stay silent.

Windows of minutes become seconds by rewriting the rules; expressions, labels and thresholds are those of the chart.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import build, parts
from lab.control_plane import free_ports
from tests.support.chart import of_kind, rendered

# One Prometheus for all of them; where `make integration` has not built it, it is compiled first.
pytestmark = [pytest.mark.xdist_group("prometheus"), pytest.mark.timeout(1800)]

DEADLINE = 120.0
WINDOW = "4s"
HOLD = "3s"  # several scrapes: a busy machine may miss one

# namespace -> pod -> requests a second; None: the pod is scraped and never had a request
TRAFFIC: Mapping[str, Mapping[str, float | None]] = {
    "skewed": {
        f"web-7d9f8c6b54-x2x9{letter}": rate for letter, rate in zip("bcdfg", (90, 2.5, 2.5, 2.5, 2.5), strict=True)
    },
    "silent-pods": {f"web-{ordinal}": rate for ordinal, rate in enumerate((50, None, None))},
    "even": {
        f"web-7d9f8c6b54-x2x9{letter}": rate for letter, rate in zip("bcdfg", (21.4, 18.6, 20, 19, 21), strict=True)
    },
    "two-workloads": {"web-7d9f8c6b54-x2x9b": 90, "api-7d9f8c6b54-x2x9b": 2, "job-7d9f8c6b54-x2x9b": 2},
    "quiet": {f"web-{ordinal}": rate for ordinal, rate in enumerate((5, 0.1, 0.1))},
}
SKEWED = {"skewed": "web", "silent-pods": "web"}

OPERATOR_SICK: Mapping[str, Mapping[str, str]] = {
    # alert -> one series that makes it fire, in a namespace of the alert's own name
    "EvenloadImbalanceNotImproving": {'evenload_balancer_condition{condition="Balanced",status="False",%s}': "1"},
    "EvenloadBalancerIgnoresWeights": {
        'evenload_diagnosis{type="LoadBalancerSkew",%s}': "1",
        'evenload_balancer_condition{condition="Balanced",status="True",%s}': "1",
    },
    "EvenloadSignalsMissing": {'evenload_balancer_condition{condition="SignalsFresh",status="False",%s}': "1"},
    "EvenloadHeadroomLow": {"evenload_balancer_headroom_ratio{%s}": "0.12"},
    "EvenloadSaturationSoon": {"evenload_saturation_eta_seconds{%s}": "600"},
    "EvenloadMemoryExhaustionSoon": {"evenload_memory_eta_seconds{%s}": "2400"},
    "EvenloadNotReady": {'evenload_balancer_condition{condition="Ready",status="False",%s}': "1"},
    "EvenloadContested": {'evenload_balancer_condition{condition="Contested",status="True",%s}': "1"},
    "EvenloadApprovalWaiting": {"evenload_approvals_pending{%s}": "1"},
    "EvenloadRemediationFailed": {'evenload_remediations_total{result="RolledBack",%s}': "grows"},
    "EvenloadBudgetExhausted": {
        'evenload_budget_remaining{action="Restart",%s}': "0",
        'evenload_balancer_condition{condition="Balanced",status="False",%s}': "1",
    },
}
ALSO = {"EvenloadBudgetExhausted": {"EvenloadImbalanceNotImproving"}}
OPERATOR_WELL = """\
evenload_balancer_condition{condition="Balanced",status="True",%s} 1
evenload_balancer_condition{condition="Balanced",status="False",%s} 0
evenload_balancer_condition{condition="SignalsFresh",status="True",%s} 1
evenload_balancer_condition{condition="SignalsFresh",status="False",%s} 0
evenload_balancer_condition{condition="Ready",status="True",%s} 1
evenload_balancer_condition{condition="Ready",status="False",%s} 0
evenload_balancer_headroom_ratio{%s} 0.4
evenload_saturation_eta_seconds{%s} 1500
evenload_memory_eta_seconds{%s} 5000
evenload_balancer_condition{condition="Contested",status="True",%s} 0
evenload_approvals_pending{%s} 0
evenload_remediations_total{result="Succeeded",%s} 3
evenload_budget_remaining{action="Restart",%s} 0
"""


@dataclass(slots=True)
class World:
    """What the pods and the operator expose now."""

    started: float = field(default_factory=time.monotonic)
    leading: bool = True

    def page(self, path: str) -> str:
        """The metrics of /operator or of /<namespace>/<pod>."""
        elapsed = time.monotonic() - self.started
        if path == "/operator":
            return self._operator(elapsed)
        _, namespace, pod = path.split("/")
        rate = TRAFFIC[namespace][pod]
        if rate is None:
            return "process_start_time_seconds 1\n"
        return f'http_requests_total{{namespace="{namespace}",pod="{pod}",code="200"}} {rate * elapsed}\n'

    def _operator(self, elapsed: float) -> str:
        series = [f"evenload_leader {int(self.leading)}"]
        for alert, sick in OPERATOR_SICK.items():
            labels = f'namespace="{alert}",balancer="shop"'
            series += [f"{name % labels} {elapsed if value == 'grows' else value}" for name, value in sick.items()]
        return "\n".join(series) + "\n" + OPERATOR_WELL.replace("%s", 'namespace="well",balancer="shop"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    """A real one, asked over its API."""

    url: str
    world: World

    def query(self, text: str) -> list[dict[str, str]]:
        """The labels of each series of an instant query."""
        address = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': text})}"
        with urllib.request.urlopen(address, timeout=30) as answer:
            return [series["metric"] for series in json.load(answer)["data"]["result"]]

    def evaluations(self) -> set[str]:
        with urllib.request.urlopen(f"{self.url}/api/v1/rules", timeout=30) as answer:
            return {group["lastEvaluation"] for group in json.load(answer)["data"]["groups"]}

    def firing(self, alert: str = ".+") -> dict[str, set[str]]:
        """namespace -> alerts."""
        found: dict[str, set[str]] = {}
        for labels in self.query(f'ALERTS{{alertstate="firing",alertname=~"{alert}"}}'):
            found.setdefault(labels.get("namespace", ""), set()).add(labels["alertname"])
        return found

    def wait(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come within {DEADLINE:g} s; firing: {self.firing()}"
            time.sleep(0.1)

    def wait_for_evaluations(self, count: int) -> None:
        """Until the rules have been evaluated `count` times more."""
        for _ in range(count):
            before = self.evaluations()
            self.wait(lambda before=before: self.evaluations().isdisjoint(before), "the next evaluation")  # type: ignore[misc]


def compressed_rules() -> str:
    (rule,) = of_kind(rendered("--set", "prometheusRule.enabled=true"), "PrometheusRule")
    groups = yaml.safe_dump({"groups": rule["spec"]["groups"]}, sort_keys=False, width=10_000)
    windows = re.sub(r"\[\d+m\]", f"[{WINDOW}]", groups)
    return re.sub(r"for: \d+m", f"for: {HOLD}", windows)


def configuration(metrics_port: int) -> dict[str, Any]:
    address = f"127.0.0.1:{metrics_port}"
    pods = [
        {
            "targets": [address],
            "labels": {"namespace": namespace, "pod": pod, "__metrics_path__": f"/{namespace}/{pod}"},
        }
        for namespace, members in TRAFFIC.items()
        for pod in members
    ]
    return {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [
            {"job_name": "pods", "honor_labels": True, "static_configs": pods},
            {
                "job_name": "evenload",
                "honor_labels": True,
                "static_configs": [{"targets": [address], "labels": {"__metrics_path__": "/operator"}}],
            },
        ],
    }


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus with the chart's rules, scraping pods and an operator made up here."""
    build.ensure(("prometheus",))
    folder = tmp_path_factory.mktemp("prometheus")
    world = World()
    with served(world) as metrics_port:
        (port,) = free_ports(1)
        (folder / "rules.yaml").write_text(compressed_rules())
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration(metrics_port)))
        with running(folder, port):
            started = Prometheus(url=f"http://127.0.0.1:{port}", world=world)
            started.wait(lambda: answers(started), "Prometheus")
            yield started


@contextlib.contextmanager
def served(world: World) -> Iterator[int]:
    """The world's pages on a loopback port."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = world.page(self.path).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@contextlib.contextmanager
def running(folder: Path, port: int) -> Iterator[None]:
    """The process; its log stays in the folder for whoever looks for why it failed."""
    command = [
        str(parts.folder("prometheus") / "prometheus"),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=60)


def answers(prometheus: Prometheus) -> bool:
    try:
        return bool(prometheus.evaluations())
    except OSError:
        return False


def test_a_pod_with_nine_tenths_of_the_traffic_is_told_of_without_the_operator(prometheus: Prometheus) -> None:
    prometheus.wait(lambda: "skewed" in prometheus.firing("EvenloadTrafficSkewed"), "EvenloadTrafficSkewed")
    (labels,) = prometheus.query('ALERTS{alertstate="firing",alertname="EvenloadTrafficSkewed",namespace="skewed"}')
    assert labels["workload"] == SKEWED["skewed"]
    assert labels["severity"] == "warning"


def test_pods_that_never_had_a_request_count_as_zero(prometheus: Prometheus) -> None:
    prometheus.wait(lambda: "silent-pods" in prometheus.firing("EvenloadTrafficSkewed"), "EvenloadTrafficSkewed")


@pytest.mark.parametrize("namespace", sorted(set(TRAFFIC) - set(SKEWED)))
def test_an_even_small_or_quiet_workload_stays_silent(prometheus: Prometheus, namespace: str) -> None:
    prometheus.wait(lambda: set(SKEWED) <= set(prometheus.firing("EvenloadTrafficSkewed")), "the others' alerts")
    prometheus.wait_for_evaluations(3)
    seen = prometheus.query(f'namespace_workload_pod:evenload_requests:rate2m{{namespace="{namespace}"}}')
    assert {labels["pod"] for labels in seen} == set(TRAFFIC[namespace])
    assert prometheus.query(f'ALERTS{{namespace="{namespace}"}}') == []


@pytest.mark.parametrize("alert", sorted(OPERATOR_SICK))
def test_each_alert_fires_on_what_it_is_about_and_on_nothing_else(prometheus: Prometheus, alert: str) -> None:
    expected = {alert} | ALSO.get(alert, set())
    prometheus.wait(lambda: prometheus.firing().get(alert) == expected, f"{expected}")


def test_a_balancer_that_is_well_is_left_alone(prometheus: Prometheus) -> None:
    prometheus.wait(lambda: set(OPERATOR_SICK) <= set(prometheus.firing()), "the others' alerts")
    prometheus.wait_for_evaluations(3)
    assert prometheus.query('evenload_balancer_condition{namespace="well"}') != []
    assert prometheus.query('ALERTS{namespace="well"}') == []


def test_it_is_told_when_nobody_leads_and_not_before(prometheus: Prometheus) -> None:
    prometheus.wait(lambda: prometheus.query("evenload_leader == 1"), "a leader")
    prometheus.wait_for_evaluations(3)
    assert prometheus.firing("EvenloadOperatorDown") == {}
    prometheus.world.leading = False
    try:
        prometheus.wait(lambda: prometheus.firing("EvenloadOperatorDown"), "EvenloadOperatorDown")
    finally:
        prometheus.world.leading = True
    prometheus.wait(lambda: not prometheus.firing("EvenloadOperatorDown"), "the end of EvenloadOperatorDown")


def test_every_alert_of_the_chart_is_tried_here() -> None:
    groups = yaml.safe_load(compressed_rules())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    assert alerts == {*OPERATOR_SICK, "EvenloadTrafficSkewed", "EvenloadOperatorDown"}
