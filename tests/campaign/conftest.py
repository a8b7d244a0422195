"""How much is tried: a seeded sample in `make test`, all of it in `make campaign`."""

from __future__ import annotations

import json
import os
from pathlib import Path

SCALE_VARIABLE = "EVENLOAD_CAMPAIGN"
SCALE = int(os.environ.get(SCALE_VARIABLE, "1"))
"""Times the usual number of trials."""

TALLY = "EVENLOAD_CAMPAIGN_TALLY"
"""Names the file in which every trial leaves a line, for the page about it."""


def tally(about: str, **counts: int) -> None:
    """Leave a line about one trial, if anybody counts."""
    if path := os.environ.get(TALLY):
        with Path(path).open("a") as lines:
            lines.write(json.dumps({"about": about, **counts}) + "\n")
