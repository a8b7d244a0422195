"""One simulated run as a picture: what callers suffered with Evenload and without, shares, weights, what was said.

The picture is a file of its own, on white. It is drawn from plain numbers, so that nothing here knows the simulator.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from evenload.model.base import Value
from evenload.report.drawing import (
    ALARM,
    CALM,
    INK,
    OTHERS,
    PANEL_INCHES,
    STYLE,
    WIDTH_INCHES,
    matplotlib_module,
    percent_axis,
    plain,
    svg_file,
    time_axis,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Line = tuple[float, ...]

_GOOD: Final = "#3f9e6e"
_UNSURE: Final = "#8b93a0"
_CAUTION: Final = "#d9822b"
_ACTION: Final = "#8757d6"
_LABEL_COLOURS: Final = {
    "Healthy": _GOOD,
    "NoData": _UNSURE,
    "TrafficStopped": _UNSURE,
    "RolloutInProgress": _CAUTION,
    "WarmUp": _CAUTION,
    "Surge": _CAUTION,
}
"""The others are alarms."""
_LANE_INCHES: Final = 0.26
_BESIDE_HEIGHT: Final = 0.3
_CROWDED_RATIO: Final = 0.13  # of the width, that two notes side by side need


class Note(Value, frozen=True, kw_only=True):
    """Something that was done to the balancer or its pods: a vertical line with a word on top ("" for none)."""

    time: float
    text: str
    fault: bool = False


class Playback(Value, frozen=True, kw_only=True):
    """One value a tick in every line; seconds since the fault; ratios and shares from 0 to 1."""

    title: str
    times: Line
    failed: Line
    failed_alone: Line  # empty where nothing happens that could be left alone
    shares: Mapping[str, Line]
    fair: Line  # of the watched backend
    asked: Mapping[str, Line]  # the share that each backend's weight asks for
    watched: str
    labels: tuple[tuple[str, ...], ...]  # the primary one first
    notes: tuple[Note, ...]
    verdict: str = ""  # what it came to, in a few words
    since: str = "the fault"


def playback_svg(run: Playback) -> str:
    """The picture, the same bytes each time. Raises InputError where matplotlib is not installed."""
    matplotlib = matplotlib_module()
    lanes = list(dict.fromkeys(label for labels in run.labels for label in labels))
    heights = [PANEL_INCHES, PANEL_INCHES, PANEL_INCHES * 0.8, 0.3 + _LANE_INCHES * len(lanes)]
    with matplotlib.rc_context(STYLE):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(WIDTH_INCHES, 1.5 + sum(heights)), layout="constrained")
        figure.suptitle(plain(run.title), x=0.01, ha="left", fontsize=12.5, fontweight="bold")
        panels = figure.subplots(4, 1, sharex=True, height_ratios=heights)
        _failures(panels[0], run)
        _backends(panels[1], run, run.shares, "Share of requests")
        _backends(panels[2], run, run.asked, "Weight, as the share it asks for", steps=True)
        _diagnoses(panels[3], run, lanes)
        time_axis(panels[3], run.since)
        panels[3].set_xlim(run.times[0], run.times[-1])
        _annotate(panels, run.notes)
        return svg_file(figure)


def _failures(axes: Axes, run: Playback) -> None:
    axes.set_title(f"Failed requests: {run.verdict}" if run.verdict else "Failed requests")
    arms = [(run.failed_alone, ALARM, "--", "left alone"), (run.failed, CALM, "-", "with Evenload")]
    for values, colour, dash, _ in arms:
        if values:
            axes.plot(run.times, values, color=colour, linestyle=dash, linewidth=2.2)
            axes.fill_between(run.times, values, color=colour, alpha=0.12, linewidth=0)
    percent_axis(axes)
    _named_lines(axes, run, [(values, colour, label) for values, colour, _, label in arms if values])


def _backends(axes: Axes, run: Playback, lines: Mapping[str, Line], title: str, *, steps: bool = False) -> None:
    axes.set_title(title)
    style = "steps-post" if steps else "default"
    for name, values in lines.items():
        if name != run.watched:
            axes.plot(run.times, values, color=OTHERS, linewidth=1.0, alpha=0.8, drawstyle=style)
    axes.plot(run.times, run.fair, color=INK, linestyle=":", linewidth=1.2)
    axes.plot(run.times, lines[run.watched], color=ALARM, linewidth=2.4, drawstyle=style)
    percent_axis(axes)
    others = [name for name in lines if name != run.watched]
    told = [(lines[run.watched], ALARM, run.watched), (run.fair, INK, "what it deserves")]
    told += [(lines[others[0]], OTHERS, f"the {len(others)} others" if len(others) > 1 else others[0])]
    _named_lines(axes, run, told)


def _named_lines(axes: Axes, run: Playback, lines: Sequence[tuple[Line, str, str]]) -> None:
    """Each line's name in its colour, at the right, as high as the line ends; apart where they would overlap."""
    low, high = axes.get_ylim()
    height, least = high - low, -math.inf
    for values, colour, name in sorted(lines, key=lambda line: _last(line[0])):
        place = max((_last(values) - low) / height, least + 0.13, 0.0)
        least = place
        axes.annotate(
            plain(name),
            xy=(1.01, place),
            xycoords="axes fraction",
            va="center",
            fontsize=9,
            color=colour,
            annotation_clip=False,
        )


def _last(values: Line) -> float:
    return next((value for value in reversed(values) if not math.isnan(value)), 0.0)


def _diagnoses(axes: Axes, run: Playback, lanes: Sequence[str]) -> None:
    axes.set_title("Diagnosis (thin: true beside the main one)")
    width = run.times[1] - run.times[0] if len(run.times) > 1 else 1.0
    for lane, label in enumerate(lanes):
        colour = _LABEL_COLOURS.get(label, ALARM)
        for place, height in ((0, 0.72), (1, _BESIDE_HEIGHT)):
            spans = [
                (time, width)
                for time, labels in zip(run.times, run.labels, strict=True)
                if label in (labels[:1] if place == 0 else labels[1:])
            ]
            axes.broken_barh(spans, (lane - height / 2, height), color=colour, linewidth=0)
    axes.set_yticks(range(len(lanes)), lanes)
    axes.set_ylim(len(lanes) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_axisbelow(True)


def _annotate(panels: Sequence[Axes], notes: Sequence[Note]) -> None:
    """Lines through all panels; words on top, one above the other where they would touch."""
    low, high = panels[-1].get_xlim()
    ends: list[float] = []
    for note in sorted((note for note in notes if low <= note.time <= high), key=lambda note: note.time):
        colour = ALARM if note.fault else _ACTION
        for axes in panels:
            axes.axvline(note.time, color=colour, linewidth=2.0 if note.fault else 0.9, zorder=0.6)
        if not note.text:
            continue
        row = next((row for row, end in enumerate(ends) if end <= note.time), len(ends))
        ends[row : row + 1] = [note.time + _CROWDED_RATIO * (high - low)]
        panels[0].annotate(
            plain(note.text),
            xy=(note.time, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(2, 22 + 13 * row),
            textcoords="offset points",
            fontsize=9,
            fontweight="bold",
            color=colour,
            annotation_clip=False,
        )
