"""The command line: `python -m lab --help`."""

import argparse
import sys

from lab import build, parts
from lab.errors import LabError


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build and fetch everything that is missing")
    where = commands.add_parser("where", help="print the folder of a part")
    where.add_argument("part", choices=tuple(parts.PARTS))
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "where":
            print(parts.folder(chosen.part))
        else:
            build.ensure()
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
