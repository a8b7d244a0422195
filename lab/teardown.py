"""Takes a lab down, whatever state it is in, and leaves nothing behind.

Everything is found by the lab's name: its control group, its network namespace, its folder. So it also works after a
crash, and cannot touch a process that the lab did not start. Mounts need no care: their namespace ends with the
processes.
"""

import contextlib
import os
import signal
import time
from pathlib import Path

from lab import borrowed, cache, control_groups, network

GRACE_SECONDS = 2.0
LABS_LOCK = "labs"  # so that a lab's start and the end of the last one before it do not cross


def down(name: str, folder: Path) -> None:
    """End the lab's processes, then remove mounts, namespace, control group and folder. Repeating it does no harm."""
    spare = ourselves()
    # All at once and not politely: the kubelet would restart containers, the API server would wait 36 s for its
    # watches, and nobody will read what they would have written.
    control_groups.kill(name, spare=spare)
    end_visitors(name, spare)
    network.delete(name)
    control_groups.remove(name, spare=spare)
    with cache.lock(LABS_LOCK):
        cache.remove(folder)
        if folder.parent.exists() and not others(folder):
            borrowed.give_back(folder.parent)
            with contextlib.suppress(OSError):  # somebody put something there
                folder.parent.rmdir()


def leftovers(name: str, folder: Path) -> list[str]:
    """What is still there of a lab, in words; empty after `down`."""
    found = [f"process {pid}" for pid in sorted(control_groups.processes(name))]
    found += [f"mount {mount}" for mount in mounts_below(folder, Path("/proc/self/mountinfo").read_text())]
    found += [
        f"control group {hierarchy / name}" for hierarchy in control_groups.hierarchies() if (hierarchy / name).exists()
    ]
    found += [f"namespace {name}"] if network.exists(name) else []
    found += [f"folder {folder}"] if folder.exists() else []
    return found


def others(folder: Path) -> list[Path]:
    """Folders of other labs."""
    return [path for path in folder.parent.iterdir() if path.is_dir() and path != folder]


def ourselves() -> frozenset[int]:
    """This process and those it came from: `down` may be typed in a shell inside the lab."""
    found = set()
    pid = os.getpid()
    while pid > 1:
        found.add(pid)
        pid = _parent(pid)
    return frozenset(found)


def _parent(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])  # the program's name, in brackets, may hold anything


def end_visitors(name: str, spare: frozenset[int]) -> None:
    """Stop what else runs in the namespace: shells and commands started through the lab. They get a moment."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in network.processes(name) - spare:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + GRACE_SECONDS
        while network.processes(name) - spare and time.monotonic() < deadline:
            time.sleep(0.05)


def mounts_below(folder: Path, mountinfo: str) -> list[str]:
    """Mount points inside the folder that the machine can see: there should be none."""
    points = [_unescaped(line.split(" ")[4]) for line in mountinfo.splitlines() if line]
    return [point for point in points if point.startswith(f"{folder}/")]


def _unescaped(point: str) -> str:
    """mountinfo writes space, tab, newline and backslash in octal."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        point = point.replace(code, character)
    return point
