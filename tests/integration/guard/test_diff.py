"""`evenload diff` where the guard is in force: what it says before is what the API server does then."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import uuid
from typing import Any

import pytest

from evenload.kube.client import Client
from evenload.kube.resources import HTTPROUTES
from tests.integration.guard.test_guard import bad, guard, guarded, shop  # noqa: F401  # two are fixtures
from tests.support.guardcases import reason
from tests.support.kubectl import Kubectl

Done = subprocess.CompletedProcess[str]


async def diff(namespace: str, manifest: dict[str, Any], *more: str) -> Done:
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "evenload.cli.main", "diff", "-f", "-", "-n", namespace, *more],
        input=json.dumps(manifest),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def lines(done: Done, rule: str) -> list[str]:
    return [line for line in done.stdout.splitlines() if f" {rule}: " in line]


@pytest.mark.timeout(180)
async def test_what_the_guard_denies_is_an_error_in_the_api_servers_own_words(client: Client, guarded: str) -> None:  # noqa: F811
    stored = await shop(client, guarded)
    done = await diff(guarded, bad(guarded))
    assert done.returncode == 1, done.stderr
    (said,) = lines(done, "api-server")
    assert "denied request: the guard of Balancer shop: this update gives Service a 99.3% (at most 50.0%)" in said
    assert lines(done, "guard") == []
    now = await client.get(HTTPROUTES, guarded, "shop")
    assert now["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"]


@pytest.mark.timeout(180)
async def test_what_the_guard_warns_of_is_a_warning_and_is_said_once(client: Client, guarded: str) -> None:  # noqa: F811
    await shop(client, guarded, "Warn")
    done = await diff(guarded, bad(guarded), "--fail-on", "warning")
    assert done.returncode == 1, done.stderr
    assert len(lines(done, "guard")) == 1
    assert "API server warns: " not in done.stdout


@pytest.mark.timeout(180)
async def test_an_override_passes_in_the_diff_as_it_would_in_the_update(client: Client, guarded: str) -> None:  # noqa: F811
    await shop(client, guarded)
    done = await diff(guarded, bad(guarded, **reason(f"load test {uuid.uuid4().hex}")), "-o", "json")
    (found,) = json.loads(done.stdout)["objects"]
    assert found["dryRun"]["answer"] == "accepted"
    assert [each["severity"] for each in found["findings"] if each["rule"] == "guard"] == ["info"]


@pytest.mark.timeout(180)
async def test_whoever_may_only_look_hears_what_the_guard_would_say_all_the_same(
    client: Client,
    guarded: str,  # noqa: F811
) -> None:
    await shop(client, guarded)
    kubectl = Kubectl(namespace=guarded)
    kinds = "httproutes.gateway.networking.k8s.io,balancers.evenload.dev"
    await asyncio.to_thread(kubectl, "create", "role", "eyes", "--verb=get,list", f"--resource={kinds}")
    await asyncio.to_thread(kubectl, "create", "rolebinding", "eyes", "--role=eyes", "--user=mallory")
    done = await diff(guarded, bad(guarded), "--as", "mallory")
    assert done.returncode == 1, done.stderr
    assert "API server: not asked, so defaults and admission are unknown: not allowed: " in done.stdout
    (said,) = lines(done, "guard")
    assert "gives Service a 99.3% (at most 50.0%) of the traffic" in said
    assert "not audited: Service: not allowed: " in done.stdout
