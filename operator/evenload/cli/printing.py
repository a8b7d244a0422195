"""Results on stdout: tables as kubectl prints them, JSON and YAML as it came, names for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from evenload.cli.objects import Item, Kind
from evenload.cli.options import Output
from evenload.cli.text import plain

_STYLES = {
    "True": "green",
    "False": "red",
    "Unknown": "yellow",
    "Succeeded": "green",
    "RolledBack": "red",
    "Failed": "red",
    "Denied": "red",
    "Expired": "yellow",
    "AwaitingApproval": "yellow",
    "Healthy": "green",
}
"""Colour is a hint beside the word, never instead of it."""


class Column(NamedTuple):
    """A heading and what stands under it; `wide` columns show with -o wide only."""

    title: str
    value: Callable[..., str]
    wide: bool = False


def on_terminal() -> bool:
    """Whether a person reads stdout, rather than a pipe or a file."""
    return sys.stdout.isatty()


def console() -> Console:
    """Of stdout: no markup, no highlighting, colour only on a terminal that wants it (NO_COLOR is heeded)."""
    width = None if on_terminal() else 10_000
    return Console(markup=False, highlight=False, emoji=False, width=width, soft_wrap=False)


def note(text: str) -> None:
    """A line for the person, not for the pipe."""
    print(plain(text), file=sys.stderr)


def say(text: str) -> None:
    """One line of a result in words: a line break within `text` shows as an escape, so print lines one by one."""
    print(plain(text))


def show(items: Sequence[Item[Kind]], columns: Sequence[Column], output: Output, *, one: bool = False) -> None:
    """`items` in the format asked for. `one`: a single named object is printed as itself, not as a List."""
    match output:
        case Output.json:
            print(json.dumps(_document(items, one=one), indent=2, ensure_ascii=True))
        case Output.yaml:
            print(_yaml(_document(items, one=one)), end="")
        case Output.name:
            for item in items:
                say(f"{item.object.kind.lower()}.evenload.dev/{item.name}")
        case Output.table | Output.wide:
            wanted = [column for column in columns if output is Output.wide or not column.wide]
            print_table([column.title for column in wanted], [[c.value(item) for c in wanted] for item in items])


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as needed, three spaces apart; a terminal cuts only the last one."""
    target = console()
    with target.capture() as captured:
        target.print(table(titles, rows))
    for line in captured.get().splitlines():
        print(line.rstrip())


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    grid = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), collapse_padding=True, header_style="bold")
    for place, title in enumerate(titles):
        grid.add_column(title, no_wrap=True, overflow="ellipsis" if place == len(titles) - 1 else "ignore")
    for row in rows:
        grid.add_row(*(styled(value) for value in row))
    return grid


def styled(value: str) -> Text:
    return Text(plain(value), style=_STYLES.get(value, ""))


def _document(items: Sequence[Item[Kind]], *, one: bool) -> object:
    manifests = [item.manifest for item in items]
    if one and len(manifests) == 1:
        return manifests[0]
    return {"apiVersion": "v1", "kind": "List", "items": manifests, "metadata": {"resourceVersion": ""}}


def _yaml(document: object) -> str:
    import yaml

    return yaml.safe_dump(document, sort_keys=False, allow_unicode=False)
