"""Engine.step for many Balancers: `python -m benchmarks.engine [--balancers 1000] [--pods 50]`.

One tick of all of them, in CPU seconds of one core, and the memory their engines keep between ticks. A tenth of the
Balancers are skewed, so that the costly paths are walked too.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import resource
import statistics
import time
import tracemalloc

import numpy as np

from benchmarks import yardstick
from evenload.engine import Engine
from evenload.model.snapshot import SIGNALS, Backend, Pod, Signal, Snapshot
from evenload.model.spec import BalancerSpec, Mode, TargetRef

START = 1_760_000_000.0
TICK_SECONDS = 10.0
WARM_TICKS = 12
MEASURED_TICKS = 6  # two bins of the forecasts, which are made when one closes
HORIZON_TICKS = 100  # more than the fifteen minutes an engine may remember
BACKENDS = 5
WORLDS = 20  # different Snapshots a tick; more Balancers than that see the same again, so that memory is the engines'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--balancers", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=50, help="of each Balancer")
    arguments = parser.parse_args()
    unit = yardstick.measure()
    print(f"yardstick: {unit:.3f} CPU-s (benchmarks/yardstick.py); the last column is in these")
    print(f"{'balancers':>10}{'pods':>9}{'CPU-s a tick':>14}{'µs a pod':>10}{'yardsticks':>12}")
    for part in (0.02, 0.2, 1.0, 4.0):
        _line(max(1, round(part * arguments.balancers)), arguments.pods, unit)
    for pods in (500, 5000):
        _line(1, min(pods, arguments.balancers * arguments.pods), unit)
    print(f"an engine keeps {state_bytes(arguments.pods) / arguments.pods / 1024:.2f} KiB a pod between ticks")
    print(f"peak RSS of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def _line(balancers: int, pods: int, unit: float) -> None:
    seconds, total = cpu_seconds(balancers, pods), balancers * pods
    print(f"{balancers:>10}{total:>9}{seconds:>14.3f}{seconds / total * 1e6:>10.2f}{seconds / unit:>12.2f}")


def cpu_seconds(balancers: int, pods: int) -> float:
    """Of one tick of all Balancers: the mean of several."""
    rng = np.random.default_rng(7)
    engines = [_engine() for _ in range(balancers)]
    spent = []
    for tick in range(WARM_TICKS + MEASURED_TICKS):
        worlds = [snapshot(index, pods, tick, rng) for index in range(min(balancers, WORLDS))]
        start = time.process_time()
        for engine, seen in zip(engines, itertools.cycle(worlds), strict=False):
            engine.step(seen)
        spent.append(time.process_time() - start)
    return statistics.mean(spent[WARM_TICKS:])


def state_bytes(pods: int) -> int:
    """What one engine has allocated once its horizon is full."""
    _lived(pods)  # what is made once for all engines
    tracemalloc.start()
    engine = _lived(pods)  # noqa: F841  # it is held, that is all
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held


def _lived(pods: int) -> Engine:
    """An engine whose horizon is full."""
    rng = np.random.default_rng(7)
    engine = _engine()
    for tick in range(HORIZON_TICKS):
        engine.step(snapshot(1, pods, tick, rng))
    return engine


def _engine() -> Engine:
    return Engine(BalancerSpec(target_ref=TargetRef(name="shop"), mode=Mode.Auto))


def snapshot(balancer: int, pods: int, tick: int, rng: np.random.Generator) -> Snapshot:
    """A fleet of 25 requests a second a pod; every tenth Balancer sends its first backend three times its share."""
    skewed = balancer % 10 == 0 and tick > WARM_TICKS // 2
    shares = np.ones(pods)
    shares[: max(1, pods // BACKENDS)] *= 3.0 if skewed else 1.0
    requests = rng.poisson(750 * shares).tolist()
    latency = rng.lognormal(-3.5, 0.1, pods).tolist()
    cpu = (0.4 * shares * rng.lognormal(0, 0.05, pods)).tolist()
    memory = rng.uniform(1.5e8, 1.8e8, pods).tolist()
    size = max(1, pods // BACKENDS)
    backends: dict[str, dict[str, Pod]] = {}
    for row in range(pods):
        backend = f"shop-{balancer}-{min(row // size, BACKENDS - 1)}"
        backends.setdefault(backend, {})[f"{backend}-{row}"] = Pod(
            ready=True,
            age=86_400.0 + tick * TICK_SECONDS,
            uid=f"uid-{balancer}-{row}",
            node=f"node-{row % 17}",
            workload=f"Deployment/{backend}",
            requests=float(requests[row]),
            errors=0.0,
            latency=latency[row],
            cpu=cpu[row],
            cpu_limit=1.0,
            memory=memory[row],
            memory_limit=512e6,
            in_flight=2.0,
        )
    return Snapshot(
        time=START + tick * TICK_SECONDS,
        window=30.0,
        backends={name: Backend(weight=1000, pods=of) for name, of in backends.items()},
        signals={name: Signal(age=5.0) for name in SIGNALS},
    )


if __name__ == "__main__":
    main()
