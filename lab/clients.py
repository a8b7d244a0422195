"""Runs kubectl and helm against a lab, from inside its network or from outside; what tests and the demo use."""

from lab import commands
from lab.errors import NotUp
from lab.state import LabState

TIMEOUT_SECONDS = 120.0


def kubectl(
    state: LabState, *arguments: str, stdin: str | None = None, timeout_seconds: float = TIMEOUT_SECONDS
) -> str:
    """What kubectl prints; raises CommandFailed with what it complains of."""
    command = [*state.entering, str(state.kubectl), *arguments]
    return commands.run(command, env=state.environment(), stdin=stdin, timeout_seconds=timeout_seconds)


def helm(state: LabState, *arguments: str, timeout_seconds: float = TIMEOUT_SECONDS) -> str:
    """What helm prints; raises CommandFailed with what it complains of, NotUp on a lab without helm."""
    if state.helm is None:
        raise NotUp(f"{state.name} was started without helm.")
    command = [*state.entering, str(state.helm), *arguments]
    return commands.run(command, env=state.environment(), timeout_seconds=timeout_seconds)
