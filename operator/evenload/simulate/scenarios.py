"""The table of scenarios. `held_out` ones were never looked at while an engine was tuned; they are scored last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evenload.simulate import (
    trials,
    trials_held_out,
    trials_inside,
    trials_memory,
    trials_owed,
    trials_robust,
    trials_thin,
    trials_updates,
    unequal,
)
from evenload.simulate.chaos import chaos
from evenload.simulate.growth import growth
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
    Scenario("burst", "three times the traffic for a minute", trials.burst),
    Scenario("flash-crowd", "four times the traffic for 45 s, twice", trials.flash_crowd),
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
    Scenario("growth", "traffic grows until the first server is full", growth, long=True),
    Scenario("idle", "half a request a second", trials.idle),
    Scenario("stale", "Prometheus stops scraping", trials.stale),
    Scenario("missed-scrapes", "75% to one, scrapes of 20 s, an eighth missed", trials.missed_scrapes),
    Scenario("missing-pods", "three in ten pods are not scraped", trials.missing_pods),
    Scenario("traffic-stops", "nothing arrives any more", trials.traffic_stops),
    Scenario("neutral-change", "other weights, the same shares", trials.neutral_change),
    Scenario("healthy", "all is well, shares spread by 10%", trials.healthy),
    Scenario("healthy-bursty", "all is well, traffic comes in bursts", trials.healthy_bursty),
    Scenario("healthy-sparse", "all is well, five requests a second a pod", trials.healthy_sparse),
    Scenario("healthy-unequal", "all is well, capacities differ", trials.unequal_healthy),
    Scenario("capacity-unknown", "capacities differ, only use shows it", unequal.capacity_unknown, long=True),
    Scenario("capacity-equal", "capacities alike and not declared", unequal.capacity_equal, long=True),
    Scenario(
        "skew-over-unknown", "twice its share over capacities learnt from use", unequal.skew_over_unknown, long=True
    ),
    Scenario("healthy-day", "24 hours, five times the traffic by day", trials.healthy_day, long=True),
    Scenario("canary", "explicit shares, one backend a tenth", trials.canary),
    Scenario("crashes", "a process dies twice, its counters start again", trials.crashes),
    Scenario("rollout", "a rollout replaces the pods in turn", trials.rollout),
    Scenario("no-cpu", "bad update, CPU not measured", trials.blind_to("cpu")),
    Scenario("no-latency", "bad update, latency not measured", trials.blind_to("latency")),
    Scenario("no-errors", "bad update, errors not measured", trials.blind_to("errors")),
    Scenario("no-memory", "bad update, memory not measured", trials.blind_to("memory")),
    Scenario("no-in-flight", "bad update, requests in flight not measured", trials.blind_to("in_flight")),
    Scenario("no-requests", "bad update, requests not measured", trials_robust.blind),
    Scenario("fleet-of-2", "80% to one of two servers", trials.bad_update, only_size=2),
    Scenario("fleet-of-500", "80% to one of 500 servers", trials.bad_update, only_size=500),
    Scenario("hardly-busy", "bad update, 0.2 requests a second a pod", trials_robust.hardly_busy),
    Scenario("very-busy", "bad update, 10,000 requests a second a pod", trials_robust.very_busy),
    Scenario("resets-in-skew", "bad update, counters of others start again", trials_robust.resets_in_skew),
    Scenario("doubled-series", "all is well, each series is there twice", trials_robust.doubled),
    Scenario("label-loss", "bad update, three in ten series lose their pod", trials_robust.unnamed),
    Scenario("frozen", "bad update, a stuck cache answers for Prometheus", trials_robust.frozen),
    Scenario("clock-forward", "bad update, the clock was set on by 5 minutes", trials_robust.clock_step(300.0)),
    Scenario("clock-back", "bad update, the clock was set back by 5 minutes", trials_robust.clock_step(-300.0)),
    Scenario("unequal-ages", "bad update, a third of the pods are new", trials_robust.unequal_ages),
    Scenario("late-start", "a third of the backends get their pods late", trials_robust.late_start),
    Scenario("outage", "bad update while Prometheus is away", trials_robust.outage),
    Scenario("autoscaled", "pods come and go with the traffic", trials_robust.autoscaled),
    Scenario("zone-slow", "a quarter of the pods, in one zone, are slow", trials_owed.zone_slow),
    Scenario("new-and-slow", "a new pod is slow for two minutes", trials_owed.new_and_slow),
    Scenario("own-harm", "our own write does harm and is to be taken back", trials_owed.own_harm),
    Scenario(
        "leak-to-the-end",
        "1% of the limit a minute, until memory would be out",
        trials_owed.leaking(0.01),
        long=True,
    ),
    Scenario("two-leaks", "two pods leak, until memory would be out", trials_owed.leaking(0.012, 0.009), long=True),
    *(
        Scenario(
            f"leak-{percent}-under-teeth",
            f"{percent}% of the limit a minute under a collector's saw-tooth",
            trials_memory.leak_under_teeth(float(percent) / 100),
            long=True,
        )
        for percent in ("0.3", "0.5", "1", "2")
    ),
    Scenario("teeth-alone", "a collector's saw-tooth, nothing leaks", trials_memory.teeth_alone, long=True),
    Scenario("cache-under-teeth", "a cache fills under a saw-tooth", trials_memory.cache_under_teeth, long=True),
    Scenario("thin-healthy", "all is well, 0.2 to 2 requests a second a pod", trials_thin.healthy),
    Scenario("thin-unequal", "all is well, few requests, capacities differ", trials_thin.healthy_unequal),
    Scenario("thin-failing", "few requests, one pod fails a third or more", trials_thin.failing),
    Scenario("well-from-the-start", "all is well, capacities differ, every tick counts", trials_thin.from_the_start),
    Scenario("outage-in-turns", "all fail, and are scraped in turn", trials_thin.common_outage((10.0, 15.0, 30.0))),
    Scenario("few-hot", "five of 200 servers get 2.5 times their share", trials_thin.few_hot, only_size=200),
    Scenario("long-connections", "one Service is scaled up, the new pods stay cold", trials_inside.long_connections),
    Scenario("drowning-connections", "and an old pod drowns in its clients", trials_inside.drowning_connections),
    Scenario("broken-addition", "an update adds a backend that fails", trials_updates.broken_addition),
    Scenario("sound-addition", "an update adds a backend that is sound", trials_updates.sound_addition),
    Scenario("broken-filter", "all fail since an update of something else", trials_updates.broken_filter),
    Scenario("outage-then-update", "a harmless update in an outage", trials_updates.unrelated(60.0)),
    Scenario("update-then-outage", "an outage, long after an update", trials_updates.unrelated(-200.0)),
    Scenario("update-then-failing", "a pod fails after an update", trials_updates.one_pod_fails_after),
    Scenario("chaos", "one mishap after another; only the rules are kept", chaos, long=True),
    Scenario("two-hot", "two backends share 70%", trials_held_out.two_hot, held_out=True),
    Scenario(
        name="slow-scrapes",
        summary="70% to one, scrapes of 15 s, a tenth missed",
        build=trials_held_out.slow_scrapes,
        held_out=True,
    ),
    Scenario("most-fail", "70% of the pods fail a third", trials_held_out.half_fail, held_out=True),
    Scenario("slow-in-bursts", "one slow pod in bursty traffic", trials_held_out.slow_in_bursts, held_out=True),
    Scenario(
        name="surge-and-errors",
        summary="2.2 to 4 times the traffic, bursty",
        build=trials_held_out.surge_and_errors,
        held_out=True,
    ),
    Scenario("creeping-errors", "one pod fails more and more", trials_held_out.creeping_errors, held_out=True),
    Scenario("freezing-pod", "one pod stands still 4 s in 10", trials_held_out.freezing, held_out=True),
    Scenario("inverted-weights", "the weakest servers get most", trials_held_out.inverted, held_out=True),
    Scenario("retry-storm", "a dependency fails, callers ask again", trials_held_out.retry_storm, held_out=True),
    Scenario("zone-lost", "the pods of a zone are not ready for 2 minutes", trials_held_out.zone_lost, held_out=True),
    Scenario("skew-and-sick", "70% to one, and another fails 40%", trials_held_out.skew_and_sick, held_out=True),
    Scenario("creeping-skew", "a drift to three times its share", trials_held_out.creeping_skew, held_out=True),
    Scenario("two-favoured", "two servers draw 3.5 times their share", trials_held_out.two_favoured, held_out=True),
    Scenario("sawtooth", "traffic leaps up and sinks back every minute", trials_held_out.sawtooth, held_out=True),
    Scenario("error-pod-bursty", "one pod fails 12-30% in bursts", trials_held_out.error_pod_bursty, held_out=True),
)

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
