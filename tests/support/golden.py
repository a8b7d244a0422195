"""Golden files: what a command printed once and a person read, compared byte for byte ever after."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "golden"


def check_golden(name: str, text: str) -> None:
    """Assert that `text` is tests/golden/<name>; with UPDATE_GOLDEN=1 (make golden) write it instead."""
    path = FOLDER / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{path} is missing: run `make golden`, and read what it wrote"
    assert text == path.read_text(encoding="utf-8"), f"{path} differs: run `make golden` and read the diff"
