"""How much is tried: a seeded sample in `make test`, all of it in `make campaign`."""

from __future__ import annotations

import os

SCALE = int(os.environ.get("EVENLOAD_CAMPAIGN", "1"))
"""Times the usual number of trials."""
