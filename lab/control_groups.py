"""The lab's own control group: what is in it was started by the lab, so it is what a teardown may end.

Works with version 1 (a folder in every hierarchy), version 2 and the hybrid of both. Only the hybrid could be tried;
version 2 alone follows the documentation of the kernel.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
DAEMONS = "daemons"  # the leaf for our own programs: in version 2 only leaves may hold processes
CONTROLLERS = ("cpuset", "cpu", "io", "memory", "pids", "hugetlb")
GONE_SECONDS = 60.0


def hierarchies(mountinfo: str | None = None) -> list[Path]:
    """Where control groups are mounted: one path with version 2, one a controller with version 1, both in a hybrid."""
    text = Path("/proc/self/mountinfo").read_text() if mountinfo is None else mountinfo
    found = []
    for line in text.splitlines():
        mount, _, rest = line.partition(" - ")
        if rest.split(" ", 1)[0] in ("cgroup", "cgroup2"):
            found.append(Path(mount.split(" ")[4]))
    return sorted(found)


def is_version_2(hierarchy: Path) -> bool:
    return (hierarchy / "cgroup.controllers").exists()


def create(name: str) -> None:
    """Make the group and the leaf for our programs in every hierarchy."""
    for hierarchy in hierarchies():
        group = hierarchy / name
        if is_version_2(hierarchy):
            _delegate(hierarchy)
        group.mkdir(exist_ok=True)
        if is_version_2(hierarchy):
            _delegate(group)
        _copy_cpuset(hierarchy, group)
        (group / DAEMONS).mkdir(exist_ok=True)
        _copy_cpuset(group, group / DAEMONS)


def joining(name: str | None) -> list[str]:
    """The start of a command line that moves itself into the group's leaf, then becomes the rest of the line."""
    if name is None:
        return []
    files = " ".join(str(hierarchy / name / DAEMONS / "cgroup.procs") for hierarchy in hierarchies())
    return ["sh", "-c", f'for file in {files}; do echo $$ >"$file" || exit 125; done; exec "$@"', "lab"]


def processes(name: str) -> set[int]:
    """Every process in the group or below it, in any hierarchy."""
    found: set[int] = set()
    for group in _groups(name):
        with contextlib.suppress(OSError):
            found.update(int(line) for line in (group / "cgroup.procs").read_text().split())
    return found - {0}


def kill(name: str, *, spare: frozenset[int] = frozenset()) -> None:
    """End every process in the group but those spared; returns when they are gone or after a while."""
    deadline = time.monotonic() + GONE_SECONDS
    while (left := processes(name) - spare) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def remove(name: str, *, spare: frozenset[int] = frozenset()) -> None:
    """Remove the group's folders, deepest first, from every hierarchy.

    A program whose start was interrupted may join the group only now, and a dying one holds it for a moment: so again
    until it is gone, or after a while. Where a spared process is inside, once has to do.
    """
    deadline = time.monotonic() + GONE_SECONDS
    while True:
        kill(name, spare=spare)
        for group in _groups(name):
            with contextlib.suppress(OSError):
                group.rmdir()
        left = any((hierarchy / name).exists() for hierarchy in hierarchies())
        if not left or processes(name) & spare or time.monotonic() > deadline:
            return
        time.sleep(0.05)


def _groups(name: str) -> Iterator[Path]:
    """The group's folders with all below them, each after what is inside it."""
    for hierarchy in hierarchies():
        for path, _, _ in os.walk(hierarchy / name, topdown=False):
            yield Path(path)


def _delegate(group: Path) -> None:
    """Version 2: let the groups below use every controller there is."""
    available = (group / "cgroup.controllers").read_text().split()
    for controller in CONTROLLERS:
        if controller in available:
            with contextlib.suppress(OSError):  # one that the machine withholds; the kubelet names it if it matters
                (group / "cgroup.subtree_control").write_text(f"+{controller}")


def _copy_cpuset(parent: Path, group: Path) -> None:
    """Version 1: a new cpuset is empty, and nothing can join it until it has processors and memory nodes."""
    for setting in ("cpuset.cpus", "cpuset.mems"):
        if (group / setting).exists() and not is_version_2(group):
            (group / setting).write_text((parent / setting).read_text())
