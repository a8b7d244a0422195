"""The live view: one picture of one moment. Pure: a State goes in, a rich renderable comes out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

BAR_WIDTH: Final = 14
HISTORY_SECONDS: Final = 32
CHART_ROWS: Final = 3
SPARKS: Final = " ▁▂▃▄▅▆▇█"
EIGHTHS: Final = " ▏▎▍▌▋▊▉"
HAPPENINGS: Final = 12
HEAD_HEIGHT, EVENLOAD_HEIGHT, MIDDLE_HEIGHT = 3, 6, 8
HEIGHT: Final = HEAD_HEIGHT + MIDDLE_HEIGHT + EVENLOAD_HEIGHT + 2 + HAPPENINGS
"""Of the whole view of five servers; a lower terminal shows fewer happenings, a higher one more."""


class Kind(StrEnum):
    """Whose doing a happening is; the view colours by it."""

    Cause = "Cause"
    Detection = "Detection"
    Action = "Action"
    Good = "Good"
    Note = "Note"


STYLES: Final = {
    Kind.Cause: "bold red",
    Kind.Detection: "bold magenta",
    Kind.Action: "bold cyan",
    Kind.Good: "bold green",
    Kind.Note: "dim",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One line of what happened; `seconds` after the bad update (negative: before), None where there is none yet."""

    seconds: float | None
    text: str
    kind: Kind = Kind.Note


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One row; shares from 0 to 1, latency in seconds, None where nobody asked it lately."""

    name: str
    count: int | None = None
    """What `State.counted` names."""
    share: float | None = None
    failed_share: float | None = None
    latency_p95: float | None = None
    pod: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One moment. `seconds` after the bad update; None before it. Counters are of requests that failed since then."""

    title: str
    scene: str
    headline: str = "the postmortem, replayed"
    counted: str = "weight"
    seconds: float | None = None
    requests_per_second: float | None = None
    failed_share: float | None = None
    failed_history: tuple[float | None, ...] = ()
    servers: tuple[Server, ...] = ()
    diagnosis: str = ""
    sentence: str = ""
    doing: str = ""
    failed: int = 0
    failed_alone: int | None = None
    """Of the arm that was left alone, at the same moment; None while that is this arm, or if it was not run."""
    failed_alone_in_all: int | None = None
    happenings: tuple[Happening, ...] = field(default=())


def render(state: State) -> RenderableType:
    """The whole view; it fills the terminal."""
    layout = Layout()
    middle = Layout(name="middle", size=_middle_height(state))
    middle.split_row(Layout(_servers(state)), Layout(_callers(state), size=HISTORY_SECONDS + 4))
    layout.split_column(
        Layout(_head(state), size=HEAD_HEIGHT),
        middle,
        Layout(_evenload(state), size=EVENLOAD_HEIGHT),
        Layout(_Story(state.happenings), minimum_size=3),
    )
    return layout


def height(state: State) -> int:
    """Lines of the whole view."""
    return HEIGHT - MIDDLE_HEIGHT + _middle_height(state)


def _middle_height(state: State) -> int:
    """A frame, the names of the columns, a line a server."""
    return max(MIDDLE_HEIGHT, len(state.servers) + 3)


def _head(state: State) -> Panel:
    row = Table.grid(expand=True, padding=(0, 1))
    row.add_column(ratio=1, no_wrap=True)
    row.add_column(justify="right", no_wrap=True)
    row.add_row(Text(state.title, style="bold"), Text(f"{state.scene}  {_clock(state.seconds)}", style="bold yellow"))
    return Panel(row, title=f"Evenload: {state.headline}", title_align="left", border_style="blue")


