"""Log lines for a terminal: text from objects is shown, never obeyed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from evenload.record.log import conceal, configure

HOSTILE = "x\n2026-01-01T00:00:00Z [info] all is well\x1b[2J\u202e"


@pytest.fixture(autouse=True)
def _settings_as_before() -> Iterator[None]:
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


def logged(form: str) -> None:
    configure(form, "info")
    log = structlog.get_logger()
    log.warning("decision", detail=HOSTILE, names=[HOSTILE])
    logging.getLogger("a-library").warning("it said: %s", HOSTILE)
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log.exception("failed")


def test_no_line_of_a_terminals_log_is_forged(capsys: pytest.CaptureFixture[str]) -> None:
    logged("console")
    told = capsys.readouterr().err
    lines = told.splitlines()
    assert len([line for line in lines if not line.startswith("  ")]) == 3  # what is indented is of a traceback
    assert not [line for line in lines if line.startswith("2026-01-01")]
    assert "\x1b[2J" not in told
    assert "\u202e" not in told


def test_a_line_of_json_is_one_entry(capsys: pytest.CaptureFixture[str]) -> None:
    logged("json")
    told = capsys.readouterr().err
    entries = [json.loads(line) for line in told.splitlines()]
    assert [entry["level"] for entry in entries] == ["warning", "warning", "error"]
    assert entries[0]["detail"] == HOSTILE
    assert "\u202e" not in told


def test_all_that_is_logged_is_concealed_whoever_logs_it(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json", "info")
    conceal(lambda text: text.replace("s3cret", "(removed)"))
    structlog.get_logger().warning("ours", error="token s3cret")
    try:
        raise ValueError("token s3cret")
    except ValueError:
        logging.getLogger("kopf").exception("theirs: %s", "token s3cret")
    said = capsys.readouterr().err
    assert "s3cret" not in said
    assert said.count("(removed)") >= 3
