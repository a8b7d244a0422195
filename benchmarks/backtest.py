"""A week's backtest: `python -m benchmarks.backtest [--days 7] [--pods 50] [--tick 15]`.

Prometheus is a stand-in on a real socket, in a process of its own (its time is not counted): steady traffic with
Poisson noise, a bad half hour every day. What is counted is all CPU of this process: sockets, parsing, who stood where,
the join, the engine.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import random
import resource
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qs

from benchmarks import yardstick
from benchmarks.prometheus import BACKENDS, METRICS

START: Final = 1_760_000_000
WINDOW_SECONDS: Final = 45.0


def pod_names(pods: int) -> list[str]:
    """As their Deployments would name them."""
    return [f"shop-{pod % BACKENDS}-6b9f7c5d8-{_suffix(pod)}" for pod in range(pods)]


def _suffix(number: int) -> str:
    letters = "bcdfghjklmnpqrstvwxz2456789"
    text = ""
    for _ in range(5):
        number, digit = divmod(number, len(letters))
        text += letters[digit]
    return text


def body(signal: str, pods: list[str], start: float, end: float, step: float) -> bytes:
    """One range query's answer, the same for the same question."""
    dice = random.Random(f"{signal} {start}")
    times = [start + step * index for index in range(int((end - start) / step) + 1)]
    if signal == "none":
        return b'{"status":"success","data":{"resultType":"matrix","result":[]}}'
    rows = [_row({"namespace": "shop", "evenload": "age"}, times, ["7.5"] * len(times))]
    for place, pod in enumerate(pods):
        values = [_value(signal, place, when, dice) for when in times]
        kept = [pair for pair in zip(times, values, strict=True) if pair[1] is not None]
        if kept:
            labels = {"namespace": "shop", "pod": pod, "evenload": "value"}
            rows.append(_row(labels, [when for when, _ in kept], [str(value) for _, value in kept]))
    return ('{"status":"success","data":{"resultType":"matrix","result":[' + ",".join(rows) + "]}}").encode()


def _value(signal: str, place: int, when: float, dice: random.Random) -> str | None:
    bad = when % 86400 < 1800 and place % BACKENDS == 0
    match signal:
        case "requests":
            mean = 750.0 * (3.0 if bad else 1.0)
            return f"{max(0.0, dice.gauss(mean, mean**0.5)) * 1.5:.6f}"
        case "errors":
            return f"{dice.uniform(50, 90):.6f}" if bad else None
        case "latency":
            return f"{dice.uniform(0.027, 0.033):.9f}"
        case "inFlight":
            return "2"
        case "cpu":
            return f"{dice.uniform(0.28, 0.32) * (2.5 if bad else 1.0):.9f}"
        case _:
            return f"{dice.uniform(1.5e8, 1.7e8):.0f}"


def _row(metric: dict[str, str], times: list[float], values: list[str]) -> str:
    samples = ",".join(f'[{when:.0f},"{value}"]' for when, value in zip(times, values, strict=True))
    return f'{{"metric":{json.dumps(metric)},"values":[{samples}]}}'


def serve(pods: int) -> None:
    """Until standard input is closed; prints the address."""
    names = pod_names(pods)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            query = form["query"][0]
            signal = next((name for name, mark in METRICS.items() if mark in query), "none")
            answer = body(signal, names, *(float(form[key][0]) for key in ("start", "end", "step")))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{serving.server_address[1]}", flush=True)
    sys.stdin.read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--pods", type=int, default=50)
    parser.add_argument("--tick", type=float, default=15.0, help="seconds")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.pods)
        return
    unit = yardstick.measure()
    command = [sys.executable, "-m", "benchmarks.backtest", "--serve", "--pods", str(arguments.pods)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        url = process.stdout.readline().strip()
        _measure(url, arguments.days, arguments.tick, unit, profile=arguments.profile)
        process.stdin.close()


def _measure(url: str, days: float, tick: float, unit: float, *, profile: bool) -> None:
    from evenload.drivers.base import Place
    from evenload.history.backtest import backtest
    from evenload.history.past import Subject
    from evenload.history.ranges import Grid
    from evenload.history.roster import Behind
    from evenload.model.spec import BalancerSpec, Signals, TargetRef
    from evenload.observe.queries import source_of

    names = [f"shop-{backend}" for backend in range(BACKENDS)]
    subject = Subject(
        namespace="shop",
        name="shop",
        source=source_of(Signals(preset="app"), default_url=url, scrape_seconds=tick),
        weights=dict.fromkeys(names, 200),
        backends={
            name: Behind(service=Place(namespace="shop", name=name), workloads=frozenset({name})) for name in names
        },
        max_age_seconds=60.0,
        origin="a benchmark",
    )
    grid = Grid.between(START, START + 86400 * days - tick, tick)
    profiler = cProfile.Profile()
    began, spent = time.perf_counter(), time.process_time()
    if profile:
        profiler.enable()
    result = backtest(subject, BalancerSpec(target_ref=TargetRef(name="shop")), grid)
    profiler.disable()
    spent = time.process_time() - spent
    print(f"{days:g} days, {result.ticks} ticks, {len(result.episodes)} episodes, {len(result.writes)} would-be writes")
    print(f"  {spent:.1f} CPU-s = {spent / unit:.0f} yardsticks of {unit:.3f} CPU-s")
    print(f"  {1e3 * spent / result.ticks:.2f} ms of CPU a tick")
    print(f"  {time.perf_counter() - began:.0f} s by the clock, the stand-in's own time included")
    print(f"  peak RSS {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
