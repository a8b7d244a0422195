"""Commands that are printed for a person to copy: with the namespace, and the cluster that was named on this one."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final

_GIVEN: Final[ContextVar[tuple[str, ...]]] = ContextVar("_GIVEN", default=())


def carry(flags: Mapping[str, str | None]) -> None:
    """From now on each printed command has these flags, as {"--context": "prod"}; None: the flag was not given."""
    _GIVEN.set(tuple(word for flag, value in flags.items() if value for word in (flag, value)))


def evenload(*words: str, namespace: str | None = None) -> str:
    """ "evenload why shop -n web --context prod"."""
    return _command("evenload", *words, *(("-n", namespace) if namespace else ()))


def kubectl(*words: str, namespace: str | None = None) -> str:
    """The same of kubectl, whose flags ours are."""
    return _command("kubectl", *words, *(("-n", namespace) if namespace else ()))


def flags() -> str:
    """ " --context prod", to go behind a command; "" where nothing was given."""
    return f" {shlex.join(_GIVEN.get())}" if _GIVEN.get() else ""


def _command(*words: str) -> str:
    return shlex.join([*words, *_GIVEN.get()])
