"""The lab itself: the node is real, its rules hold, and nothing of it stays behind.

Run inside a lab: `python -m lab run -- pytest tests/e2e/test_lab.py`.
"""

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import api, clients, cluster, state, teardown
from lab.errors import CommandFailed
from tests.support.naming import ask, deploy, http_route, server, weighted

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SECOND = "e2e-second"
DEADLINE_SECONDS = 120.0


def until(what: str, ready: Callable[[], bool], seconds: float = DEADLINE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:.0f} s"
        time.sleep(0.2)


@pytest.fixture
def namespace(lab: state.LabState) -> Iterator[str]:
    name = f"lab-test-{os.urandom(4).hex()}"
    clients.kubectl(lab, "create", "namespace", name)
    yield name
    clients.kubectl(lab, "delete", "namespace", name, "--wait=false")


def serve(lab: state.LabState, namespace: str, *names: str) -> None:
    """Servers of files. Files are no metrics, so Prometheus finds them and says up = 0."""
    scraped = {"scrape": "true", "port": "8080", "path": "/tmp/"}
    marks = {f"prometheus.io/{key}": value for key, value in scraped.items()}
    command = ["python3", "-m", "http.server", "8080"]
    objects = [each for name in names for each in server(name, command, path="/tmp/", annotations=marks)]
    deploy(lab, namespace, *objects)


def query(lab: state.LabState, expression: str) -> list[dict[str, Any]]:
    address = f"{lab.prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    body: str | None = None

    def answered() -> bool:
        nonlocal body
        body = api.get(address)
        return body is not None

    until("an answer of Prometheus", answered)
    result: list[dict[str, Any]] = json.loads(body or "")["data"]["result"]
    return result


def test_a_pod_reaches_prometheus_by_its_cluster_address(lab: state.LabState, namespace: str) -> None:
    serve(lab, namespace, "probe")
    script = f"import urllib.request as u; print(u.urlopen('{lab.prometheus_service_url}/-/ready', timeout=30).status)"
    said = clients.kubectl(lab, "--namespace", namespace, "exec", "deployment/probe", "--", "python3", "-c", script)
    assert said.strip() == "200"


def test_a_pod_reaches_itself_through_its_own_service(lab: state.LabState, namespace: str) -> None:
    serve(lab, namespace, "loop")
    address = clients.kubectl(lab, "-n", namespace, "get", "service", "loop", "-o", "jsonpath={.spec.clusterIP}")
    script = f"import urllib.request as u; print(u.urlopen('http://{address}/tmp/', timeout=30).status)"

    def reached() -> bool:
        with contextlib.suppress(CommandFailed):  # the node has not heard of the Service's new endpoint yet
            said = clients.kubectl(lab, "-n", namespace, "exec", "deployment/loop", "--", "python3", "-c", script)
            return said.strip() == "200"
        return False

    until("an answer of the pod to itself", reached)


def test_a_pod_runs_as_an_ordinary_user_with_rights_of_its_service_account_only(
    lab: state.LabState, namespace: str
) -> None:
    serve(lab, namespace, "plain")
    user = clients.kubectl(
        lab, "-n", namespace, "exec", "deployment/plain", "--", "python3", "-c", "import os; print(os.getuid())"
    )
    assert user.strip() == "65532"
    can = ["auth", "can-i", "list", "pods", f"--as=system:serviceaccount:{namespace}:default"]
    with pytest.raises(CommandFailed, match="no"):
        clients.kubectl(lab, "-n", namespace, *can)


def test_the_kubelet_turns_strangers_away(lab: state.LabState) -> None:
    trust = ssl.create_default_context(cafile=str(lab.folder / "pki" / "ca.crt"))
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        urllib.request.urlopen(f"https://{lab.node_address}:10250/metrics/cadvisor", context=trust, timeout=30)
    refused.value.close()


