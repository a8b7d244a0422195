"""Addresses of Prometheus: read once, here. What is not plainly an address is refused before anything is asked.

An address comes from a tenant's Balancer, and the operator makes requests to it. So it may hold nothing that would
change the request (`?`, `#`, a user name), nothing that two parsers read differently (control characters, `%`, dot
segments, names that are not ASCII), and it is compared in one form only.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from evenload.errors import InputError

LONGEST_URL: Final = 2048
LONGEST_HOST: Final = 253
ANY: Final = "*"
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
EXAMPLE: Final = "http://prometheus.monitoring:9090"

_PARTS = re.compile(r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[^/:\[\]]+)(?P<port>:[^/]*)?(?P<path>/.*)?")
_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@-]*)*")
_HOST_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_PORT = re.compile(r":[0-9]{1,5}")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


class PrometheusUrl(NamedTuple):
    """An address in the form in which addresses are compared: `str()` gives its text, without a slash at its end."""

    scheme: str
    host: str
    port: int
    path: str  # "" or "/prefix"

    def __str__(self) -> str:
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}{self.path}"

    def is_below(self, other: PrometheusUrl) -> bool:
        """The same server, and a path that is the other's or goes on from it after a slash."""
        same_path = self.path == other.path or self.path.startswith(f"{other.path}/")
        return self[:3] == other[:3] and same_path


def read_url(text: str, field: str) -> PrometheusUrl:
    """Raises InputError naming `field` and the fix. It does not repeat the address: there may be a password in it."""
    if problem := _characters(text):
        raise InputError(f"{field}: {problem}")
    found = _PARTS.fullmatch(text)
    if found is None:
        raise InputError(f"{field}: not an address; write it like {EXAMPLE}, or with a path after it")
    host, path = found["host"].lower(), (found["path"] or "").rstrip("/")
    problem = _host(host) or _port(found["port"]) or _path(path)
    if problem:
        raise InputError(f"{field}: {problem}")
    port = int(found["port"][1:]) if found["port"] not in (None, ":") else DEFAULT_PORTS[found["scheme"]]
    return PrometheusUrl(found["scheme"], host, port, path)


def _characters(text: str) -> str:
    if len(text) > LONGEST_URL:
        return f"longer than {LONGEST_URL} characters"
    if not (text.isascii() and text.isprintable()) or " " in text:
        return "holds a space, a control character or a letter that is not ASCII; write the name as DNS has it"
    if "@" in text.split("://", 1)[-1].split("/", 1)[0]:
        return "holds a user name or a password; remove it (a token is set by prometheus.tokenSecret of the chart)"
    if "?" in text or "#" in text:
        return "holds ? or #; an address ends with its path, as in https://thanos.example/prefix"
    return ""


def _host(host: str) -> str:
    if host.startswith("["):
        return "" if _is_ip(host[1:-1], ipaddress.IPv6Address) else f"{host} is not an IPv6 address"
    labels = host.removesuffix(".").split(".")
    if len(host) > LONGEST_HOST or not all(_HOST_LABEL.fullmatch(label) for label in labels):
        return "the host is not a DNS name (letters, digits, - and dots) or an IP address"
    if _NUMBER.fullmatch(labels[-1]) and not _is_ip(host, ipaddress.IPv4Address):
        return f"the host {host} is a number and not an IP address; write all four parts"
    return ""


def _is_ip(text: str, kind: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def _port(text: str | None) -> str:
    if text in (None, ":") or (_PORT.fullmatch(text or "") and 1 <= int((text or "")[1:]) <= 65535):
        return ""
    return "the port must be a number from 1 to 65535"


def _path(path: str) -> str:
    if not _PATH.fullmatch(path) or {".", "..", ""} & set(path.split("/")[1:]):
        return "the path may hold letters, digits and . _ ~ - ! $ & ' ( ) * + , ; = : @, and no part . or .. or empty"
    return ""


def is_allowed(url: PrometheusUrl, prefixes: Iterable[str]) -> bool:
    """Whether the installation lets Balancers name this address. Raises InputError where a prefix is none."""
    return any(prefix == ANY or url.is_below(read_url(prefix, "prometheus.allowedUrls")) for prefix in prefixes)


def normal(url: str) -> str:
    """The one form of an address, for comparing. Text that is none is returned as it is: it equals no address."""
    try:
        return str(read_url(url, ""))
    except InputError:
        return url.rstrip("/")


def redacted(url: str) -> str:
    """The address for messages: without a password, whatever the text is."""
    try:
        parts = urlsplit(url)
        shown = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    except ValueError:
        return "an address that cannot be read"
    return "".join(letter if letter.isprintable() else "?" for letter in shown)
