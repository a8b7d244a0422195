"""Finds a Go toolchain and builds with it.

The toolchain on PATH is used when it is new enough; else the one a PyPI package ships. Modules come from the Go module
proxy and are pinned by the go.sum files in `lab/go/`.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from lab import cache, commands
from lab.errors import CommandFailed

MODULES = Path(__file__).parent / "go"
MINIMUM = (1, 26)  # what Prometheus asks for; Kubernetes is content with less
SHIPPED = "go1.26"  # of the wheel pinned in requirements-go.txt
CACHES = {"GOCACHE": "go-build", "GOMODCACHE": "go-mod"}
# Debug information is stripped from the binary anyway: not to make it saves a tenth of the CPU, a quarter of the cache.
BUILD_FLAGS = ("-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false", "-ldflags")
COMPILER_GOGC = "400"  # percent: the compiler collects its garbage less often, for another 6% of CPU


def on_path() -> Path | None:
    """The Go command on PATH, if it is new enough."""
    found = shutil.which("go")
    if found is None:
        return None
    try:
        said = commands.run([found, "env", "GOVERSION"], env={"GOTOOLCHAIN": "local"}).strip()
    except CommandFailed:
        return None
    return Path(found) if parse_version(said) >= MINIMUM else None


def parse_version(text: str) -> tuple[int, int]:
    """("go1.26.8" -> (1, 26)); anything else is older than all."""
    match = re.match(r"go(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def language_version() -> str:
    """What goes into cache keys. No patch level: a security fix of Go is no reason to build for 5 min."""
    found = on_path()
    if found is None:
        return SHIPPED
    major, minor = parse_version(commands.run([found, "env", "GOVERSION"], env={"GOTOOLCHAIN": "local"}))
    return f"go{major}.{minor}"


def forget_caches() -> None:
    """Delete what Go kept for the next build: 4 GB, for a build that is rarely repeated. The user's own caches stay."""
    for variable, folder in CACHES.items():
        if not os.environ.get(variable):
            cache.remove(cache.root() / folder)


def environment() -> dict[str, str]:
    """Go's caches live in ours unless the user has set them, so that `purge` finds them."""
    return {
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-modcacherw",
        "GOWORK": "off",
        "GOGC": os.environ.get("GOGC") or COMPILER_GOGC,
        **{variable: os.environ.get(variable) or str(cache.root() / folder) for variable, folder in CACHES.items()},
    }


def build(
    go: Path,
    module: str,
    output: Path,
    *,
    package: str = ".",
    tags: Sequence[str] = (),
    linker_flags: str = "-s -w",
    on_progress: Callable[[int, int], None],
) -> None:
    """Compile a module of `lab/go/` to one static binary; `on_progress` gets (packages done, of how many)."""
    folder = MODULES / module
    options = [*BUILD_FLAGS, linker_flags, *(["-tags", ",".join(tags)] if tags else [])]
    total = len(commands.run([go, "list", "-deps", *options, package], env=environment(), cwd=folder).split())
    compiled = 0

    def count(line: str) -> None:
        nonlocal compiled
        if not line.startswith("go: "):
            compiled += 1
            on_progress(min(compiled, total), total)

    commands.follow([go, "build", "-v", *options, "-o", output, package], count, env=environment(), cwd=folder)


def module_folder(go: Path, module: str, path: str) -> Path:
    """Where Go unpacked the module `path` that `lab/go/<module>` requires (downloaded and checked if need be)."""
    said = commands.run([go, "mod", "download", "-json", path], env=environment(), cwd=MODULES / module)
    return Path(json.loads(said)["Dir"])
