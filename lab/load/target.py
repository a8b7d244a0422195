"""Where load may be sent: this machine, or a lab's private network, named by its address.

A load generator pointed at a stranger is an attack, and a typing error is enough. So the URL must hold an address,
not a name: what a name resolves to is decided elsewhere and can change between the check and the request. The address
must be loopback, private (RFC 1918, RFC 4193) or link-local, none of which is routed on the internet. The name a proxy
routes by is given separately (`--host-header`). The generator follows no redirects and heeds no proxy settings, for the
same reason.
"""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

ALLOWED: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("127.0.0.0/8", "::1/128"),
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
        *("169.254.0.0/16", "fe80::/10"),
    )
)


class ForbiddenTarget(ValueError):
    """The URL is not one that load may be sent to; the message says why and what to give instead."""


def check_target(url: str) -> str:
    """Return the URL if load may be sent to it, with `localhost` made an address; raises ForbiddenTarget."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ForbiddenTarget(f"url is {url!r}; give http:// and an address, such as http://127.0.0.1:8080/")
    if parts.hostname == "localhost":
        return parts._replace(netloc=f"127.0.0.1:{parts.port or 80}").geturl()
    _check_address(parts.hostname)
    return url


def _check_address(host: str) -> None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ForbiddenTarget(
            f"url names the host {host!r}; give its address, so that it is sure where the load goes,"
            f" and the name as --host-header {host}"
        ) from None
    if not any(address in network for network in ALLOWED):
        raise ForbiddenTarget(
            f"url points at {address}, which is neither loopback nor private; load goes to this machine or a lab"
        )
