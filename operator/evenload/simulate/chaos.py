"""Twenty minutes of one mishap after another, to see that the rules that always hold are kept whatever happens."""

from __future__ import annotations

import numpy as np

from evenload.model.snapshot import Hold
from evenload.simulate.plant import Plant
from evenload.simulate.world import WEIGHT, Event, Setting, Trial, World, favour, spec, surge, weigh


def chaos(world: World) -> Trial:
    """Twenty minutes of one mishap after another, without a right answer: only the rules that always hold are kept."""
    setting = Setting(sick_above=40.0, missed_ratio=0.05, burstiness=0.2, pods_per_backend=1 + world.victim() % 2)
    plant = world.plant(setting)
    moments = np.sort(world.rng.uniform(60, 1100, 12))
    events = tuple((float(at), _mishap(world)) for at in moments)
    return Trial(plant=plant, spec=spec(), events=events, rules_only=True, duration=1200.0)


def _mishap(world: World) -> Event:
    """Any of the events, or an end of some."""
    victim, backend = world.victim(), 0
    kinds: tuple[Event, ...] = (
        weigh(backend, world.uniform(0.4, 0.9)),
        _equal_weights,
        favour(backend, world.uniform(0.3, 4.0)),
        surge(world.uniform(0.2, 3.0)),
        surge(1.0),
        _fault("drag", victim, world.uniform(2.0, 6.0)),
        _fault("error_ratio", victim, world.uniform(0.1, 0.8)),
        _fault("throttle", victim, world.uniform(0.3, 0.7)),
        _toggle_scrapes,
        _toggle_budget,
        _toggle_replacements,
        _toggle_pause,
        _any_pod_replaced,
        _oom,
    )
    return kinds[int(world.rng.integers(len(kinds)))]


def _fault(column: str, place: int, value: float) -> Event:
    """In whichever pod is at this place by then."""

    def happen(plant: Plant) -> None:
        plant.servers[column][place % len(plant.servers)] = value

    return happen


def _equal_weights(plant: Plant) -> None:
    plant.command(dict.fromkeys(plant.balancer.names, WEIGHT), "argocd-controller")


def _toggle_scrapes(plant: Plant) -> None:
    plant.scraper.down = not plant.scraper.down


def _toggle_budget(plant: Plant) -> None:
    plant.cluster.budget_refuses = not plant.cluster.budget_refuses


def _toggle_replacements(plant: Plant) -> None:
    plant.cluster.replacements_get_ready = not plant.cluster.replacements_get_ready


def _toggle_pause(plant: Plant) -> None:
    holds = plant.cluster.holds
    holds[:] = [] if holds else [Hold(reason="Paused", detail="a person paused it")]


def _any_pod_replaced(plant: Plant) -> None:
    alive = np.flatnonzero(plant.ready())
    if len(alive) > 1:
        plant.replace(int(alive[-1]))


def _oom(plant: Plant) -> None:
    plant.servers["leaked"][0] = plant.servers["memory_limit"][0]