def test_traefik_splits_by_the_weights_of_the_route(lab: state.LabState, namespace: str) -> None:
    serve(lab, namespace, "many", "few")
    route = http_route("split", "traefik", f"{namespace}.test", weighted(many=9, few=1))
    clients.kubectl(lab, "-n", namespace, "apply", "--filename", "-", stdin=json.dumps(route))
    until("a routed answer", lambda: asked(lab, namespace) == 200)
    for _ in range(100):
        assert asked(lab, namespace) == 200
    counter = f'traefik_service_requests_total{{service=~".*{namespace}-(many|few).*"}}'
    until("Traefik's counters", lambda: sum(float(each["value"][1]) for each in query(lab, counter)) > 100)
    counts = {
        ("many" if "-many-" in each["metric"]["service"] else "few"): float(each["value"][1])
        for each in query(lab, counter)
    }
    assert counts["many"] == pytest.approx(9 * counts["few"], rel=0.15)


def asked(lab: state.LabState, namespace: str) -> int:
    return ask(f"{lab.gateway_url}/tmp/", f"{namespace}.test")[0]


def test_prometheus_finds_annotated_pods_and_their_processor_time(lab: state.LabState, namespace: str) -> None:
    serve(lab, namespace, "measured")
    selector = f'{{namespace="{namespace}",pod=~"measured-.*",node="lab"}}'
    until("the pod as a target", lambda: len(query(lab, f"up{selector}")) == 1)
    usage = f"container_cpu_usage_seconds_total{selector}"
    until("its processor time", lambda: len(query(lab, usage)) == 1)
    until("memory", lambda: len(query(lab, f"container_memory_working_set_bytes{selector}")) == 1)
    (sample,) = query(lab, usage)
    assert sample["metric"]["container"] == "server"


def lab_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "lab", *arguments]


@pytest.fixture
def second() -> Iterator[Path]:
    """The folder of a second lab, taken down whatever the test did."""
    yield cluster.folder_of(SECOND)
    subprocess.run(lab_command("down", "--name", SECOND), check=True)


def leftovers() -> list[str]:
    return teardown.leftovers(cluster.unique(SECOND), cluster.folder_of(SECOND))


@pytest.mark.usefixtures("lab")
def test_a_second_lab_comes_up_beside_the_first_and_goes_without_a_trace_twice(second: Path) -> None:
    for _ in range(2):
        subprocess.run(lab_command("up", "--name", SECOND), check=True, capture_output=True)
        nodes = clients.kubectl(cluster.load(SECOND), "get", "nodes", "--output=name")
        assert nodes.strip() == "node/lab"
        subprocess.run(lab_command("down", "--name", SECOND), check=True)
        assert leftovers() == []
        assert not second.exists()


@pytest.mark.usefixtures("second")
def test_the_exit_code_of_a_command_run_inside_is_passed_on_and_the_lab_is_gone() -> None:
    done = subprocess.run(lab_command("run", "--name", SECOND, "--", "sh", "-c", "exit 7"), capture_output=True)
    assert done.returncode == 7
    assert leftovers() == []


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_start_leaves_nothing(second: Path, stop: signal.Signals) -> None:
    starting = subprocess.Popen(lab_command("up", "--name", SECOND), stderr=subprocess.DEVNULL, start_new_session=True)
    until("some daemons", lambda: (second / "logs" / "kube-apiserver.log").exists())
    starting.send_signal(stop)
    assert starting.wait(30) == 128 + stop
    assert leftovers() == []


def test_down_cleans_up_after_a_crash(second: Path) -> None:
    starting = subprocess.Popen(lab_command("up", "--name", SECOND), stderr=subprocess.DEVNULL, start_new_session=True)
    until("some daemons", lambda: (second / "logs" / "kube-apiserver.log").exists())
    starting.kill()
    starting.wait()
    assert leftovers() != []
    subprocess.run(lab_command("down", "--name", SECOND), check=True)
    assert leftovers() == []
