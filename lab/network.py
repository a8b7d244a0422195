"""The lab's network namespace: nothing in it reaches the outside, and nothing outside sees it."""

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lab import commands
from lab.layout import NODE_ADDRESS, SERVICE_RANGE

NAMED = Path("/run/netns")
CLONE_NEWNET = 0x40000000
Result = TypeVar("Result")


def path(name: str) -> Path:
    return NAMED / name


def create(name: str) -> None:
    """Make the namespace, with the node's address on `lo` and forwarding between pods and Services on."""
    commands.run(["ip", "netns", "add", name])
    inside = ["nsenter", f"--net={path(name)}", "--"]
    commands.run([*inside, "ip", "link", "set", "lo", "up"])
    commands.run([*inside, "ip", "address", "add", f"{NODE_ADDRESS}/32", "dev", "lo"])
    # Programs on the node reach Services, too: kube-proxy's rules turn them to a pod once there is any route.
    commands.run([*inside, "ip", "route", "add", SERVICE_RANGE, "dev", "lo", "src", NODE_ADDRESS])
    # /proc/sys/net shows the settings of the reader's own namespace. The second needs the module br_netfilter; without
    # it a pod that calls a Service whose endpoint is on the same node gets an answer from the wrong address.
    settings = "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables"
    with contextlib.suppress(FileNotFoundError):
        os.spawnlp(os.P_WAIT, "modprobe", "modprobe", "--quiet", "br_netfilter")
    commands.run([*inside, "sh", "-c", settings])


def exists(name: str) -> bool:
    return path(name).exists()


def processes(name: str) -> set[int]:
    """Everything that runs in the namespace."""
    if not exists(name):
        return set()
    return {int(pid) for pid in commands.run(["ip", "netns", "pids", name]).split()}


def delete(name: str) -> None:
    if exists(name):
        commands.run(["ip", "netns", "delete", name])


def inside(namespace: Path, question: Callable[[], Result]) -> Result:
    """Call `question` from within a namespace. Each thread has its own, so a new thread goes there and ends."""
    answer: list[Result] = []
    failure: list[BaseException] = []

    def enter_and_ask() -> None:
        try:
            enter(namespace)
            answer.append(question())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=enter_and_ask, daemon=True)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return answer[0]


def enter(namespace: Path) -> None:
    """Move the calling thread (Python has this since 3.12 only)."""
    with namespace.open() as handle:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter the network namespace {namespace}")
