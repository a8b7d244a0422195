"""What a status tells of the forecasts: coarsely, because each change is a write, and a forecast wobbles by nature.

"Within 15 min" is told anew when it is within 5, or clearly no longer within 15. Live numbers are metrics.
"""

from __future__ import annotations

from evenload.api.v1alpha1 import ForecastKind, Upcoming
from evenload.api.values import moment
from evenload.model.decision import Decision
from evenload.model.diagnosis import Label
from evenload.model.forecast import Forecast

WITHIN_SECONDS = (300, 900, 1800, 3600, 7200)
CLEARLY_RATIO = 1.5  # over what was told: the forecast's own error where some minutes are left


def upcoming(known: tuple[Upcoming, ...], decision: Decision | None) -> tuple[Upcoming, ...]:
    """What to tell after this tick; `known` was told before, and still is where this tick knows nothing."""
    if decision is None or decision.diagnosis.label is Label.NoData:
        return known
    before = {one.kind: one for one in known}
    found = {ForecastKind.OutOfMemory: decision.out_of_memory, ForecastKind.Saturation: decision.saturation}
    told = (_told(kind, before.get(kind), forecast) for kind, forecast in found.items() if forecast is not None)
    return tuple(one for one in told if one is not None)


def _told(kind: ForecastKind, known: Upcoming | None, now: Forecast) -> Upcoming | None:
    within = next((limit for limit in WITHIN_SECONDS if now.seconds <= limit), None)
    if known is not None and (within is None or within >= known.within_seconds):
        within = known.within_seconds if now.seconds <= CLEARLY_RATIO * known.within_seconds else within
    if within is None:
        return None
    quietest_at = moment(now.quietest_at) if now.quietest_at is not None else None
    same = known is not None and (known.within_seconds, known.quietest_at) == (within, quietest_at)
    found = Upcoming(kind=kind, within_seconds=within, pod=now.subject[:253], quietest_at=quietest_at)
    return known if same else found
