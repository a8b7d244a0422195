"""The servers: each admits, queues, works and falls ill by counting requests, all of them at once in numpy columns.

A row of `SERVER` is one pod. What a fault changes is a column; nothing here knows why it was changed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Servers = NDArray[Any]  # of dtype SERVER

NEVER = np.inf
NO_ZONE = -1

SERVER = np.dtype(
    [
        ("serial", "i4"),  # names and uid follow from it
        ("backend", "i4"),
        ("node", "i4"),
        ("zone", "i4"),  # NO_ZONE: its node has no such label
        ("born", "f8"),  # the pod's creation
        ("started", "f8"),  # the container's start: later than `born` once it has crashed
        ("ready_at", "f8"),
        ("dying_at", "f8"),  # since when it terminates
        ("isolated_at", "f8"),  # since when no Service selects it
        ("capacity", "f8"),  # requests a second at its full CPU, healthy and warm
        ("cpu_limit", "f8"),  # cores
        ("latency", "f8"),  # seconds of an unhurried request
        ("gain", "f8"),  # how the balancer likes it within its backend
        ("error_ratio", "f8"),  # of requests that are worked on in full and then fail
        ("fail_fast", "f8"),  # of requests that are refused at once, at next to no cost
        ("throttle", "f8"),  # of its CPU that it gets
        ("drag", "f8"),  # a request's time over what it should be, without CPU
        ("time_spread", "f8"),  # of single requests' times: standard deviation over mean
        ("warm_seconds", "f8"),
        ("queue", "f8"),
        ("queue_limit", "f8"),
        ("credit", "f8"),  # work it could have done and had no request for
        ("load", "f8"),  # 0..1, smoothed over a few seconds
        ("sick", "?"),
        ("sick_above", "f8"),  # rejections within about 5 s that make it sick for good; NEVER: immune
        ("rejected_lately", "f8"),
        ("memory_limit", "f8"),  # bytes
        ("resident", "f8"),  # what a fresh process holds
        ("cache", "f8"),  # what it holds more once its cache is full
        ("cache_seconds", "f8"),  # how fast that fills
        ("leak", "f8"),  # bytes a second
        ("leaked", "f8"),
        ("garbage", "f8"),
        ("garbage_limit", "f8"),  # collected when it gets there
        ("requests", "f8"),  # counters, as scraped
        ("errors", "f8"),
        ("latency_sum", "f8"),
        ("cpu_seconds", "f8"),
        ("in_flight", "f8"),  # gauge, as scraped
    ]
)

DEFAULTS: dict[str, float | bool] = {
    "zone": NO_ZONE,
    "dying_at": NEVER,
    "isolated_at": NEVER,
    "ready_at": -NEVER,
    "gain": 1.0,
    "throttle": 1.0,
    "drag": 1.0,
    "sick_above": NEVER,
    "cache_seconds": 1.0,
    "cpu_limit": 1.0,
    "latency": 0.02,
    "warm_seconds": 1.0,
    "memory_limit": 512e6,
    "resident": 150e6,
    "garbage_limit": 30e6,
    "queue_limit": 40.0,
}

SICK_COST = 5.0  # as in the postmortem's server: every request costs this many times its CPU ...
SICK_FAILURES = 0.35  # ... and of those worked on, this share fails
SICK_WINDOW_SECONDS = 5.0
IDLE_CPU_RATIO = 0.03
REFUSAL_SECONDS = 0.001
REFUSAL_COST = 0.03  # of a request's CPU
GARBAGE_BYTES = 60e3  # a request
COLD_SPEED = 0.35  # of its capacity a server has at its start


def new_servers(count: int, **columns: Floats | NDArray[np.int64] | float) -> Servers:
    """`count` healthy servers; `columns` override DEFAULTS."""
    servers = np.zeros(count, SERVER)
    for name, value in {**DEFAULTS, **columns}.items():
        servers[name] = value
    return servers


def speed(servers: Servers, now: float) -> Floats:
    """Requests a second each could finish now: throttled, cold or sick ones fewer."""
    warm = np.clip((now - servers["started"]) / np.maximum(servers["warm_seconds"], 1e-9), 0, 1)
    return np.asarray(
        servers["capacity"]
        * servers["throttle"]
        * (COLD_SPEED + (1 - COLD_SPEED) * warm)
        / np.where(servers["sick"], SICK_COST, 1.0)
    )


def serve(
    servers: Servers, arrivals: Floats, now: float, step_seconds: float, rng: np.random.Generator, trouble: Trouble
) -> Floats:
    """Work through a step; how many of the requests each answered with an error."""
    rate = speed(servers, now)
    refused = _some(arrivals, servers["fail_fast"], rng)
    budget = np.minimum(servers["credit"], 1.0) + rate * step_seconds
    room = np.maximum(servers["queue_limit"] - servers["queue"] + np.floor(budget), 0)
    overflow = np.maximum(arrivals - refused - room, 0)
    waiting = servers["queue"] + arrivals - refused - overflow
    served = np.minimum(waiting, np.floor(budget))
    servers["queue"] = waiting - served
    servers["credit"] = budget - served
    _age_load(servers, served / np.maximum(rate * step_seconds, 1e-9), step_seconds)
    failed = _some(served, _failure_ratio(servers, trouble), rng)
    rejected = refused + overflow
    _count(servers, served, failed, rejected, rate, step_seconds, rng, trouble)
    _fall_ill(servers, overflow, step_seconds)
    _grow(servers, served, now, step_seconds, rng)
    answered_badly: Floats = failed + rejected
    return answered_badly


def _some(requests: Floats, ratio: Floats, rng: np.random.Generator) -> Floats:
    """How many of these whole numbers of requests it hits; no dice are thrown where there is nothing to hit."""
    if not ratio.any():
        return np.zeros(len(ratio))
    return rng.binomial(requests.astype(np.int64), ratio).astype(np.float64)


class Trouble:
    """What hurts all servers at once: something they all depend on."""

    __slots__ = ("error_ratio", "extra_seconds")

    def __init__(self) -> None:
        self.error_ratio = 0.0
        self.extra_seconds = 0.0


def memory(servers: Servers, now: float) -> Floats:
    """Bytes each holds."""
    filled = 1 - np.exp(-(now - servers["started"]) / servers["cache_seconds"])
    return np.asarray(servers["resident"] + servers["cache"] * filled + servers["leaked"] + servers["garbage"])


def restart_container(servers: Servers, which: Flags, now: float, down_seconds: float) -> None:
    """A crash: the same pod, a fresh process; counters start at nought again."""
    for name in ("queue", "credit", "load", "rejected_lately", "leaked", "garbage", "sick", "in_flight"):
        servers[name][which] = 0
    for name in ("requests", "errors", "latency_sum", "cpu_seconds"):
        servers[name][which] = 0
    servers["started"][which] = now + down_seconds
    servers["ready_at"][which] = now + down_seconds


def _failure_ratio(servers: Servers, trouble: Trouble) -> Floats:
    sound = (1 - servers["error_ratio"]) * (1 - trouble.error_ratio)
    return np.asarray(1 - sound * np.where(servers["sick"], 1 - SICK_FAILURES, 1.0))


def _age_load(servers: Servers, load: Floats, step_seconds: float) -> None:
    memory_ratio = np.exp(-step_seconds / 3.0)
    servers["load"] = memory_ratio * servers["load"] + (1 - memory_ratio) * np.minimum(load, 1)


def _count(
    servers: Servers,
    served: Floats,
    failed: Floats,
    rejected: Floats,
    rate: Floats,
    step_seconds: float,
    rng: np.random.Generator,
    trouble: Trouble,
) -> None:
    """Counters and gauges after a step in which `served` were worked on and `rejected` were not."""
    busy = np.minimum(servers["load"], 0.97)
    unhurried = servers["latency"] * servers["drag"] / np.maximum(servers["throttle"], 0.05)
    unhurried = unhurried * servers["capacity"] * servers["throttle"] / np.maximum(rate, 1e-9)
    queueing = unhurried * 0.3 * busy / (1 - busy) + servers["queue"] / np.maximum(rate, 1e-9)
    seconds = (unhurried + queueing + trouble.extra_seconds) * rng.lognormal(0.0, 0.05, len(servers))
    servers["requests"] += served + rejected
    servers["errors"] += failed + rejected
    servers["latency_sum"] += _taken(served, seconds, servers["time_spread"], rng) + rejected * REFUSAL_SECONDS
    servers["in_flight"] = np.round(served / step_seconds * np.minimum(seconds, 30.0))
    cost = servers["cpu_limit"] * servers["throttle"] / np.maximum(rate, 1e-9)  # core seconds a request
    work = served * cost + rejected * cost * REFUSAL_COST + IDLE_CPU_RATIO * servers["cpu_limit"] * step_seconds
    noisy = work * rng.lognormal(0.0, 0.03, len(servers))
    servers["cpu_seconds"] += np.minimum(noisy, servers["cpu_limit"] * servers["throttle"] * step_seconds)


def _taken(served: Floats, seconds: Floats, spread: Floats, rng: np.random.Generator) -> Floats:
    """Seconds that all together took, where each takes `seconds` on average; no dice where they do not differ."""
    if not spread.any():
        return served * seconds
    shape = served / np.maximum(spread, 1e-9) ** 2  # a sum of gammas is one: of mean `served`, variance served spread²
    return np.where(spread > 0, rng.standard_gamma(shape) * np.maximum(spread, 1e-9) ** 2, served) * seconds


def _fall_ill(servers: Servers, overflow: Floats, step_seconds: float) -> None:
    servers["rejected_lately"] *= np.exp(-step_seconds / SICK_WINDOW_SECONDS)
    servers["rejected_lately"] += overflow
    servers["sick"] |= servers["rejected_lately"] > servers["sick_above"]


def _grow(servers: Servers, served: Floats, now: float, step_seconds: float, rng: np.random.Generator) -> None:
    servers["leaked"] += servers["leak"] * step_seconds
    servers["garbage"] += served * GARBAGE_BYTES
    full = servers["garbage"] > servers["garbage_limit"] * rng.uniform(0.8, 1.0, len(servers))
    servers["garbage"] = np.where(full, servers["garbage_limit"] * 0.05, servers["garbage"])
