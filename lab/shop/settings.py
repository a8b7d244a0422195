"""What one shop server can be told, from flags or `SHOP_*` environment variables (the flag wins)."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One server's constants; the defaults are the plant measured in `lab.shop.model`."""

    name: str = "shop"
    host: str = "0.0.0.0"
    port: int = 8080
    cost_cpu_ms: float = 6.0
    """CPU milliseconds of hashing a healthy request needs; HTTP adds about 1 ms to it."""
    workers: int = 1
    queue_length: int = 16
    """Requests that may wait for a worker; the next one is answered 503 at once."""
    failure_share: float = 0.0
    """Share of requests that a release with a fault answers 500, however well it is."""
    sick_rejections: int = 40
    sick_window_seconds: float = 5.0
    sick_cost_factor: float = 5.0
    sick_failure_share: float = 0.35
    """Share of the requests a sick server works on, at full cost, and then answers 500."""
    seed: int = 1
    connection_seconds: float = 0.0
    """A connection older than that, give or take a tenth, ends with its next answer; 0: connections live for ever."""
    grace_seconds: float = 10.0
    """Longest wait after SIGTERM for requests already taken."""


def parse(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from flags over environment; a wrong value ends the program with a line that names its flag."""
    parsed = _parser(os.environ if environment is None else environment).parse_args(arguments)
    return Settings(**vars(parsed))


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m lab.shop", description="One server of the demo's shop.")
    defaults = Settings()

    def option(field: str, kind: Callable[[str], object], text: str) -> None:
        variable = f"SHOP_{field.upper()}"
        default = environment.get(variable, str(getattr(defaults, field)))  # argparse converts string defaults too
        text = f"{text} [{variable}; default {getattr(defaults, field)}]"
        parser.add_argument(f"--{field.replace('_', '-')}", type=kind, default=default, metavar=variable, help=text)

    option("name", _name, "server identity, sent as X-Shop-Server")
    option("host", str, "address to listen on")
    option("port", _number(int, 0, 65535), "port to listen on, 0 picks one")
    option("cost_cpu_ms", _number(float, 0.0, 1000.0), "CPU milliseconds a healthy request burns")
    option("workers", _number(int, 1, 64), "requests worked on at once")
    option("queue_length", _number(int, 0, 10_000), "requests that may wait")
    option("failure_share", _number(float, 0.0, 1.0), "share of requests that fail though the server is well")
    option("sick_rejections", _number(int, 1, 1_000_000), "rejections within the window that make it sick")
    option("sick_window_seconds", _number(float, 0.1, 3600.0), "the window, in seconds")
    option("sick_cost_factor", _number(float, 1.0, 100.0), "cost of a request when sick, as a multiple")
    option("sick_failure_share", _number(float, 0.0, 1.0), "share of its requests a sick server answers 500")
    option("seed", _number(int, 0, 2**63 - 1), "decides which requests fail when sick")
    option("connection_seconds", _number(float, 0.0, 86_400.0), "age at which connections are closed, 0 for never")
    option("grace_seconds", _number(float, 0.0, 600.0), "longest wait after SIGTERM for requests already taken")
    return parser


def _name(text: str) -> str:
    if not text or not text.isascii() or not text.isprintable():
        raise argparse.ArgumentTypeError(f"is {text!r}; give printable ASCII, it becomes a header")
    return text


def _number(kind: Callable[[str], N], low: N, high: N) -> Callable[[str], N]:
    def convert(text: str) -> N:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"is {text!r}; give a number from {low} to {high}") from None
        if not (math.isfinite(value) and low <= value <= high):
            raise argparse.ArgumentTypeError(f"is {text}; give a number from {low} to {high}")
        return value

    return convert
