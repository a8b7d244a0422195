"""What the lab needs of the machine: says what is missing, and installs the packages where it may."""

import importlib.util
import os
import platform
import re
import shutil
import sys
from pathlib import Path

from lab import commands
from lab.components import containerd
from lab.errors import CannotRun, CommandFailed

# Program on PATH -> Debian and Ubuntu package.
PROGRAMS = {
    "containerd": "containerd",
    "runc": "runc",
    "ctr": "containerd",
    "ip": "iproute2",
    "nft": "nftables",
    "mmdebstrap": "mmdebstrap",
    "openssl": "openssl",
    "nsenter": "util-linux",
    "mount": "mount",
}
NETWORK_PLUGINS = "containernetworking-plugins"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
AUTHORITIES = Path("/etc/ssl/certs")
REST = "`python -m lab run-control-plane`, `make check` and, with KUBECONFIG, everything that only needs a cluster"


def problem() -> str | None:
    """One sentence on why this machine cannot run the lab, or None."""
    if sys.platform != "linux":
        return f"The lab needs Linux; this is {platform.system()}. Run it in a Linux virtual machine."
    if os.geteuid() != 0:
        return "The lab needs root, for its network namespace, control group and mounts. Run it with sudo."
    if not _may_unshare_network():
        return "The lab needs to make a network namespace, and this machine (a container?) forbids it."
    return None


def require() -> None:
    """Raise CannotRun with the reason and what still works; install missing packages."""
    reason = problem()
    if reason is not None:
        raise CannotRun(f"{reason} Without it there still are {REST}.")
    install_packages()


def missing_packages() -> list[str]:
    """Debian packages of what is not there, without repetition."""
    packages = [package for program, package in PROGRAMS.items() if find_program(program) is None]
    if containerd.plugin_folder() is None:
        packages.append(NETWORK_PLUGINS)
    if not KEYRING.exists():
        packages.append("debian-archive-keyring")
    if not any(AUTHORITIES.glob("*")):
        packages.append("ca-certificates")  # Go fetches modules by what the system trusts
    if importlib.util.find_spec("pip") is None and importlib.util.find_spec("ensurepip") is None:
        packages.append("python3-venv")
    return sorted(set(packages))


def find_program(name: str) -> Path | None:
    """Like `which`, but also where administrators' programs are when PATH lacks it."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    found = shutil.which(name, path=path)
    return Path(found) if found else None


def install_packages() -> None:
    """Install by apt what is missing, and say so; raises CannotRun on machines without apt."""
    missing = missing_packages()
    if not missing:
        return
    if os.geteuid() != 0:
        raise CannotRun(f"Please install {', '.join(missing)} as root; then this goes on without.")
    if shutil.which("apt-get") is None:
        raise CannotRun(f"Please install what Debian calls {', '.join(missing)}; this machine has no apt-get.")
    print(f"Installing with apt: {', '.join(missing)}", file=sys.stderr, flush=True)
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *missing]
    try:
        commands.run(install, env=quiet)
    except CommandFailed:
        commands.run(["apt-get", "update", "--quiet"], env=quiet)  # old lists name files that are gone
        commands.run(install, env=quiet)


def valid_name(name: str) -> str:
    """A lab's name is part of paths, of a control group and of a namespace."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,19}", name):
        raise CannotRun(f"{name!r} cannot be a lab's name: use up to 20 of a-z, 0-9 and dashes.")
    return name


def _may_unshare_network() -> bool:
    try:
        commands.run(["unshare", "--net", "true"], timeout_seconds=60)
    except (CommandFailed, FileNotFoundError):
        return False
    return True
