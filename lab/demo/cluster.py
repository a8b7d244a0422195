"""What the demo does to the lab: installs, the bad release, the way back. By kubectl and helm, as people would."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from lab import clients, commands, images
from lab.demo import incident
from lab.errors import CommandFailed, NotUp
from lab.rootfs import REPOSITORY
from lab.shop import manifests as shop
from lab.shop.manifests import Manifest
from lab.state import LabState

Result = TypeVar("Result")

RELEASE_NAME: Final = "evenload"
NAMESPACE: Final = "evenload"
CHART: Final = REPOSITORY / "charts" / "evenload"
SCRAPE_SECONDS: Final = 5
"""The lab's Prometheus scrapes that often, so Evenload looks that often."""
INSTALL_SECONDS: Final = 120.0


async def in_thread(work: Callable[[], Result]) -> Result:
    """Run what blocks; when we are cancelled, the programs it started end, so that nobody has to wait for them."""
    try:
        return await asyncio.to_thread(work)
    except asyncio.CancelledError:
        commands.stop_all()
        raise


async def load_shop_image(lab: LabState) -> None:
    """Put the shop's image into the lab's containerd."""
    await in_thread(lambda: images.load_image(lab, images.shop()))


async def load_operator_image(lab: LabState) -> None:
    """Put the operator's image into the lab's containerd."""
    await in_thread(lambda: images.load_image(lab, images.operator()))


async def install(lab: LabState, objects: Sequence[Manifest]) -> None:
    """Apply the shop, as the release pipeline, and wait until its servers are ready."""
    await apply(lab, objects)
    wait = ("wait", "--for=condition=Available", "deployment", "--all", f"--timeout={INSTALL_SECONDS:.0f}s")
    await kubectl(lab, "--namespace", shop.NAMESPACE, *wait)


async def install_operator(lab: LabState) -> None:
    """Install the chart and wait until the operator is ready."""
    values = [f"--set={name}={value}" for name, value in chart_values(lab).items()]
    placed = ("--namespace", NAMESPACE, "--create-namespace")
    waits = ("--wait", f"--timeout={INSTALL_SECONDS:.0f}s")
    command = ("upgrade", "--install", RELEASE_NAME, str(CHART), *placed, *values, *waits)
    await in_thread(lambda: clients.helm(lab, *command, timeout_seconds=INSTALL_SECONDS + 10))


def chart_values(lab: LabState) -> dict[str, object]:
    """What differs from the chart's defaults; raises NotUp on a lab without Prometheus."""
    if lab.prometheus_service_url is None:
        raise NotUp(f"{lab.name} has no Prometheus; the demo needs the whole lab (`python -m lab up`).")
    return {
        "maxMode": "Auto",
        "prometheus.url": lab.prometheus_service_url,
        "prometheus.scrapeSeconds": SCRAPE_SECONDS,
        "tickSeconds": SCRAPE_SECONDS,
        "image.repository": "evenload",
        "image.tag": "lab",
        "image.pullPolicy": "Never",
    }


async def set_balancer(lab: LabState, balancer: Manifest) -> None:
    """Create the shop's Balancer, or change it."""
    await apply(lab, [balancer], manager="shop-owner")


async def release(lab: LabState, weights: Mapping[str, int]) -> None:
    """Apply the route with these weights, as the release pipeline does."""
    await apply(lab, [incident.release(weights, lab.gateway)])


async def refusal(lab: LabState, weights: Mapping[str, int], *, dry_run: bool = False) -> str | None:
    """What the API server says to such a release; None where it takes it."""
    try:
        await apply(lab, [incident.release(weights, lab.gateway)], dry_run=dry_run)
    except CommandFailed as refused:
        return str(refused).partition("\n")[2]  # the first line is our own command
    return None


async def install_next_server(lab: LabState) -> None:
    """Apply the server of the next release and wait until it is ready; the route does not lead to it yet."""
    await apply(lab, shop.next_release(incident.NEXT_FAILURE_SHARE))
    wait = ("wait", "--for=condition=Available", "deployment", shop.NEXT, f"--timeout={INSTALL_SECONDS:.0f}s")
    await kubectl(lab, "--namespace", shop.NAMESPACE, *wait)


async def replace_pods(lab: LabState, server: str) -> None:
    """What a person would do to a sick server who knows nothing of draining."""
    chosen = ("--selector", f"app.kubernetes.io/instance={server}")
    await kubectl(lab, "--namespace", shop.NAMESPACE, "delete", "pod", *chosen, "--wait=false")


async def apply(
    lab: LabState, objects: Sequence[Manifest], manager: str = incident.RELEASE, *, dry_run: bool = False
) -> None:
    """Server-side apply that takes over what others own, as most pipelines are set to."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    how = ("--server-side", f"--field-manager={manager}", "--force-conflicts", *(["--dry-run=server"] * dry_run))
    await kubectl(lab, "apply", *how, "--filename", "-", stdin=text)


async def kubectl(lab: LabState, *arguments: str, stdin: str | None = None) -> str:
    return await in_thread(lambda: clients.kubectl(lab, *arguments, stdin=stdin))


async def save_logs(lab: LabState, folder: Path) -> None:
    """What helps to find out why something went wrong; what cannot be had is left out."""
    await in_thread(lambda: _save_logs(lab, folder))


def _save_logs(lab: LabState, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, arguments in LOGS.items():
        with contextlib.suppress(CommandFailed):
            (folder / name).write_text(clients.kubectl(lab, *arguments))


_EVERYWHERE: Final = ("--all-namespaces", "--output", "yaml")
_OPERATOR: Final = ("--namespace", NAMESPACE, "--selector", "app.kubernetes.io/name=evenload")
LOGS: Final = {
    "operator.log": ("logs", *_OPERATOR, "--tail=-1", "--prefix"),
    "events.txt": ("get", "events", "--all-namespaces", "--sort-by=.metadata.creationTimestamp"),
    "pods.txt": ("get", "pods", "--all-namespaces", "--output", "wide"),
    "balancers.yaml": ("get", "balancers.evenload.dev", *_EVERYWHERE),
    "remediations.yaml": ("get", "remediations.evenload.dev", *_EVERYWHERE),
    "routes.yaml": ("get", "httproutes", "--show-managed-fields", *_EVERYWHERE),
}
"""File to kubectl command."""
