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

from lab import commands, wheels
from lab.errors import CannotRun, LabError

SUITE = "bookworm"
PYTHON = "3.11"  # of that suite
PACKAGES = ("python3.11", "libpython3.11-stdlib", "libstdc++6", "ca-certificates", "dash", "libc-bin", "tzdata")
NOBODY = 65532  # the user id that images run as
SITE = Path("opt/evenload/site")  # where the image's packages lie
UNREAD = ("dev", "usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt", "tmp")
REPOSITORY = Path(__file__).parent.parent
# Nothing that runs needs these, and every file costs time at import into containerd.
UNUSED = ("**/tests", "**/test", "kubernetes/aio", "bin")


def inputs() -> tuple[bytes | str, ...]:
    """Its recipe is this file, so the file itself is what decides."""
    return (platform.machine(), Path(__file__).read_bytes())


def make(target: Path, counted: Callable[[int, int], None]) -> None:
    """Write `rootfs.tar`: packages unpacked, not configured (there is no use for their scripts)."""
    if shutil.which("mmdebstrap") is None:
        raise CannotRun("mmdebstrap is missing: `apt-get install mmdebstrap debian-archive-keyring`.")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "root"
        packages = f"--include={','.join(PACKAGES)}"
        arguments = ["--quiet", "--variant=extract", packages, SUITE, str(root)]
        commands.run(["mmdebstrap", *arguments], env={"TMPDIR": scratch})  # what it leaves when killed goes as well
        finish(root)
        archive(root, target / "rootfs.tar")


def finish(root: Path) -> None:
    """Do what unconfigured packages leave undone, and drop what only an administrator would read."""
    (root / "etc" / "passwd").write_text(f"root:x:0:0::/root:/bin/sh\nevenload:x:{NOBODY}:{NOBODY}::/:/bin/sh\n")
    (root / "etc" / "group").write_text(f"root:x:0:\nevenload:x:{NOBODY}:\n")
    (root / "usr" / "bin" / "python3").symlink_to(f"python{PYTHON}")
    for folder in UNREAD:
        shutil.rmtree(root / folder, ignore_errors=True)
        (root / folder).mkdir(parents=True)
    compile_in(root, Path("usr/lib") / f"python{PYTHON}")


def site_inputs() -> tuple[bytes | str, ...]:
    constraints = REPOSITORY / "constraints.txt"
    return (*inputs(), *runtime_requirements(), constraints.read_bytes())


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
        compile_inside_image(root, SITE)
        archive(root, target / "site.tar")


def resolve() -> list[str]:
    """Ask pip which distributions the requirements come to on the image's Python, within the constraints."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        constraints = Path(scratch) / "constraints.txt"
        constraints.write_text(without_hashes((REPOSITORY / "constraints.txt").read_text()))
        plan = ["--dry-run", "--ignore-installed", "--report", str(report), "-c", str(constraints)]
        commands.run([*_pip_install(Path(scratch) / "site"), *plan, *runtime_requirements()])
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


def _pip_install(site: Path) -> list[str]:
    """Pip for the image's Python and C library rather than this machine's."""
    machine = platform.machine()
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(36, 16, -1)] + [f"manylinux2014_{machine}"]
    options = [option for name in platforms for option in ("--platform", name)]
    pip = [*wheels.pip_command(), "install", "--quiet", "--disable-pip-version-check", "--target", str(site)]
    return [*pip, "--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp", *options]


def compile_inside_image(root: Path, folder: Path) -> None:
    """Compile what is in `folder` below `root`, a layer of its own, with the image's Python."""
    from lab import parts

    with tempfile.TemporaryDirectory() as scratch:
        system = Path(scratch)
        commands.run(["tar", "-xf", parts.folder("rootfs") / "rootfs.tar", "-C", system])
        shutil.copytree(root / folder, system / folder, symlinks=True)
        compile_in(system, folder)
        shutil.rmtree(root / folder)
        shutil.move(system / folder, root / folder)


def compile_in(system: Path, folder: Path) -> None:
    """Compile `folder` of a whole system: images are read-only when they run, so each start would do it for seconds.

    Unchecked hashes, not times: layers carry no times.
    """
    compiler = ["python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", f"/{folder}"]
    # Packages carry files that do not compile (templates, other Pythons' tests); those stay source.
    subprocess.run(["chroot", system, *compiler], check=False, capture_output=True)
    if not any((system / folder).rglob("*.pyc")):
        raise LabError(f"The image's Python did not compile /{folder}. Does `chroot` work here?")


def archive(root: Path, tarball: Path) -> None:
    """A tar of everything below `root`, the same bytes for the same files."""
    fixed = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"]
    readable = "--mode=go=rX"  # a scratch folder is its owner's alone, and as a layer's root would lock everybody out
    commands.run(["tar", *fixed, readable, "-cf", tarball, "-C", root, "."])
