"""The command line: `python -m lab --help`."""

import argparse
import sys

from lab import build, control_plane, parts
from lab.errors import LabError
from lab.signals import Stopped


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m lab", description="A real one-node Kubernetes on this machine.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("build", help="build and fetch everything that is missing")
    where = commands.add_parser("where", help="print the folder of a part that is built")
    where.add_argument("part", choices=tuple(parts.PARTS))
    plane = commands.add_parser("run-control-plane", help="run a command against a control plane without nodes")
    plane.add_argument("--scheduler", action="store_true", help="start kube-scheduler too")
    plane.add_argument("argv", nargs="+", metavar="-- COMMAND")
    return top


def main(arguments: list[str] | None = None) -> int:
    chosen = parser().parse_args(arguments)
    try:
        match chosen.command:
            case "build":
                build.ensure()
            case "where":
                print(parts.folder(chosen.part))
            case "run-control-plane":
                return control_plane.run(chosen.argv, with_scheduler=chosen.scheduler)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Stopped as stopped:
        return stopped.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
