"""Which Prometheus a command asks, and where a token goes: one rule for all commands.

A person's token goes to the address that this person names (`--prometheus`) and to no other. A Balancer may name an
address too, and it was written by somebody else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from evenload.cli.printing import note


class PrometheusAccess(NamedTuple):
    """`url`: the address that the person names, or "". `token` is for it alone; None: there is none to send."""

    url: str
    token: Callable[[], str] | None


def prometheus_access(prometheus: str | None, token_file: str | None) -> PrometheusAccess:
    """From the command's flags. Raises InputError where the address is none. Says so where the token is of no use."""
    from evenload.kube.config import TokenFile
    from evenload.observe.address import read_url

    url = str(read_url(prometheus, "--prometheus")) if prometheus else ""
    if token_file and not url:
        note("warning: --token-file is not used: the token is sent to the address given by --prometheus only")
    return PrometheusAccess(url, TokenFile(token_file) if token_file and url else None)
