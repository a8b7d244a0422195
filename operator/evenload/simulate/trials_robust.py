"""Trials of odd fleets and odd measurements: the same faults with numbers few, huge, lost, doubled or out of time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evenload.model.diagnosis import Label
from evenload.model.snapshot import Hold
from evenload.simulate.plant import Plant
from evenload.simulate.servers import NEVER
from evenload.simulate.trials import updated
from evenload.simulate.world import (
    QUIET_SECONDS,
    RESTART,
    START,
    WRITE,
    Event,
    Expected,
    Setting,
    Trial,
    World,
    ramp,
    spec,
    weigh,
)

SKEW = (Label.LoadBalancerSkew,)
HANDS_OFF = frozenset({Label.Failing, Label.MemoryLeak, Label.Dependency})


# A bad update where each server gets ten thousand requests a second.
very_busy = updated(Setting(rate_per_pod=(10_000.0, 10_000.0)))


def unseen(setting: Setting) -> Callable[[World], Trial]:
    """A bad update that this setting lets nobody see: too few requests, or none that are measured."""
    return updated(setting, labels=(Label.NoData,), forbidden=WRITE)


# A request every five seconds, or requests not measured whatever else is.
hardly_busy = unseen(Setting(rate_per_pod=(0.2, 0.2)))
blind = unseen(Setting(hidden=frozenset({"requests"})))


def resets_in_skew(world: World) -> Trial:
    """A bad update, and while it is looked at the counters of other pods start again."""
    plant, hot = world.plant(), world.victim()
    others = [row for row in world.victims(0.4) if row != hot]

    def reset(plant: Plant) -> None:
        for name in ("requests", "errors", "latency_sum", "cpu_seconds"):
            plant.servers[name][others] = 0

    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, weigh(hot, 0.8)), (world.onset + world.uniform(5, 20), reset)),
        expected=(Expected(labels=SKEW, start=world.onset, within=90),),
        forbidden=RESTART,
    )


def doubled(world: World) -> Trial:
    """Every series is there twice, as when two Prometheus of a pair are asked as one: nothing happened to traffic."""

    def double(plant: Plant) -> None:
        plant.counted_times = 2.0

    return Trial(plant=world.plant(), spec=spec(), events=((world.onset, double),), forbidden=WRITE)


def unnamed(world: World) -> Trial:
    """A new scrape configuration drops the label that names the pod, for three in ten; a bad update hides in it."""
    plant, lost, hot = world.plant(), world.victims(0.3), world.victim()

    def relabel(plant: Plant) -> None:
        plant.unnamed |= {int(serial) for serial in plant.servers["serial"][lost]}

    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, relabel), (world.onset + 5, weigh(hot, 0.8))),
        expected=(Expected(labels=(Label.NoData,), start=world.onset, within=30),),
        forbidden=WRITE,
    )


def frozen(world: World) -> Trial:
    """A cache in front of Prometheus is stuck, with new times on old numbers; a bad update hides behind it."""
    plant, hot = world.plant(), world.victim()

    def stick(plant: Plant) -> None:
        plant.frozen = True

    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, stick), (world.onset + 5, weigh(hot, 0.8))),
        expected=(Expected(labels=(Label.NoData,), start=world.onset, within=40),),
        forbidden=WRITE,
    )


def clock_step(seconds: float) -> Callable[[World], Trial]:
    """The operator's clock is set by this much, and half a minute later comes a bad update."""

    def build(world: World) -> Trial:
        plant, hot = world.plant(), world.victim()

        def step(plant: Plant) -> None:
            plant.clock_error_seconds += seconds

        return Trial(
            plant=plant,
            spec=spec(),
            events=((world.onset, step), (world.onset + 30, weigh(hot, 0.8))),
            expected=(Expected(labels=SKEW, start=world.onset + 30, within=60),),
            forbidden=RESTART,
        )

    return build


def unequal_ages(world: World) -> Trial:
    """Some pods run for days, a third for two minutes: a bad update all the same."""
    plant, young, hot = world.plant(), world.victims(0.34), world.victim()
    ages = world.rng.uniform(0, 60, len(young))
    for name in ("started", "born"):
        plant.servers[name][young] = START - ages
    onset = world.onset - QUIET_SECONDS + 90.0
    return Trial(
        plant=plant,
        spec=spec(),
        events=((onset, weigh(hot, 0.8)),),
        expected=(Expected(labels=SKEW, start=onset, within=60),),
        forbidden=RESTART,
    )


def late_start(world: World) -> Trial:
    """A third of the backends are empty at first; their pods get ready one after the other, and are well."""
    plant, late = world.plant(Setting(utilization=(0.25, 0.35))), world.victims(0.34)
    begins = START + world.rng.uniform(70, 160, len(late))
    for name in ("started", "born", "ready_at"):
        plant.servers[name][late] = begins
    return Trial(plant=plant, spec=spec(), forbidden=RESTART, wrong=frozenset({Label.MemoryLeak, Label.Dependency}))


def outage(world: World) -> Trial:
    """Prometheus is away for three minutes, a bad update comes meanwhile: nothing blindly, all of it afterwards."""
    plant, hot = world.plant(), world.victim()

    def scrapes(down: bool) -> Event:
        def happen(plant: Plant) -> None:
            plant.scraper.down = down

        return happen

    back = world.onset + 180
    return Trial(
        plant=plant,
        spec=spec(),
        events=((world.onset, scrapes(True)), (world.onset + 60, weigh(hot, 0.8)), (back, scrapes(False))),
        expected=(Expected(labels=SKEW, start=back, within=75),),
        forbidden=RESTART,
        duration=back + 300,
    )


def autoscaled(world: World) -> Trial:
    """Traffic doubles and goes back; an autoscaler adds a pod to each backend in turn, and takes it away again."""
    plant = world.plant(Setting(pods_per_backend=4 if world.size >= 8 else 2, utilization=(0.3, 0.4)))
    backends, start = len(plant.balancer.names), world.onset
    hold = Hold(reason="Autoscaling", detail="Deployment/shop-000 is being scaled")
    out, in_ = start + 150, start + 450

    def scaling(plant: Plant) -> None:
        plant.cluster.holds.append(hold)

    def scaled(plant: Plant) -> None:
        plant.cluster.holds.remove(hold)

    turns = np.linspace(1, 25, backends)
    return Trial(
        plant=plant,
        spec=spec(),
        events=(
            (start, ramp(1 / 240)),
            (start + 240, ramp(0.0)),
            (out, scaling),
            *((out + float(turn), _scale_out(backend)) for backend, turn in enumerate(turns)),
            (out + 45, scaled),
            (in_ - 60, ramp(-1 / 120)),
            (in_ + 60, ramp(0.0)),
            (in_, scaling),
            *((in_ + float(turn), _scale_in(backend)) for backend, turn in enumerate(turns)),
            (in_ + 45, scaled),
        ),
        forbidden=RESTART,
        wrong=HANDS_OFF,
        duration=in_ + 300,
    )


def _scale_out(backend: int) -> Event:
    return lambda plant: plant.add(backend, node=backend % 8)


def _scale_in(backend: int) -> Event:
    """Its youngest pod goes, and nobody replaces it."""

    def happen(plant: Plant) -> None:
        rows = np.flatnonzero((plant.servers["backend"] == backend) & (plant.servers["dying_at"] == NEVER))
        plant.servers["dying_at"][rows[np.argmax(plant.servers["born"][rows])]] = plant.now

    return happen
