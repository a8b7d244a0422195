"""docs/reference/cli.md, written from the commands themselves: `python -m evenload.cli.reference [--check]`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer.main

from evenload.cli.main import app
from evenload.cli.options import CLUSTER

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"

_HEAD = """\
<!-- Written by `python -m evenload.cli.reference` (make generate): do not edit. -->
# Command line

`evenload`, or `kubectl evenload` where `kubectl-evenload` is on the PATH. {about}

Results go to stdout, everything else to stderr. Colour is never the only sign, and `NO_COLOR` is heeded.

| Exit code | Meaning |
|---:|---|
| 0 | Fine. |
| 1 | Findings: something is wrong or unhealthy. |
| 2 | Wrong usage: a flag, a name or a file. |
| 3 | Could not tell: the cluster or the signals did not answer. |

## Cluster flags

As kubectl's; every command that talks to a cluster takes them.
"""


def page() -> str:
    """The whole page."""
    group: Any = typer.main.get_command(app)
    sections = ["\n".join(_section(name, command)) for name, command in group.commands.items()]
    shared = [each for each in group.commands["get"].params if _is_shared(each)]
    return "\n".join([_HEAD.format(about=group.help), *_table(shared), "", *sections])


def _section(name: str, command: Any) -> Iterator[str]:
    own = [each for each in command.params if not _is_shared(each)]
    arguments = [_argument(each) for each in own if _is_argument(each)]
    usage = " ".join(["evenload", name, *arguments, *(["[OPTIONS]"] if command.params else [])])
    yield f"## {name}\n\n{_one_line(command.help)}\n\n    {usage}\n"
    if own:
        yield from (*_table(own), "")
    if len(own) < len(command.params):
        yield "And the [cluster flags](#cluster-flags).\n"


def _table(parameters: Iterable[Any]) -> Iterator[str]:
    yield "| | |\n|---|---|"
    for each in parameters:
        what = _argument(each) if _is_argument(each) else _flags(each)
        yield f"| `{what}` | {_cell(each.help)}{'' if _is_argument(each) else _default(each)} |"


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _is_shared(parameter: Any) -> bool:
    return getattr(parameter, "rich_help_panel", None) == CLUSTER


def _argument(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    return name if parameter.required else f"[{name}{'...' if parameter.nargs == -1 else ''}]"


def _flags(parameter: Any) -> str:
    short_first = ", ".join(sorted(parameter.opts, key=len))
    return short_first if parameter.is_flag else f"{short_first} {parameter.metavar or _kind(parameter)}"


def _kind(parameter: Any) -> str:
    kind = parameter.type_descriptor.annotation
    # A bar would end the table's cell.
    return ",".join(kind) if isinstance(kind, type) and issubclass(kind, StrEnum) else "VALUE"


def _default(parameter: Any) -> str:
    default = getattr(parameter.default, "value", parameter.default)
    variable = f" Environment: `{parameter.envvar}`." if parameter.envvar else ""
    return variable + (f" Default: `{default}`." if default not in (None, False, "") else "")


def _cell(text: str | None) -> str:
    return _one_line(text).replace("|", "\\|")


def _one_line(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "").strip()


def main() -> None:
    """Write the page; with --check only say whether it is in step (exit code 1 where not)."""
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if PAGE.read_text(encoding="utf-8") == page() else f"{PAGE} is out of step: run `make generate`")
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
