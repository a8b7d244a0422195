"""One file a program of the lab. Each has `program(layout)`: command line and files; nothing is started here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MACHINE = "machine"
PRIVATE = "private"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A long-running program; `files` are written before it starts.

    `mounts` says in whose mounts it runs: the machine's, fresh ones of its own, or those of the program named.
    """

    name: str
    argv: tuple[str, ...]
    files: Mapping[Path, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: str = MACHINE


def command(path: Path, options: Mapping[str, object]) -> tuple[str, ...]:
    """A command line of `--name=value` options."""
    return (str(path), *(f"--{name}={value}" for name, value in options.items()))
