"""The table of scenarios. `held_out` ones were never looked at while an engine was tuned; they are scored last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evenload.simulate import trials
from evenload.simulate.chaos import chaos
from evenload.simulate.world import Trial, World


@dataclass(frozen=True, slots=True)
class Scenario:
    """A row of the table."""

    name: str
    summary: str
    build: Callable[[World], Trial]
    held_out: bool = False
    long: bool = False  # takes minutes; run only when named, or by `--long`
    only_size: int | None = None  # it is about fleets of this size

    def trial(self, size: int, seed: int) -> Trial:
        """The same arguments give the same trial, and the same run."""
        number = sum(ord(letter) * 31**place for place, letter in enumerate(self.name)) % 2**32
        return self.build(World(np.random.default_rng([number, size, seed]), size))


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("bad-update", "80% to one server by an update of the weights", trials.bad_update),
    Scenario("postmortem", "the same, and the server stays sick until restarted", trials.postmortem),
    Scenario("ignored-weights", "80% to one server against the weights", trials.ignored_weights),
    Scenario("mild-skew", "1.7 times its share", trials.mild_skew),
    Scenario("skew-unequal", "twice its share over unequal capacities", trials.skew_unequal),
    Scenario("skew-many-pods", "80% to one backend of several pods", trials.skew_many_pods),
    Scenario("sticky", "half the traffic is bound to one server", trials.sticky),
    Scenario("surge-1.8", "1.8 times the traffic, shares equal", trials.surging(1.8)),
    Scenario("surge-3", "three times the traffic, more than all can bear", trials.surging(3.0)),
    Scenario("skew-and-surge", "three times its share in a surge of 1.8", trials.skew_and_surge),
    Scenario("throttled", "one server gets half its CPU", trials.throttled),
    Scenario("gray", "one server is slow, its CPU says nothing", trials.gray),
    Scenario("slow-node", "a quarter of the pods, on one node, are slow", trials.slow_node),
    Scenario("error-pod", "one server fails a fifth of its requests", trials.failing(0.0, 0.2)),
    Scenario("many-fail", "40% of the servers fail a third", trials.failing(0.4, 0.33)),
    Scenario("sinkhole", "one server fails at once and attracts traffic", trials.sinkhole),
    Scenario("dependency-errors", "all fail 35%", trials.dependency_errors),
    Scenario("dependency-slow", "all are slow, CPU is not", trials.dependency_slow),
    Scenario("leak", "memory leaks 1% of the limit a minute", trials.leak, long=True),
    Scenario("cache-fill", "memory rises and stops", trials.cache_fill, long=True),
    Scenario("warm-up", "a new pod is cold", trials.warming),
    Scenario("traffic-ramp", "traffic doubles in twenty minutes", trials.traffic_ramp),
    Scenario("idle", "half a request a second", trials.idle),
    Scenario("stale", "Prometheus stops scraping", trials.stale),
    Scenario("missing-pods", "three in ten pods are not scraped", trials.missing_pods),
    Scenario("traffic-stops", "nothing arrives any more", trials.traffic_stops),
    Scenario("neutral-change", "other weights, the same shares", trials.neutral_change),
    Scenario("healthy", "all is well, shares spread by 10%", trials.healthy),
    Scenario("healthy-bursty", "all is well, traffic comes in bursts", trials.healthy_bursty),
    Scenario("healthy-sparse", "all is well, five requests a second a pod", trials.healthy_sparse),
    Scenario("healthy-unequal", "all is well, capacities differ", trials.unequal_healthy),
    Scenario("healthy-day", "24 hours, five times the traffic by day", trials.healthy_day, long=True),
    Scenario("canary", "explicit shares, one backend a tenth", trials.canary),
    Scenario("crashes", "a process dies twice, its counters start again", trials.crashes),
    Scenario("rollout", "a rollout replaces the pods in turn", trials.rollout),
    Scenario("no-cpu", "bad update, CPU not measured", trials.blind_to("cpu")),
    Scenario("no-latency", "bad update, latency not measured", trials.blind_to("latency")),
    Scenario("chaos", "one mishap after another; only the rules are kept", chaos, long=True),
    Scenario("two-hot", "two backends share 70%", trials.two_hot, held_out=True),
    Scenario(
        name="slow-scrapes",
        summary="70% to one, scrapes of 15 s, a tenth missed",
        build=trials.slow_scrapes,
        held_out=True,
    ),
    Scenario("most-fail", "70% of the pods fail a third", trials.half_fail, held_out=True),
    Scenario("slow-in-bursts", "one slow pod in bursty traffic", trials.slow_in_bursts, held_out=True),
    Scenario(
        name="surge-and-errors",
        summary="2.2 to 4 times the traffic, bursty",
        build=trials.surge_and_errors,
        held_out=True,
    ),
    Scenario("creeping-skew", "a drift to three times its share", trials.creeping_skew, held_out=True),
    Scenario("error-pod-bursty", "one pod fails 12-30% in bursts", trials.error_pod_bursty, held_out=True),
)

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