def _servers(state: State) -> Panel:
    table = Table(box=None, expand=True, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("server", no_wrap=True)
    table.add_column(state.counted, justify="right")
    table.add_column("share of requests", no_wrap=True)
    table.add_column("failing", justify="right", no_wrap=True)
    table.add_column("p95", justify="right", no_wrap=True)
    table.add_column("pod", no_wrap=True, ratio=1)
    for server in state.servers:
        table.add_row(
            Text(server.name, style=_health_style(server)),
            "" if server.count is None else str(server.count),
            _bar(server),
            Text(percent(server.failed_share), style=_failed_style(server.failed_share)),
            seconds_text(server.latency_p95),
            Text(server.pod, style="dim" if server.pod == "ready" else "yellow"),
        )
    return Panel(table, title="servers", title_align="left")


def _callers(state: State) -> Panel:
    now = Text.assemble(
        (percent(state.failed_share), _failed_style(state.failed_share)),
        (f" of {_rate(state.requests_per_second)}", "dim"),
    )
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_row(Text("failing now", style="dim"), now)
    for label, text, style in _counters(state):
        grid.add_row(Text(label, style="dim"), Text(text, style=style))
    return Panel(Group(grid, chart(state.failed_history)), title="customers", title_align="left")


def _counters(state: State) -> list[tuple[str, str, str]]:
    if state.failed_alone is None:
        return [("failed so far", f"{state.failed:,}", "bold")]
    in_all = "" if state.failed_alone_in_all is None else f" of {state.failed_alone_in_all:,}"
    return [
        ("failed so far", f"{state.failed:,}", "bold green"),
        ("when left alone", f"{state.failed_alone:,}{in_all}", "bold red"),
    ]


def _evenload(state: State) -> Panel:
    label = Text(state.diagnosis or "waiting for the first look", style=_diagnosis_style(state.diagnosis))
    sentence = Text(state.sentence, overflow="ellipsis")
    doing = Text(f"→ {state.doing}" if state.doing else "", style="bold cyan", overflow="ellipsis", no_wrap=True)
    return Panel(Group(label, sentence, doing), title="Evenload says", title_align="left", border_style="magenta")


@dataclass(frozen=True, slots=True)
class _Story:
    """The newest happenings: as many as there is room for."""

    happenings: tuple[Happening, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = max(1, (options.height or HAPPENINGS + 2) - 2)
        grid = Table.grid(padding=(0, 1))
        grid.add_column(justify="right", no_wrap=True, style="dim", width=9)
        grid.add_column(no_wrap=True, overflow="ellipsis")
        for happening in self.happenings[-room:]:
            grid.add_row(_clock(happening.seconds), Text(happening.text, style=STYLES[happening.kind]))
        yield Panel(grid, title="what happened", title_align="left", height=options.height)


def chart(history: Sequence[float | None], rows: int = CHART_ROWS) -> Text:
    """A column a second: how many requests failed, from none to all; a dot below where nobody asked."""
    lines = [Text("".join(_cell(share, row) for share in history)) for row in reversed(range(rows))]
    return Text("\n", style="red").join(lines)


def _cell(share: float | None, row: int, rows: int = CHART_ROWS) -> str:
    """The part of a column that is in this row, counted from below."""
    if share is None:
        return "·" if row == 0 else " "
    eighths = math.ceil(share * rows * 8) - row * 8
    return SPARKS[min(max(eighths, 0), 8)]


def bar(share: float, width: int = BAR_WIDTH) -> str:
    """A bar of `width` characters, to an eighth of one."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (EIGHTHS[rest] if rest else "")).ljust(width)


def percent(share: float | None) -> str:
    """ "4.2%", "35%"; a dash where it is unknown."""
    if share is None:
        return "–"
    return f"{100 * share:.1f}%" if 0 < share < 0.0995 else f"{100 * share:.0f}%"


def seconds_text(seconds: float | None) -> str:
    """ "35 ms", "2.1 s"; a dash where it is unknown."""
    if seconds is None:
        return "–"
    return f"{1000 * seconds:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"


def _bar(server: Server) -> Text:
    share = server.share or 0.0
    text = Text(bar(share), style="red" if share > 0.5 else "green")
    return text.append(f" {percent(server.share):>4}", style="bold")


def _rate(requests_per_second: float | None) -> str:
    return "–" if requests_per_second is None else f"{requests_per_second:.0f}/s"


def _clock(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:+.1f} s"


def _failed_style(share: float | None) -> str:
    if share is None or share < 0.01:
        return "green"
    return "yellow" if share < 0.1 else "bold red"


def _health_style(server: Server) -> str:
    return "bold" if (server.failed_share or 0.0) < 0.01 else "bold red"


def _diagnosis_style(diagnosis: str) -> str:
    return "bold green" if diagnosis.startswith("Healthy") else "bold magenta"
