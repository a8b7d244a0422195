"""`python3 -m lab.load --url http://127.0.0.1:8080/ --rate 64 --duration 60 --seed 1 --out load.jsonl`.

Writes one JSON line a request as its answer comes, flushed at once, so that even SIGKILL loses no more than the
requests that are out; SIGTERM or SIGINT ends it cleanly. Only the totals go to standard output.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from lab.load.analysis import server_shares, totals
from lab.load.generator import Target, run
from lab.load.record import Record, to_line
from lab.load.schedule import SHAPES


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line; wrong usage ends the program."""
    parser = argparse.ArgumentParser(prog="python3 -m lab.load", description="Open-loop load on the lab's shop.")
    parser.add_argument("--url", required=True, help="http:// and a loopback or private address")
    parser.add_argument("--host-header", help="the name the proxy routes by, such as shop.example")
    parser.add_argument("--rate", type=float, default=64.0, help="requests a second (default 64)")
    parser.add_argument("--duration", type=float, default=60.0, help="seconds (default 60)")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same schedule (default 1)")
    parser.add_argument("--shape", choices=sorted(SHAPES), default="poisson", help="arrivals (default poisson)")
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds to wait for an answer (default 5)")
    parser.add_argument("--out", type=Path, required=True, help="file for the record, JSON lines; overwritten")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Exit code: 0 after the load, failed requests or not; 2 for wrong usage or an output that cannot be written."""
    options = parse(arguments)
    try:
        target = Target(url=options.url, host_header=options.host_header, timeout_seconds=options.timeout)
        schedule = SHAPES[options.shape](rate=options.rate, duration_seconds=options.duration, seed=options.seed)
        with options.out.open("w", buffering=1, encoding="utf-8") as file:
            records = asyncio.run(_load(target, schedule, file))
    except (ValueError, OSError) as error:
        print(f"lab.load: {error}", file=sys.stderr)
        return 2
    shares = [asdict(share) for share in server_shares(records).values()]
    print(json.dumps({**asdict(totals(records)), "servers": shares}, indent=2))
    return 0


async def _load(target: Target, schedule: Sequence[float], file: TextIO) -> list[Record]:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    records: list[Record] = []

    def keep(record: Record) -> None:
        records.append(record)
        file.write(to_line(record) + "\n")

    await run(target, schedule, keep, stop)
    return records


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
