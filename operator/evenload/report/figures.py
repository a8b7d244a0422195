"""The plots of the report and of the backtest, as SVG to stand inside a page: no script, nothing from elsewhere.

Ink and grid are the page's CSS variables, so that one picture reads well on white, on black and on paper.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from evenload.model.base import Value
from evenload.report.client import ClientRecord
from evenload.report.drawing import (
    ALARM,
    CALM,
    DASHES,
    INK,
    OTHERS,
    PALETTE,
    PANEL_INCHES,
    PAPER,
    STYLE,
    WIDTH_INCHES,
    legend,
    matplotlib_module,
    percent_axis,
    plain,
    svg,
    time_axis,
)
from evenload.report.series import Lines, Series
from evenload.report.timeline import Kind, Moment

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKS: Final = {
    Kind.Cause: ALARM,
    Kind.Impact: "#d9822b",
    Kind.Detection: "#8757d6",
    Kind.Action: CALM,
    Kind.End: "#3f9e6e",
}


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
        percent_axis(axes)
        legend(axes)

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
    matplotlib = matplotlib_module()
    with matplotlib.rc_context(STYLE | {"timezone": "UTC"}):
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
        from matplotlib.figure import Figure

        figure = Figure(figsize=(WIDTH_INCHES, 0.7 + 2 * PANEL_INCHES), layout="constrained")
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
        percent_axis(above)
        below.set_ylim(bottom=0)
        locator = AutoDateLocator(maxticks=10)  # type: ignore[no-untyped-call]
        below.xaxis.set_major_locator(locator)
        below.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        below.margins(x=0.01)
        return svg(figure)


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
        percent_axis(axes)

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
        percent_axis(axes)
        legend(axes)

    def errors(axes: Axes, marks: Marks) -> None:
        axes.set_title("Error ratio a backend, by the servers' own counters (thin line: all together)")
        _lines(axes, marks, series, series.errors, looks)
        axes.plot(_times(series, marks), series.total_errors, color=INK, linewidth=1.0)
        percent_axis(axes)

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
                dash=DASHES[place % len(DASHES)],
                width=2.4 if name in named else 1.6,
                label=name,
            )
            for place, name in enumerate(backends)
        }
    crowd = [name for name in backends if name not in named]
    looks = {
        name: _Look(colour=OTHERS, dash="-", width=0.8, label=f"{len(crowd)} others" if name == crowd[0] else "")
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
            label=plain(look.label) or "_nolegend_",
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


def _draw(
    panels: Sequence[Panel], marks: Marks, *, since: str = "the first sign", panel_inches: float = PANEL_INCHES
) -> str:
    """Raises InputError where matplotlib is not installed."""
    matplotlib = matplotlib_module()
    with matplotlib.rc_context(STYLE):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(WIDTH_INCHES, 0.7 + panel_inches * len(panels)), layout="constrained")
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)
        axes = [row[0] for row in grid]
        for place, panel in zip(axes, panels, strict=True):
            panel(place, marks)
        time_axis(axes[-1], since)
        _mark(axes, marks)
        return svg(figure)


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
