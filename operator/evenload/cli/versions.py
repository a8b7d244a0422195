"""The table of balancers' versions, from a file: the one that is shipped, or a newer one of yours."""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import Path
from typing import Final

from evenload.audit.versions import STALE_DAYS, Versions, versions_of
from evenload.cli.printing import note
from evenload.errors import InputError

MOST_BYTES: Final = 1 << 20


@functools.cache
def shipped() -> Versions:
    """The table that this version of Evenload brings along."""
    file = resources.files("evenload.audit") / "versions.yaml"
    return _parsed(file.read_text(encoding="utf-8"))


def read(file: Path | None) -> Versions:
    """A table of one's own, YAML or JSON; None: the one that is shipped. Raises InputError naming file and field."""
    if file is None:
        return shipped()
    try:
        with file.open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise InputError(f"holds more than {MOST_BYTES >> 20} MiB, which is no table of versions")
        return _parsed(raw.decode("utf-8"))
    except OSError as error:
        raise InputError(f"--versions {file}: {error.strerror}") from error
    except (InputError, UnicodeDecodeError) as error:
        raise InputError(f"--versions {file}: {error}") from error


def note_age(versions: Versions, today: str) -> None:
    """Say it where the table is too old to be trusted."""
    age = versions.age_days(today)
    if age > STALE_DAYS:
        note(
            f"the table of balancers' versions is {age} days old (as of {versions.as_of}): give a newer one with "
            "--versions, or update Evenload"
        )


def _parsed(text: str) -> Versions:
    import yaml

    try:
        # All scalars are text, so a version is not taken for a number, nor a day for a date.
        document = yaml.load(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"is no YAML: {error}") from error
    return versions_of(document)
