"""Trials of memory under a garbage collector's saw-tooth of a tenth to three tenths of the limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from evenload.model.diagnosis import Label
from evenload.model.spec import Mode
from evenload.simulate.loop import Run, Tick
from evenload.simulate.servers import DEFAULTS
from evenload.simulate.trials_owed import LIMIT_BYTES
from evenload.simulate.world import START, WRITE, Expected, Setting, Trial, World, change, spec

TEETH = (0.10, 0.30)  # of the limit
LEFT = 1 / 3  # of the time until memory is out: so much should be left when a leak is told


def _setting(world: World, **columns: float) -> Setting:
    """How often a tooth falls follows from the traffic: every twenty seconds to every ten minutes."""
    teeth = {"garbage_limit": world.uniform(*TEETH) * LIMIT_BYTES}
    return Setting(
        rate_per_pod=(4.0, 40.0), utilization=(0.25, 0.4), daily_ratio=2.0, step_seconds=2.5, columns=teeth | columns
    )


def leak_under_teeth(limit_a_minute: float) -> Callable[[World], Trial]:
    """One pod leaks so much of its limit a minute: told while a third of the time is left, and from then on."""

    def build(world: World) -> Trial:
        setting, victim = _setting(world), world.victim()
        rate = limit_a_minute * LIMIT_BYTES / 60
        seconds = (LIMIT_BYTES - DEFAULTS["resident"] - setting.columns["garbage_limit"]) / rate
        return Trial(
            plant=world.plant(setting),
            spec=spec(mode=Mode.Observe),
            events=((world.onset, change("leak", [victim], rate)),),
            expected=(Expected(labels=(Label.MemoryLeak,), start=world.onset, within=(1 - LEFT) * seconds),),
            forbidden=WRITE,
            owed=_told_to_the_end,
            duration=world.onset + 0.95 * seconds,
        )

    return build


def _told_to_the_end(run: Run) -> Iterator[str]:
    """Once told, a leak is told on every tick that tells anything."""
    first = next((index for index, tick in enumerate(run.ticks) if _leaks(tick)), None)
    later = run.ticks[first:] if first is not None else []
    away = [tick for tick in later if not _leaks(tick) and tick.decision.diagnosis.label is not Label.NoData]
    if away:
        yield f"a leak told and taken back at second {away[0].time - START:.0f}, {len(away)} ticks in all"


def _leaks(tick: Tick) -> bool:
    return Label.MemoryLeak in (tick.decision.diagnosis.label, *tick.decision.diagnosis.also)


def teeth_alone(world: World) -> Trial:
    """Two hours of collecting garbage: nothing leaks."""
    plant = world.plant(_setting(world))
    return Trial(plant=plant, spec=spec(), forbidden=WRITE, wrong=frozenset({Label.MemoryLeak}), duration=7200.0)


def cache_under_teeth(world: World) -> Trial:
    """An hour old, and still filling its caches, ever more slowly, under the teeth."""
    cache = {"cache": world.uniform(0.1, 0.3) * LIMIT_BYTES, "cache_seconds": world.uniform(600.0, 2400.0)}
    plant = world.plant(_setting(world, **cache))
    plant.servers["started"] = plant.servers["born"] = START - 3600
    return Trial(plant=plant, spec=spec(), forbidden=WRITE, wrong=frozenset({Label.MemoryLeak}), duration=7200.0)
