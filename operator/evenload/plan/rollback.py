"""A bad update: what it did to the weights is taken back; what is no weight is named, with what puts it back."""

from __future__ import annotations

from collections.abc import Mapping

from evenload.model.diagnosis import Label
from evenload.model.plan import Advise, Purpose, SetWeights
from evenload.model.wording import listing, number, weights
from evenload.plan.moves import Plan
from evenload.plan.scene import Scene
from evenload.plan.targets import fitted, without_empty

_BY_HAND = "it is no weight, so nothing is undone"


def roll_back(scene: Scene) -> Plan | None:
    """Before anything that was begun: it hurts now, and what was before is known to be better."""
    if scene.diagnosis.label is not Label.BadUpdate:
        return None
    write = scene.snapshot.last_write
    before = write.before if write is not None and scene.diagnosis.backends else None
    after = _put_back(scene, before) if before is not None else {}
    if before is None or after == scene.before or not any(after.values()):
        return Plan(tell=(Advise(topic="BadUpdate", because=_suspected(scene)),))
    added = sorted(scene.before.keys() - before.keys())
    what = f"; {listing(added)} {number(added, 'gets', 'get')} nothing for now" if added else ""
    because = f"{scene.diagnosis.sentence}; putting back {weights(after)}{what}"
    purpose = Purpose.Rollback if added else Purpose.Restore
    return Plan(writes=(SetWeights(before=scene.before, after=after, purpose=purpose, because=because),))


def _put_back(scene: Scene, before: Mapping[str, int]) -> dict[str, int]:
    """Of the backends there are now: the weights `before` the update, or those that were remembered as good if it found
    the same backends; nothing for what it added."""
    good = scene.snapshot.known_good
    source = good if good is not None and good.keys() == before.keys() else before
    after = without_empty(scene.fleet, {name: source.get(name, 0) for name in scene.before})
    lost = source.keys() - scene.before.keys()
    return fitted(after, scene.fleet.weights_total) if lost else after


def _suspected(scene: Scene) -> str:
    write = scene.snapshot.last_write
    command = f"; put it back with: {write.undo}" if write is not None and write.undo else ""
    return f"{scene.diagnosis.sentence}: suspect that update; {_BY_HAND}{command}"
