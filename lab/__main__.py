"""The command line: `python -m lab --help`."""

import argparse
import os
import sys
from collections.abc import Sequence

from lab import build, cache, cluster, control_plane, golang, images, launchers, machine, parts, state
from lab.errors import CannotRun, LabError
from lab.planes import PLANES
from lab.signals import Stopped, in_foreground, stoppable


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m lab", description="A real one-node Kubernetes on this machine.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("check", help="say whether this machine can run the lab")
    commands.add_parser("build", help="build and fetch everything that is missing")
    where = commands.add_parser("where", help="print the folder of a part that is built")
    where.add_argument("part", choices=tuple(parts.PARTS))
    commands.add_parser("purge", help="delete the cache (no lab may be up)")
    built = argparse.ArgumentParser(add_help=False)
    built.add_argument(
        "--build", action="append", default=[], choices=tuple(parts.PARTS), help="have this part built first, too"
    )
    plane = commands.add_parser(
        "run-control-plane", parents=[built], help="run a command against a control plane without nodes"
    )
    plane.add_argument("--scheduler", action="store_true", help="start kube-scheduler too")
    plane.add_argument("argv", nargs="+", metavar="-- PROGRAM")
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument("--name", default=cluster.DEFAULT_NAME, help="several labs may be up at once (default: lab)")
    balanced = argparse.ArgumentParser(add_help=False)
    balanced.add_argument("--plane", choices=tuple(PLANES), help="use its Gateway instead of Traefik's")
    commands.add_parser("up", parents=[named, balanced], help="start a lab")
    commands.add_parser("down", parents=[named], help="stop it; nothing stays behind")
    commands.add_parser("status", parents=[named], help="show its addresses")
    commands.add_parser("shell", parents=[named], help="a shell inside it")
    commands.add_parser("load", parents=[named], help="make the images of this checkout and load them into the lab")
    run = commands.add_parser(
        "run", parents=[named, balanced, built], help="start a lab, run a command inside it, stop the lab"
    )
    run.add_argument("--keep", action="store_true", help="leave the lab up afterwards")
    run.add_argument("argv", nargs="+", metavar="-- PROGRAM")
    return top


def main(arguments: list[str] | None = None) -> int:
    chosen = parser().parse_args(arguments)
    try:
        with stoppable():
            return _dispatch(chosen)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Stopped as stopped:
        return stopped.exit_code


def _dispatch(chosen: argparse.Namespace) -> int:
    match chosen.command:
        case "check":
            return check()
        case "build":
            build_what_can_run()
        case "where":
            print(parts.folder(chosen.part))
        case "purge":
            purge()
        case "run-control-plane":
            return control_plane.run(chosen.argv, with_scheduler=chosen.scheduler, also=chosen.build)
        case "up":
            show(cluster.up(chosen.name, chosen.plane))
        case "down":
            cluster.down(chosen.name)
        case "status":
            show(cluster.load(chosen.name))
        case "shell":
            return shell(cluster.load(chosen.name))
        case "load":
            load(cluster.load(chosen.name))
        case "run":
            return run(chosen.name, chosen.argv, keep=chosen.keep, plane=chosen.plane, also=chosen.build)
    return 0


def check() -> int:
    """One sentence; the exit code says whether the lab can run."""
    try:
        reason = machine.problem()
    except LabError as error:
        reason = str(error)
    if reason is None:
        missing = machine.missing_packages()
        packages = f" It would first install {', '.join(missing)}." if missing else ""
        print(f"This machine can run the lab.{packages}")
        return 0
    print(f"{reason} Without it there still are {machine.REST}.")
    return 1


def build_what_can_run() -> None:
    """Everything for a lab where one can run, else what a control plane needs."""
    reason = machine.problem()
    if reason is None:
        machine.install_packages()
        build.ensure()
    else:
        print(f"{reason} Building only what `run-control-plane` needs.", file=sys.stderr)
        build.ensure(control_plane.needed_parts(os.environ))


def purge() -> None:
    up = cluster.names()
    if up:
        raise CannotRun(f"Stop {', '.join(up)} first (`python -m lab down --name ...`).")
    cache.purge([*parts.PARTS, *golang.CACHES.values(), *images.FOLDERS, "pip"])


def run(name: str, argv: list[str], *, keep: bool, plane: str | None = None, also: Sequence[str] = ()) -> int:
    """The command's exit code; the lab goes down whatever happens, unless it is to be kept."""
    current = cluster.up(name, plane, also=also)
    try:
        return enter(current, argv)
    finally:
        if not keep:
            cluster.down(name)


def load(current: state.LabState) -> None:
    for image in images.OURS:
        images.load_image(current, images.ours(image))
        print(f"loaded {image.reference}")


def enter(current: state.LabState, argv: list[str]) -> int:
    return in_foreground([*current.entering, *argv], {**os.environ, **current.environment()})


def shell(current: state.LabState) -> int:
    """A person's: with `evenload` and `kubectl evenload` of this checkout on its PATH."""
    os.environ["PATH"] = f"{launchers.write(current.folder / 'bin')}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return enter(current, [os.environ.get("SHELL") or "/bin/sh"])


def show(current: state.LabState) -> None:
    """Where everything is, for people."""
    rows = {
        "API server": current.api_url,
        f"Gateway ({current.gateway})": current.gateway_url,
        "Traefik's API": current.traefik_api_url,
        "Prometheus": current.prometheus_url,
        "Prometheus, for pods": current.prometheus_service_url,
        "kubeconfig": current.kubeconfig,
        "state file": current.file,
        "logs": current.folder / "logs",
        "network namespace": current.namespace,
    }
    for label, value in rows.items():
        print(f"{label + ':':<22}{value}")
    print(f"Addresses work inside the lab: python -m lab shell --name {current.name}")


if __name__ == "__main__":
    sys.exit(main())
