"""What holds for all tests."""

from __future__ import annotations

import builtins
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.campaign.conftest import SCALE_VARIABLE

# How long an example takes tells how busy the machine is, not whether the code is right; each test has a time limit.
# The gate draws the same examples every time: what fails once in ten thousand draws is for `make campaign` to find, which
# draws others each time, and not for a change of something else.
settings.register_profile(
    "any-machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=SCALE_VARIABLE not in os.environ,
)
settings.load_profile("any-machine")


@pytest.fixture
def _no_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an install without the extra for plots."""
    real = builtins.__import__

    def without(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name.split(".")[0] == "matplotlib":
            raise ImportError("No module named 'matplotlib'")
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
