"""How a person's PromQL is made sure to stay what it is meant to be: one argument of a function, one matcher.

Only as much of the language is read as can end an argument or hide the rest of the text: strings, comments, brackets,
commas. Whether the query means anything is for Prometheus to say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from evenload.errors import InputError
from evenload.model.base import Value

LONGEST_MATCHER: Final = 256
_MATCHER = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\["\\])*)"\s*')


class Matcher(Value, frozen=True):
    """One condition on a label, as in cluster="east". `str()` gives its text, quoted anew."""

    label: str
    operator: str  # = != =~ !~
    value: str

    def __str__(self) -> str:
        return f"{self.label}{self.operator}{json.dumps(self.value, ensure_ascii=False)}"


def read_matcher(text: str, field: str) -> Matcher:
    """Raises InputError naming `field` and the fix."""
    found = _MATCHER.fullmatch(text) if len(text) <= LONGEST_MATCHER and text.isprintable() else None
    if found is None:
        raise InputError(
            f'{field}: not one matcher of at most {LONGEST_MATCHER} characters; write it like cluster="east", or with '
            "!=, =~ or !~"
        )
    if found[1] == "__name__":
        raise InputError(f"{field}: __name__ is the metric, which the preset names; match another label")
    return Matcher(found[1], found[2], re.sub(r'\\(["\\])', r"\1", found[3]))


_TOKEN = re.compile(
    r"""
      (?P<string> "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' | `[^`]*` )
    | (?P<comment> \#[^\n]*\n? )
    | (?P<open> [(\[{] )
    | (?P<close> [)\]}] )
    | (?P<comma> , )
    | (?P<quote> ["'`] )
    | (?P<space> \s+ )
    | (?P<other> [^"'`\#()\[\]{},\s]+ )
    """,
    re.VERBOSE,
)
_PAIRS: Final = {")": "(", "]": "[", "}": "{"}


def problem_of(query: str) -> str:
    """Why the text is not one PromQL expression, with the fix; "" where it may be one."""
    opened: list[str] = []
    something = False
    for kind, text in _tokens(query):
        if kind == "quote":
            return f"a string opened by {text} is not closed; close it"
        if kind == "comment" and not text.endswith("\n"):
            return "it ends in a comment, which would hide what follows; remove the comment"
        if kind == "comma" and not opened:
            return "a comma outside all brackets; give one expression, not several"
        if kind == "open":
            opened.append(text)
        if kind == "close" and (not opened or opened.pop() != _PAIRS[text]):
            return f"a {text} closes nothing; remove it, or open it"
        something = something or kind not in ("space", "comment")
    if opened:
        return f"a {opened[-1]} is not closed; close it"
    return "" if something else "it is empty; write an expression, or remove the entry"


def _tokens(query: str) -> Iterator[tuple[str, str]]:
    for found in _TOKEN.finditer(query):
        yield found.lastgroup or "other", found[0]
