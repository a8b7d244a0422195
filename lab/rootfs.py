"""What is inside the lab's container images: a small Debian with Python, and the operator's Python packages on top.

No registry and no docker: mmdebstrap unpacks the system from apt packages, pip the packages into a folder.
"""

import json
import platform
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

from lab import cache, commands, wheels
from lab.errors import CannotRun, LabError

SUITE = "bookworm"
PYTHON = "3.11"  # of that suite
PACKAGES = ("python3.11", "libpython3.11-stdlib", "ca-certificates", "dash", "libc-bin", "libexpat1", "zlib1g", "tzdata")
NOBODY = 65532  # the user id that images run as
SITE = Path("opt/evenload/site")  # where the image's packages lie
REPOSITORY = Path(__file__).parent.parent
# Nothing that runs needs these, and every file costs time at import into containerd.
UNUSED = ("**/tests", "**/test", "kubernetes/docs", "bin")


def inputs() -> tuple[bytes | str, ...]:
    return (SUITE, platform.machine(), *PACKAGES, str(NOBODY))


def make(target: Path, counted: Callable[[int, int], None]) -> None:
    """Write `rootfs.tar`: packages unpacked, not configured (there is no use for their scripts)."""
    if shutil.which("mmdebstrap") is None:
        raise CannotRun("mmdebstrap is missing: `apt-get install mmdebstrap debian-archive-keyring`.")
    customize = [
        f'printf "root:x:0:0::/root:/bin/sh\\nevenload:x:{NOBODY}:{NOBODY}::/:/bin/sh\\n" >"$1/etc/passwd"',
        f'printf "root:x:0:\\nevenload:x:{NOBODY}:\\n" >"$1/etc/group"',
        f'ln -sf python{PYTHON} "$1/usr/bin/python3"',
        'rm -rf "$1/usr/share/doc" "$1/usr/share/man" "$1/usr/share/locale" "$1/var/cache/apt" "$1/var/lib/apt"',
    ]
    hooks = [f"--customize-hook={line}" for line in customize]
    packages = f"--include={','.join(PACKAGES)}"
    commands.run(["mmdebstrap", "--quiet", "--variant=extract", packages, *hooks, SUITE, target / "rootfs.tar"])


def site_inputs() -> tuple[bytes | str, ...]:
    constraints = REPOSITORY / "constraints.txt"
    return (*inputs(), *runtime_requirements(), constraints.read_bytes(), *UNUSED)


def runtime_requirements() -> tuple[str, ...]:
    """The operator's own dependencies, as pyproject.toml names them."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return tuple(sorted(project["dependencies"]))


def make_site(target: Path, counted: Callable[[int, int], None]) -> None:
    """Write `site.tar`: the operator's dependencies and theirs, exactly as constraints.txt pins them, compiled."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        site = root / SITE
        pinned = root / "pinned.txt"
        pinned.write_text(pins(resolve(), (REPOSITORY / "constraints.txt").read_text()))
        commands.run([*_pip_install(site), "--no-deps", "--require-hashes", "-r", pinned])
        pinned.unlink()
        for pattern in UNUSED:
            for path in site.glob(pattern):
                shutil.rmtree(path, ignore_errors=True)
        compile_inside_image(root)
        _archive(root, target / "site.tar")


def resolve() -> list[str]:
    """Ask pip which distributions the requirements come to on the image's Python, within the constraints."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        constraints = Path(scratch) / "constraints.txt"
        constraints.write_text(without_hashes((REPOSITORY / "constraints.txt").read_text()))
        plan = ["--dry-run", "--ignore-installed", "--report", report, "-c", constraints, *runtime_requirements()]
        commands.run([*_pip_install(Path(scratch) / "site"), *plan])
        installed = json.loads(report.read_text())["install"]
    return sorted(item["metadata"]["name"] for item in installed)


def pins(names: list[str], constraints: str) -> str:
    """The entries of a constraints file, hashes included, that belong to `names`."""
    wanted = {normalized(name) for name in names}
    entries = [entry for entry in _entries(constraints) if normalized(_name(entry)) in wanted]
    missing = wanted - {normalized(_name(entry)) for entry in entries}
    if missing:
        raise LabError(f"constraints.txt lacks {', '.join(sorted(missing))}: run `make constraints`.")
    return "\n".join(entries) + "\n"


def without_hashes(constraints: str) -> str:
    """With hashes among the constraints, pip would demand exact versions of the requirements as well."""
    return "\n".join(entry.split(" --hash")[0] for entry in _entries(constraints)) + "\n"


def normalized(name: str) -> str:
    """Names of distributions compare without case and with one kind of dash (PEP 503)."""
    return name.lower().replace("_", "-").replace(".", "-")


def _entries(constraints: str) -> list[str]:
    joined = constraints.replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _name(entry: str) -> str:
    return entry.split("==")[0].strip()


def _pip_install(site: Path) -> list[str | Path]:
    """Pip for the image's Python and C library rather than this machine's."""
    machine = platform.machine()
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(36, 16, -1)] + [f"manylinux2014_{machine}"]
    options = [option for name in platforms for option in ("--platform", name)]
    pip = [*wheels.pip_command(), "install", "--quiet", "--disable-pip-version-check", "--target", site]
    return [*pip, "--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp", *options]


def compile_inside_image(root: Path) -> None:
    """Compile to byte code with the image's own Python: its file system is read-only when it runs.

    Unchecked hashes, not times: layers carry no times. Without this every start would compile for seconds.
    """
    from lab import parts

    with tempfile.TemporaryDirectory() as scratch:
        system = Path(scratch)
        commands.run(["tar", "-xf", parts.folder("rootfs") / "rootfs.tar", "-C", system])
        for top in root.iterdir():
            shutil.copytree(top, system / top.name, symlinks=True, dirs_exist_ok=True)
        compiler = ["python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", f"/{SITE}"]
        subprocess.run(["chroot", system, *compiler], check=False, capture_output=True)
        shutil.rmtree(root / SITE)
        shutil.move(system / SITE, root / SITE)


def _archive(root: Path, tarball: Path) -> None:
    fixed = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"]
    commands.run(["tar", *fixed, "-cf", tarball, "-C", root, "."])
