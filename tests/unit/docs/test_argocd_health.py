"""The health script for Argo CD, run by a Lua interpreter on Balancers as the operator writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lupa import LuaRuntime  # type: ignore[import-untyped]

from tests.unit.cli import objects

SCRIPT = Path(__file__).parents[3] / "manifests/argocd/balancer-health.lua"


def health(balancer: dict[str, Any]) -> tuple[str, str]:
    """Status and message, as Argo CD shows them."""
    lua = LuaRuntime()
    lua.globals().obj = lua.table_from(balancer, recursive=True)
    answer = lua.execute(SCRIPT.read_text())
    return str(answer.status), str(answer.message)


def test_where_evenload_works_it_is_healthy_whatever_traffic_does() -> None:
    assert health(objects.healthy()) == ("Healthy", "Evenload looks after HTTPRoute shop")
    assert health(objects.skewed())[0] == "Healthy"


def not_ready(balancer: dict[str, Any]) -> None:
    balancer["status"]["conditions"][0] = objects.condition("Ready", "False", "TargetNotFound", "there is no HTTPRoute")


def unknown(balancer: dict[str, Any]) -> None:
    balancer["status"]["conditions"][0] = objects.condition("Ready", "Unknown", "Starting", "the first look is due")


def paused(balancer: dict[str, Any]) -> None:
    balancer["status"]["conditions"].append(objects.condition("Paused", "True", "Annotation", "paused by jane"))


def suspended(balancer: dict[str, Any]) -> None:
    balancer["spec"]["suspend"] = True


def changed(balancer: dict[str, Any]) -> None:
    balancer["metadata"]["generation"] = 2


def new(balancer: dict[str, Any]) -> None:
    del balancer["status"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (not_ready, ("Degraded", "there is no HTTPRoute")),
        (unknown, ("Progressing", "the first look is due")),
        (paused, ("Suspended", "paused by jane")),
        (suspended, ("Suspended", "spec.suspend is true")),
        (changed, ("Progressing", "Evenload has not looked at this version yet")),
        (new, ("Progressing", "Evenload has not looked at it yet")),
    ],
)
def test_everything_else_is_told_apart(change: Any, expected: tuple[str, str]) -> None:
    balancer = objects.healthy()
    change(balancer)
    assert health(balancer) == expected
