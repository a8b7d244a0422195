"""What holds for all tests."""

from __future__ import annotations

import builtins
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.campaign.conftest import SCALE_VARIABLE

# How long an example takes tells how busy the machine is, not whether the code is right; each test has a time limit.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples in every run: whether a change is right is not for the dice to say. `make campaign` tries others.
settings.register_profile("same-examples", settings.get_profile("explore"), derandomize=True)
settings.load_profile("explore" if SCALE_VARIABLE in os.environ else "same-examples")


@pytest.fixture
def _no_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an install without the extra for plots."""
    real = builtins.__import__

    def without(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name.split(".")[0] == "matplotlib":
            raise ImportError("No module named 'matplotlib'")
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
