"""The plots, as SVG to stand inside a page: no script, nothing from elsewhere, and the same bytes each time.

matplotlib draws them and comes with the extra `evenload[report]`; it is imported when the first plot is asked for, so
that everything else works without it. Text stays text (the page's font, selectable, readable aloud), and ink and grid
are CSS variables, so that one picture reads well on white, on black and on paper.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Final

from evenload.errors import InputError
from evenload.model.base import Value
from evenload.report.client import ClientRecord
from evenload.report.series import Lines, Series
from evenload.report.timeline import Kind, Moment

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK: Final = "#010203"
GRID: Final = "#040506"
PAPER: Final = "#070809"
"""Colours no palette has: each is replaced by a CSS variable of the page after drawing."""
_VARIABLES: Final = {INK: "var(--ink)", GRID: "var(--grid)", PAPER: "var(--paper)"}

PALETTE: Final = ("#3b82c4", "#d9822b", "#3f9e6e", "#b565c0", "#8a8f2a", "#c2557a", "#2a9d9d", "#8c6d4f")
"""Mid-tones (each at least 3:1 on white and on near-black), told apart by the common colour blindnesses."""
ALARM: Final = "#d43d3d"
CALM: Final = "#3b82c4"
_OTHERS: Final = "#8b93a0"
_MARKS: Final = {
    Kind.Cause: ALARM,
    Kind.Impact: "#d9822b",
    Kind.Detection: "#8757d6",
    Kind.Action: CALM,
    Kind.End: "#3f9e6e",
}
_DASHES: Final = ("-", "--", "-.", ":")

_STYLE: Final = {
    "svg.hashsalt": "evenload",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlepad": 6,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "legend.fontsize": 9,
}

_WIDTH_INCHES: Final = 10.0
_PANEL_INCHES: Final = 1.75


class Marks(Value, frozen=True, kw_only=True):
    """What all panels share: where zero is, and the numbered moments."""

    zero: float
    moments: tuple[Moment, ...]


Panel = Callable[["Axes", Marks], None]


def incident_svg(series: Series | None, client: ClientRecord | None, named: Sequence[str], marks: Marks) -> str:
    """The incident on one time axis: what callers saw, then share, errors, latency and weights of each backend.

    Raises InputError where matplotlib is not installed.
    """
    panels = [*_client_panels(client), *_server_panels(series, named)]
    return _draw(panels, marks) if panels else ""


def comparison_svg(client: ClientRecord, alone: ClientRecord) -> str:
    """Failed requests of the same incident with Evenload and left alone, both from their own onset on."""

    def panel(axes: Axes, marks: Marks) -> None:
        axes.set_title("Failed requests, the same incident twice (10 s each)")
        for record, colour, dash, label in (
            (alone, ALARM, "--", "left alone"),
            (client, CALM, "-", "with Evenload"),
        ):
            bins = record.per(10.0)
            start = _zero(record)
            times = [each.start - start for each in bins]
            ratios = [math.nan if each.failed_ratio is None else each.failed_ratio for each in bins]
            axes.plot(times, ratios, color=colour, linestyle=dash, label=label, drawstyle="steps-post")
            axes.fill_between(times, ratios, color=colour, alpha=0.12, linewidth=0, step="post")
        _percent_axis(axes)
        _legend(axes)

    return _draw([panel], Marks(zero=0.0, moments=()), since="the first failure", panel_inches=2.6)


def overview_svg(
    times: Sequence[float],
    errors: Sequence[float | None],
    ratios: Sequence[float | None],
    *,
    spans: Sequence[tuple[float, float]],
    writes: Sequence[float],
) -> str:
    """Days at a glance: failed requests and the worst share, with what was going on (`spans`) and when it was acted.

    Times in seconds since the epoch, drawn as UTC. Raises InputError where matplotlib is not installed.
    """
    matplotlib = _matplotlib()
    with matplotlib.rc_context(_STYLE | {"timezone": "UTC"}):
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
        from matplotlib.figure import Figure

        figure = Figure(figsize=(_WIDTH_INCHES, 0.7 + 2 * _PANEL_INCHES), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        for axes, title, values, colour in (
            (above, "Failed requests", errors, ALARM),
            (below, "Worst share, of what it should be", ratios, CALM),
        ):
            axes.set_title(title)
            days = [time / 86400 for time in times]
            axes.plot(days, [math.nan if each is None else each for each in values], color=colour, linewidth=1.2)
            for start, end in spans:
                axes.axvspan(start / 86400, end / 86400, color="#d9822b", alpha=0.22, linewidth=0)
            for write in writes:
                axes.axvline(write / 86400, color="#8757d6", linewidth=0.9)
        _percent_axis(above)
        below.set_ylim(bottom=0)
        locator = AutoDateLocator(maxticks=10)  # type: ignore[no-untyped-call]
        below.xaxis.set_major_locator(locator)
        below.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        below.margins(x=0.01)
        return _svg(figure)


def _client_panels(client: ClientRecord | None) -> list[Panel]:
    if client is None or not client.bins:
        return []

    def failures(axes: Axes, marks: Marks) -> None:
        axes.set_title("Failed requests, as the callers saw it")
        bins = client.per(max(1.0, client.seconds / 150))
        times = [each.start - marks.zero for each in bins]
        ratios = [math.nan if each.failed_ratio is None else each.failed_ratio for each in bins]
        axes.fill_between(times, ratios, color=ALARM, alpha=0.25, linewidth=0, step="post")
        axes.plot(times, ratios, color=ALARM, drawstyle="steps-post", linewidth=1.4)
        _percent_axis(axes)

    def latencies(axes: Axes, marks: Marks) -> None:
        axes.set_title("Latency of their requests, 95th percentile, seconds")
        times = [each.start - marks.zero for each in client.bins]
        seconds = [math.nan if each.latency_p95 is None else each.latency_p95 for each in client.bins]
        axes.plot(times, seconds, color=CALM, linewidth=1.2)
        axes.set_ylim(bottom=0)

    measured = any(each.latency_p95 is not None for each in client.bins)
    return [failures, latencies] if measured else [failures]


def _server_panels(series: Series | None, named: Sequence[str]) -> list[Panel]:
    if series is None or not series.times:
        return []
    looks = _looks(series.backends, named)

    def shares(axes: Axes, marks: Marks) -> None:
        axes.set_title("Share of requests a backend (dotted: the share it should have)")
        _lines(axes, marks, series, series.shares, looks)
        for name in named:
            if name in series.targets:
                axes.plot(_times(series, marks), series.targets[name], color=INK, linestyle=":", linewidth=1.2)
        _percent_axis(axes)
        _legend(axes)

    def errors(axes: Axes, marks: Marks) -> None:
        axes.set_title("Error ratio a backend, by the servers' own counters (thin line: all together)")
        _lines(axes, marks, series, series.errors, looks)
        axes.plot(_times(series, marks), series.total_errors, color=INK, linewidth=1.0)
        _percent_axis(axes)

    def latencies(axes: Axes, marks: Marks) -> None:
        axes.set_title("Latency a backend, seconds")
        _lines(axes, marks, series, series.latencies, looks)
        axes.set_ylim(bottom=0)

    def weights(axes: Axes, marks: Marks) -> None:
        axes.set_title("Weights commanded")
        _lines(axes, marks, series, series.weights, looks, drawstyle="steps-post")
        axes.set_ylim(bottom=0)

    wanted = (
        (shares, series.shares),
        (errors, series.errors),
        (latencies, series.latencies),
        (weights, series.weights),
    )
    return [panel for panel, lines in wanted if _any_number(lines)]


class _Look(Value, frozen=True, kw_only=True):
    colour: str
    dash: str
    width: float
    label: str


def _looks(backends: Sequence[str], named: Sequence[str]) -> dict[str, _Look]:
    """Every backend its own colour while there are few; of many only the named ones, before a grey crowd."""
    if len(backends) <= len(PALETTE):
        return {
            name: _Look(
                colour=ALARM if name in named else PALETTE[place],
                dash=_DASHES[place % len(_DASHES)],
                width=2.4 if name in named else 1.6,
                label=name,
            )
            for place, name in enumerate(backends)
        }
    crowd = [name for name in backends if name not in named]
    looks = {
        name: _Look(colour=_OTHERS, dash="-", width=0.8, label=f"{len(crowd)} others" if name == crowd[0] else "")
        for name in crowd
    }
    for place, name in enumerate(name for name in backends if name in named):
        looks[name] = _Look(
            colour=ALARM if place == 0 else PALETTE[place % len(PALETTE)], dash="-", width=2.4, label=name
        )
    return looks


def _lines(
    axes: Axes,
    marks: Marks,
    series: Series,
    lines: Lines,
    looks: Mapping[str, _Look],
    drawstyle: str = "default",
) -> None:
    times = _times(series, marks)
    for name, look in looks.items():
        axes.plot(
            times,
            lines[name],
            color=look.colour,
            linestyle=look.dash,
            linewidth=look.width,
            label=_plain(look.label) or "_nolegend_",
            drawstyle=drawstyle,
        )


def _times(series: Series, marks: Marks) -> list[float]:
    return [time - marks.zero for time in series.times]


def _any_number(lines: Lines) -> bool:
    return any(not math.isnan(value) for line in lines.values() for value in line)


def _zero(record: ClientRecord) -> float:
    if record.onset is not None:
        return record.onset
    return record.bins[0].start if record.bins else 0.0


def _plain(text: str) -> str:
    """A name that matplotlib must not read as its mathematics."""
    return text.replace("$", r"\$")


def _percent_axis(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter

    top = max((value for line in axes.lines for value in _numbers(line.get_ydata())), default=0.0)
    axes.set_ylim(0, min(1.02, max(0.05, top * 1.1)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f}%"))


def _numbers(values: object) -> list[float]:
    return (
        [float(value) for value in values if not math.isnan(value)] if isinstance(values, Sequence) else _array(values)
    )


def _array(values: object) -> list[float]:
    import numpy

    numbers = numpy.asarray(values, dtype=float)
    return [float(value) for value in numbers[~numpy.isnan(numbers)]]


def _legend(axes: Axes) -> None:
    axes.legend(loc="upper left", bbox_to_anchor=(1.005, 1.05), borderaxespad=0.0, handlelength=2.2)


def _draw(
    panels: Sequence[Panel], marks: Marks, *, since: str = "the first sign", panel_inches: float = _PANEL_INCHES
) -> str:
    """Raises InputError where matplotlib is not installed."""
    matplotlib = _matplotlib()
    with matplotlib.rc_context(_STYLE):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(_WIDTH_INCHES, 0.7 + panel_inches * len(panels)), layout="constrained")
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)
        axes = [row[0] for row in grid]
        for place, panel in zip(axes, panels, strict=True):
            panel(place, marks)
        _time_axis(axes[-1], since)
        _mark(axes, marks)
        return _svg(figure)


def _matplotlib() -> ModuleType:
    try:
        import matplotlib
    except ImportError as error:
        raise InputError(
            "the plots of an HTML page need matplotlib: pip install 'evenload[report]', "
            "or ask for another format with -o"
        ) from error
    return matplotlib


def _time_axis(axes: Axes, since: str) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 1.5, 3, 6, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: minutes_and_seconds(value)))
    axes.set_xlabel(f"minutes:seconds since {since}")
    axes.margins(x=0.01)


def minutes_and_seconds(seconds: float) -> str:
    """ "1:05", "-0:30"."""
    whole = round(abs(seconds))
    return f"{'-' if seconds < 0 and whole else ''}{whole // 60}:{whole % 60:02d}"


def _mark(axes: Sequence[Axes], marks: Marks) -> None:
    """A line through every panel and a number on top for each moment; numbers that would overlap share one."""
    low, high = axes[-1].get_xlim()
    shown = [moment for moment in marks.moments if moment.number and low <= moment.time - marks.zero <= high]
    for group in _close_together(shown, (high - low) * 0.022):
        place = group[0].time - marks.zero
        for moment in group:
            for panel in axes:
                panel.axvline(
                    moment.time - marks.zero, color=_MARKS[moment.kind], linewidth=0.9, alpha=0.75, zorder=0.5
                )
        axes[0].annotate(
            _numbers_text(group),
            xy=(place, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 19),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8.5,
            fontweight="bold",
            color=PAPER,
            annotation_clip=False,
            bbox={"boxstyle": "round,pad=0.28", "facecolor": _MARKS[group[0].kind], "edgecolor": "none"},
        )


def _close_together(moments: Sequence[Moment], seconds: float) -> list[list[Moment]]:
    groups: list[list[Moment]] = []
    for moment in sorted(moments, key=lambda each: each.number):
        if groups and moment.time - groups[-1][0].time < seconds:
            groups[-1].append(moment)
        else:
            groups.append([moment])
    return groups


def _numbers_text(group: Sequence[Moment]) -> str:
    first, last = group[0].number, group[-1].number
    return str(first) if first == last else f"{first}–{last}"


def _svg(figure: Figure) -> str:
    """The figure as an <svg> element that scales with the page."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return text.replace("<svg ", '<svg class="plot" role="img" ', 1)
