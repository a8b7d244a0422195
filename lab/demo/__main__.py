"""`python -m lab.demo`: a lab of its own, both arms of the incident, the report; nothing stays behind.

Exit code: 0 when every figure held, 1 when one was missed or something failed, 128 + signal when stopped.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lab import build, cluster, images, machine, progress
from lab.__main__ import enter
from lab.demo.performance import perform
from lab.demo.stories import STORIES
from lab.errors import LabError
from lab.planes import PLANES
from lab.signals import Stopped, shielded, stoppable, to_the_end
from lab.state import LabState

KEPT_NAME: Final = "demo"
PASSING_NAME: Final = "demo-"
"""Followed by the process's number: what a killed demo leaves is known by it, and the next one clears it away."""
INSIDE: Final = "--inside"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line; wrong usage ends the program."""
    parser = argparse.ArgumentParser(prog="python -m lab.demo", description="Replay an incident on the lab.")
    parser.add_argument("--story", choices=tuple(STORIES), default="postmortem", help="which incident")
    parser.add_argument("--arm", choices=("both", "alone", "evenload"), default="both", help="which to run")
    parser.add_argument("--plane", choices=tuple(PLANES), help="play it behind this data plane instead of Traefik")
    parser.add_argument("--seed", type=int, help="of the customers (each story has a default)")
    parser.add_argument("--brief", action="store_true", help="leave out what comes after the incident")
    parser.add_argument("--keep", action="store_true", help=f"leave the lab up afterwards, as `{KEPT_NAME}`")
    parser.add_argument("--out", type=Path, help="folder for the results (default out/demo, or the story's own)")
    parser.add_argument(INSIDE, action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    try:
        if not options.inside:
            return stage(options, arguments)
        script = STORIES[options.story]
        seed = script.seed if options.seed is None else options.seed
        return perform(script, options.arm, seed, options.out or script.folder, brief=options.brief)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Stopped as stopped:
        return stopped.exit_code


def stage(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Bring a lab up and run ourselves again inside it; the way down cannot be interrupted."""
    name = KEPT_NAME if options.keep else f"{PASSING_NAME}{os.getpid()}"
    with stoppable():
        prepare()
    with shielded():
        code, current = 1, None
        try:
            with stoppable():
                current = cluster.up(name, options.plane)
            code = enter(current, [sys.executable, "-m", "lab.demo", INSIDE, *arguments])
        finally:
            if current is not None and options.keep and code < 128:
                say_kept(current)
            elif current is not None or not options.keep:
                cluster.down(name)
    return code


def prepare() -> None:
    """All that can be done before there is a lab."""
    machine.require()
    clear_killed()
    build.ensure()
    with progress.showing() as shown:
        for name, make in (("shop", images.shop), ("operator", images.operator)):
            shown.start(name, f"the {name}'s image")
            make()
            shown.finish(name, f"the {name}'s image")


def clear_killed() -> None:
    """Labs of demos that were killed outright."""
    for name in cluster.names():
        number = name.removeprefix(PASSING_NAME)
        if name.startswith(PASSING_NAME) and number.isdigit() and not Path(f"/proc/{number}").exists():
            print(f"Clearing away {name}, which a killed demo left.", file=sys.stderr)
            cluster.down(name)


def say_kept(current: LabState) -> None:
    print(f"The lab is still up: `python -m lab shell --name {current.name}`, then kubectl evenload get.")
    print(f"Stop it with `python -m lab down --name {current.name}`.")


if __name__ == "__main__":
    to_the_end(lambda: main(sys.argv[1:]))
