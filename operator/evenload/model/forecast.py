"""When something will run full, as far as it can be told."""

from __future__ import annotations

from evenload.model.base import Value


class Forecast(Value, frozen=True, kw_only=True):
    """Seconds from now: likely, at the soonest, at the latest (None: perhaps never). `subject`: the pod that is first.

    `quietest_at`: the quietest time before it (seconds since the epoch), where that is known and yet to come.

    Where nothing can be told there is no Forecast at all.
    """

    seconds: float
    soonest: float
    latest: float | None = None
    subject: str = ""
    quietest_at: float | None = None
