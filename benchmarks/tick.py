"""A whole tick of many Balancers: `python -m benchmarks.tick [--balancers 1000] [--pods 50]`.

What is counted is what the operator does every ten seconds: ask Prometheus (a stand-in on a real socket, in a process
of its own), parse six answers for all pods, find out who stands behind each route, join that to Snapshots, run the
engines. What is not: the API server's own events, and writes, of which a healthy fleet has none.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import msgspec

from benchmarks import yardstick
from benchmarks.prometheus import BACKENDS, namespace_of, pod_names
from evenload.drivers import driver_of
from evenload.engine import Engine
from evenload.kube.client import Client
from evenload.model.spec import BalancerSpec, Mode, Signals, TargetRef
from evenload.observe.cluster import ClusterView
from evenload.observe.join import snapshot_of
from evenload.observe.prometheus import Interest, SignalReader
from evenload.observe.queries import source_of

WARM_TICKS = 8
MEASURED_TICKS = 5
TICK_SECONDS = 10.0
START = 1_760_000_000.0
STAGES = ("signals", "fleets", "join", "engine")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--balancers", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=50, help="of each Balancer")
    arguments = parser.parse_args()
    unit = yardstick.measure()
    with _prometheus(arguments.balancers, arguments.pods) as url:
        spent, wall = asyncio.run(_measure(url, arguments.balancers, arguments.pods))
    total = sum(spent.values())
    print(f"{arguments.balancers} Balancers x {arguments.pods} pods, one tick:")
    for stage, seconds in spent.items():
        print(f"  {stage:<8}{seconds:>8.3f} CPU-s")
    print(f"  {'all':<8}{total:>8.3f} CPU-s = {total / unit:.1f} yardsticks of {unit:.3f} CPU-s")
    print(f"  {'':<8}{wall:>8.3f} s by the clock")
    print(f"peak RSS of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


@contextmanager
def _prometheus(balancers: int, pods: int) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.prometheus", "--balancers", str(balancers), "--pods", str(pods)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        assert process.stdin is not None
        process.stdin.close()


async def _measure(url: str, balancers: int, pods: int) -> tuple[dict[str, float], float]:
    """CPU seconds of each stage in the median tick, and that tick's seconds by the clock."""
    cluster = _cluster(balancers, pods)
    reader = SignalReader(trusted_url=url, deadline_seconds=60.0)
    spec = BalancerSpec(target_ref=TargetRef(name="shop"), mode=Mode.Auto, signals=Signals(preset="app"))
    source = source_of(spec.signals, default_url=url, scrape_seconds=TICK_SECONDS)
    engines = [Engine(spec) for _ in range(balancers)]
    driver = driver_of("HTTPRoute")
    views = [driver.backends(_route(balancer), TargetRef(name=_route_name(balancer))) for balancer in range(balancers)]
    ticks = []
    for tick in range(WARM_TICKS + MEASURED_TICKS):
        spent, began = dict.fromkeys(STAGES, 0.0), time.perf_counter()
        mark = time.process_time()
        interests = {
            index: Interest(source=source, namespaces=frozenset({namespace_of(index)}), expected_pods=pods)
            for index in range(balancers)
        }
        samples = await reader.read(interests)
        spent["signals"] = time.process_time() - mark
        if problem := next((r.problem for r in samples[0].readings.values() if r.problem), ""):
            sys.exit(f"the stand-in did not answer: {problem}")
        for index, (view, engine) in enumerate(zip(views, engines, strict=True)):
            marks = [time.process_time()]
            fleet = cluster.fleet(view)
            marks.append(time.process_time())
            snapshot = snapshot_of(
                time=START + TICK_SECONDS * tick,
                weights=view.weights,
                fleet=fleet,
                samples=samples[index],
                max_age_seconds=60.0,
            )
            marks.append(time.process_time())
            engine.step(snapshot)
            marks.append(time.process_time())
            for stage, start, end in zip(STAGES[1:], marks, marks[1:], strict=False):
                spent[stage] += end - start
        ticks.append((sum(spent.values()), spent, time.perf_counter() - began))
    reader.close()
    _, spent, wall = sorted(ticks[WARM_TICKS:], key=lambda tick: tick[0])[MEASURED_TICKS // 2]
    return spent, wall


# A cluster as the watches would have delivered it.


def _cluster(balancers: int, pods: int) -> ClusterView:
    view = ClusterView(cast(Client, None))  # nothing is watched here: it is told everything below
    for balancer in range(balancers):
        namespace = namespace_of(balancer)
        by_backend: dict[str, list[str]] = {}
        for backend, pod in pod_names(balancer, pods):
            by_backend.setdefault(backend, []).append(pod)
            _tell(view._pods, namespace, pod, _pod(namespace, backend, pod))
        for backend, names in by_backend.items():
            _tell(view._services, namespace, backend, {"metadata": {"name": backend, "namespace": namespace}})
            _tell(view._slices, namespace, f"{backend}-x7k2p", _slice(namespace, backend, names))
            _tell(view._replica_sets, namespace, f"{backend}-6b9f7c5d8", _replica_set(namespace, backend))
    for reflector in view._reflectors():
        for stream in reflector._streams:
            stream.listed.set()
    return view


def _tell(reflector: Any, namespace: str, name: str, manifest: dict[str, Any]) -> None:
    reflector.store((namespace, name), reflector.decode(msgspec.Raw(msgspec.json.encode(manifest))))


def _pod(namespace: str, backend: str, name: str) -> dict[str, Any]:
    owner = {"kind": "ReplicaSet", "name": f"{backend}-6b9f7c5d8", "controller": True}
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "creationTimestamp": "2025-10-01T00:00:00Z",
            "ownerReferences": [owner],
        },
        "spec": {
            "nodeName": f"node-{hash(name) % 100}",
            "containers": [
                {
                    "resources": {"limits": {"cpu": "1", "memory": "512Mi"}},
                    "lifecycle": {"preStop": {"sleep": {"seconds": 10}}},
                }
            ],
        },
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"state": {"running": {"startedAt": "2025-10-01T00:00:10Z"}}}],
        },
    }


def _slice(namespace: str, backend: str, pods: list[str]) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"{backend}-x7k2p",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": backend},
        },
        "endpoints": [
            {"targetRef": {"kind": "Pod", "name": pod, "uid": f"uid-{pod}"}, "conditions": {"ready": True}}
            for pod in pods
        ],
    }


def _replica_set(namespace: str, backend: str) -> dict[str, Any]:
    owner = {"kind": "Deployment", "name": backend, "controller": True}
    return {"metadata": {"name": f"{backend}-6b9f7c5d8", "namespace": namespace, "ownerReferences": [owner]}}


def _route_name(balancer: int) -> str:
    return f"shop-{balancer:04d}"


def _route(balancer: int) -> dict[str, Any]:
    name = _route_name(balancer)
    backends = [{"name": f"{name}-{index}", "port": 80, "weight": 1000} for index in range(BACKENDS)]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": name,
            "namespace": namespace_of(balancer),
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "generation": 1,
        },
        "spec": {"rules": [{"backendRefs": backends}]},
    }


if __name__ == "__main__":
    main()
