"""Results on stdout: tables as kubectl prints them, JSON and YAML as it came, names for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from evenload.cli.objects import Item, Kind
from evenload.cli.options import Output
from evenload.cli.text import plain
from evenload.errors import InputError

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


def needs_plots() -> None:
    """Before anything is read or a file is opened. Raises InputError with the command that brings what is missing."""
    from evenload.report.drawing import matplotlib_module

    matplotlib_module()


def write_file(file: Path, text: str, flag: str) -> None:
    """And say so. Raises InputError naming the flag and the file."""
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{flag} {file}: {error.strerror}") from error
    note(f"Wrote {file}")


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
    """Columns as wide as needed, three spaces apart; on a terminal what does not fit stands below its row."""
    target = console()
    for line in table(titles, rows, target.width):
        target.print(line, soft_wrap=True)


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[Text]:
    """The lines of a table that is at most `width` wide where words allow it. Nothing is ever cut or left out."""
    cells = [[styled(value) for value in row] for row in rows]
    widths = [max(cell.cell_len for cell in column) for column in zip(map(Text, titles), *cells, strict=True)]
    fitting = max(1, sum(end <= width for end in accumulate(widths, lambda end, wide: end + len(_GAP) + wide)))
    yield _line([Text(title, style="bold") for title in titles[:fitting]], widths)
    for row in cells:
        yield _line(row[:fitting], widths)
        yield from _below(titles[fitting:], row[fitting:], width)


_GAP, _INDENT = "   ", "    "


def _line(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    line = Text(_GAP).join([*(_padded(cell, wide) for cell, wide in zip(cells, widths, strict=False))])
    line.rstrip()
    return line


def _padded(cell: Text, wide: int) -> Text:
    return cell.copy().append(" " * (wide - cell.cell_len))


def _below(titles: Sequence[str], cells: Sequence[Text], width: int) -> Iterator[Text]:
    """ "MODE Auto   DOING paused", indented: as many to a line as fit; a longer one is broken between its words."""
    line = Text(_INDENT)
    for title, cell in zip(titles, cells, strict=True):
        if not cell.plain:
            continue
        told = Text.assemble((title, "bold"), " ", cell)
        if line.plain != _INDENT and line.cell_len + len(_GAP) + told.cell_len > width:
            yield from _broken(line, width)
            line = Text(_INDENT)
        line = Text.assemble(line, _GAP if line.plain != _INDENT else "", told)
    if line.plain != _INDENT:
        yield from _broken(line, width)


def _broken(line: Text, width: int) -> Iterator[Text]:
    if line.cell_len <= width:
        yield line
        return
    words = line.plain.split()
    text = _INDENT + words[0]
    for word in words[1:]:
        if cell_len(f"{text} {word}") > width:
            yield Text(text)
            text = f"{_INDENT}  {word}"
        else:
            text = f"{text} {word}"
    yield Text(text)


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
