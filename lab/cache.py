"""The folder of everything that was built or fetched, outside the checkout.

An entry is `<root>/<part>/<key>/`, and the key is a hash of all that decides its content. An entry is made in a
scratch folder beside it and renamed when whole, so one that exists is complete, whatever was interrupted.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

KEY_LENGTH = 16  # hexadecimal digits: 64 bits, plenty to tell a handful of entries apart


def root() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "evenload"


def key(*inputs: bytes | str) -> str:
    """Hash the inputs; each is length-prefixed, so that ("ab", "c") and ("a", "bc") differ."""
    digest = hashlib.sha256()
    for item in inputs:
        content = item.encode() if isinstance(item, str) else item
        digest.update(len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.hexdigest()[:KEY_LENGTH]


def tree_inputs(folder: Path, pattern: str = "**/*") -> tuple[bytes, ...]:
    """Names and contents of a folder's files as inputs for `key`; byte code is left out."""
    files = sorted(path for path in folder.glob(pattern) if path.is_file() and "__pycache__" not in path.parts)
    return tuple(part for path in files for part in (str(path.relative_to(folder)).encode(), path.read_bytes()))


@contextlib.contextmanager
def lock(name: str, *, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the machine-wide lock `name`; `waiting` is called once if somebody else has it."""
    path = root() / "locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def publish(entry: Path, make: Callable[[Path], None]) -> Path:
    """Let `make` fill an empty folder, then move it to `entry` in one step. The caller holds the entry's lock."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{entry.name}-", dir=entry.parent))
    try:
        make(scratch)
        scratch.chmod(0o755)
        scratch.rename(entry)
    except BaseException:
        remove(scratch)
        raise
    return entry


def remove(folder: Path) -> None:
    """Delete a folder, read-only ones (Go's module cache) included; one that is not there is fine."""
    for path, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            Path(path).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def forget_others(entry: Path, *, keep: int = 2) -> None:
    """Delete all but the newest `keep` entries of the same part, so that old versions do not pile up."""
    siblings = [path for path in entry.parent.iterdir() if path.is_dir() and not path.name.startswith(".")]
    newest_first = sorted(siblings, key=lambda path: path.stat().st_mtime, reverse=True)
    for stale in newest_first[keep:]:
        if stale != entry:
            remove(stale)


def purge(names: Iterable[str]) -> None:
    """Delete the named entries; others share the folder (the virtual environment that runs us is one)."""
    for name in names:
        remove(root() / name)
