"""The stories there are, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lab.demo.connections import CONNECTIONS
from lab.demo.postmortem import POSTMORTEM
from lab.demo.script import Script

STORIES: Final[Mapping[str, Script]] = {each.name: each for each in (POSTMORTEM, CONNECTIONS)}
