"""One file a program of the lab. Each has `program(layout)`: the command line and the files it reads, nothing started."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A long-running program; `files` are written before it starts."""

    name: str
    argv: tuple[str, ...]
    files: Mapping[Path, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def command(path: Path, options: Mapping[str, object]) -> tuple[str, ...]:
    """A command line of `--name=value` options."""
    return (str(path), *(f"--{name}={value}" for name, value in options.items()))
