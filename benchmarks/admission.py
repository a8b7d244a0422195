"""What the guard adds to an update: `python -m lab run-control-plane -- python -m benchmarks.admission`.

Weights of a route are changed in a namespace without the guard's policies, in one with them and without a Balancer, and
in one with them and a Balancer, in turn, so that whatever else the machine does hits all three alike. Besides the time
by the clock, which says as much of the machine, the CPU time that the API server spends; and, as it measures it itself,
how long the policies take.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

from evenload.drivers import DRIVERS
from evenload.guard.policies import policies
from evenload.kube.client import Client
from evenload.kube.config import load
from evenload.kube.resources import BALANCERS, HTTPROUTES, NAMESPACES, Manifest, Resource
from lab import parts
from tests.support.kinds import install

API = ("admissionregistration.k8s.io", "v1")
KINDS = {
    "ValidatingAdmissionPolicy": Resource(*API, "validatingadmissionpolicies", "ValidatingAdmissionPolicy", False),
    "ValidatingAdmissionPolicyBinding": Resource(
        *API, "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", False
    ),
}
ADMISSION = "apiserver_admission_controller_admission_duration_seconds_sum"
LABEL = "evenload-benchmark"
WHERE = {"without": (False, False), "no Balancer": (True, False), "guarded": (True, True)}
"""Whether the policies hold there, and whether there is a Balancer."""
SHAPES = ((1, 4), (16, 16))
SETTLE_SECONDS = 3.0
TURN = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=1000, help="of each route")
    asyncio.run(_main(parser.parse_args().updates))


async def _main(updates: int) -> None:
    async with Client(load(os.environ["KUBECONFIG"])) as client:
        await install(client)
        for driver in DRIVERS.values():
            for manifest in policies(driver, "benchmark"):
                await client.create(KINDS[manifest["kind"]], None, _narrowed(manifest))
        print(f"{'ms an update':<24}{'p50':>8}{'p95':>8}{'p99':>8}{'CPU':>8}{'policies':>10}")
        for rules, services in SHAPES:
            spent = await _measured(client, rules, services, updates)
            print(f"{rules} x {services} backends")
            for where, each in spent.items():
                _print(where, each.figures)
            _print("the guard adds", spent["guarded"].figures - spent["without"].figures)


class _Spent:
    """Milliseconds by the clock of each update; of CPU, and of policies by the API server's own clock, of all."""

    def __init__(self) -> None:
        self.clock: list[float] = []
        self.cpu = 0.0
        self.policies = 0.0

    @property
    def figures(self) -> NDArray[np.float64]:
        return np.array(
            [*np.percentile(self.clock, (50, 95, 99)), self.cpu / len(self.clock), self.policies / len(self.clock)]
        )


def _print(what: str, figures: NDArray[np.float64]) -> None:
    print(f"  {what:<22}" + "".join(f"{figure:>8.2f}" for figure in figures))


def _narrowed(manifest: dict[str, Any]) -> Manifest:
    if manifest["kind"].endswith("Binding"):
        manifest["spec"]["matchResources"] = {"namespaceSelector": {"matchLabels": {LABEL: "yes"}}}
    return manifest


async def _measured(client: Client, rules: int, services: int, updates: int) -> dict[str, _Spent]:
    """By where."""
    names = {where: f"{where.lower().replace(' ', '-')}-{rules}-{services}" for where in WHERE}
    for where, (guarded, balanced) in WHERE.items():
        labels = {LABEL: "yes"} if guarded else {}
        await client.create(NAMESPACES, None, {"metadata": {"name": names[where], "labels": labels}})
        await client.create(HTTPROUTES, names[where], _route(rules, services))
        if balanced:
            await client.create(BALANCERS, names[where], _balancer())
    await asyncio.sleep(SETTLE_SECONDS)
    spent = {where: _Spent() for where in WHERE}
    for turn in range(1 + updates // TURN):
        for where, namespace in names.items():
            policies = await asyncio.to_thread(_policy_milliseconds)
            cpu, clock = _cpu_milliseconds(), []
            for number in range(TURN):
                path = f"/spec/rules/{number % rules}/backendRefs/{number % services}/weight"
                change = [{"op": "replace", "path": path, "value": 1000 + (turn * TURN + number) % 100}]
                began = time.perf_counter()
                await client.patch_json(HTTPROUTES, namespace, "shop", change)
                clock.append(1000 * (time.perf_counter() - began))
            if turn:  # the first warms up
                spent[where].clock += clock
                spent[where].cpu += _cpu_milliseconds() - cpu
                spent[where].policies += await asyncio.to_thread(_policy_milliseconds) - policies
    return spent


def _policy_milliseconds() -> float:
    """What the API server has spent so far on asking its policies about updates, by the clock; of all namespaces."""
    kubectl = parts.folder("kubernetes") / "kubectl"
    text = subprocess.run([kubectl, "get", "--raw", "/metrics"], check=True, capture_output=True, text=True).stdout
    wanted = {"name": "ValidatingAdmissionPolicy", "operation": "UPDATE", "type": "validate"}.items()
    samples = (each for family in text_string_to_metric_families(text) for each in family.samples)
    return 1000 * sum(each.value for each in samples if each.name == ADMISSION and wanted <= each.labels.items())


def _cpu_milliseconds() -> float:
    """Of the API server so far. The control plane has a process namespace of its own: there is only one."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"kube-apiserver" in (folder / "cmdline").read_bytes().split(b"\0")[0]:
                user, system = (folder / "stat").read_text().rsplit(")", 1)[1].split()[11:13]
                return 1000 * (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _route(rules: int, services: int) -> Manifest:
    rule = {"backendRefs": [{"name": f"shop-{each}", "port": 80, "weight": 1000} for each in range(services)]}
    return {
        "apiVersion": HTTPROUTES.api_version,
        "kind": "HTTPRoute",
        "metadata": {"name": "shop"},
        "spec": {"rules": [rule] * rules},
    }


def _balancer() -> Manifest:
    spec = {"targetRef": {"name": "shop"}, "guard": {"mode": "Deny"}}
    return {"apiVersion": BALANCERS.api_version, "kind": "Balancer", "metadata": {"name": "shop"}, "spec": spec}


if __name__ == "__main__":
    main()
