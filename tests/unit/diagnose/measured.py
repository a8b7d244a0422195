"""The facts of one tick, as the engine would measure them."""

from __future__ import annotations

import numpy as np

from evenload.diagnose.facts import Facts
from evenload.diagnose.memory import Memory
from evenload.model.fleet import Fleet
from evenload.model.policy import Policy
from evenload.model.snapshot import Snapshot
from tests.unit.engine.build import NOW, snapshot
from tests.unit.engine.plant import spec


def facts(sight: Snapshot | None = None, memory: Memory | None = None, **changes: object) -> Facts:
    """Of even targets; weights that nobody touched."""
    seen = sight or snapshot()
    fleet = Fleet(seen)
    known = memory or Memory()
    known.watch(seen.time, fleet)
    size = len(fleet.backends)
    fields: dict[str, object] = {
        "snapshot": seen,
        "fleet": fleet,
        "policy": Policy.of(spec()),
        "targets_by_backend": np.full(size, 1 / size),
        "told": None,
        "ours": False,
        "compensating": False,
        "overloaded": {},
        "held_back": (),
        "gains_by_backend": np.zeros(size),
        "memory": known,
        **changes,
    }
    return Facts(**fields)  # type: ignore[arg-type]


def usual(rps: float, latency: float | None = 0.02) -> Memory:
    """A quarter of an hour of `rps` requests a second; what is seen now is 64 unless a test says otherwise."""
    memory = Memory()
    for number in range(20):
        memory.baseline.learn_traffic(NOW - 400 + 15 * number, rps)
    memory.baseline.learn_health(0.0, latency)
    return memory
