"""How a person's PromQL is made sure to stay one argument of the function that wraps it.

Only as much of the language is read as can end an argument or hide the rest of the text: strings, comments, brackets,
commas. Whether the query means anything is for Prometheus to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

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
