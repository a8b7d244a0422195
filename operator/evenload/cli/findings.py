"""Answers to the questions of `check`."""

from __future__ import annotations

from enum import StrEnum

from evenload.model.base import Value


class Answer(StrEnum):
    ok = "ok"
    fail = "fail"
    unknown = "unknown"
    skipped = "skipped"


class Result(Value, frozen=True, kw_only=True):
    """One question's answer. `topic` is its section in the docs."""

    topic: str
    answer: Answer
    what: str
    hint: str = ""


def ok(topic: str, what: str) -> Result:
    return Result(topic=topic, answer=Answer.ok, what=what)


def fail(topic: str, what: str, hint: str) -> Result:
    return Result(topic=topic, answer=Answer.fail, what=what, hint=hint)


def unknown(topic: str, what: str, hint: str) -> Result:
    return Result(topic=topic, answer=Answer.unknown, what=what, hint=hint)
