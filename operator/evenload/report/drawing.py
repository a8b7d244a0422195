"""How plots are drawn: colours, letters, axes, and a figure as SVG with the same bytes each time.

matplotlib draws and comes with the extra `evenload[report]`; it is imported when the first plot is asked for, so that
everything else works without it. Text stays text (selectable, readable aloud). Ink and grid are placeholders: a page's
CSS variables in a plot that stands inside a page, plain colours in one that is a file of its own.
"""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Final

from evenload.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK: Final = "#010203"
GRID: Final = "#040506"
PAPER: Final = "#070809"
"""Colours no palette has: each is replaced by a CSS variable of the page after drawing."""
_VARIABLES: Final = {INK: "var(--ink)", GRID: "var(--grid)", PAPER: "var(--paper)"}
_OWN: Final = {INK: "#1f2328", GRID: "#d8dee4", PAPER: "#ffffff"}

PALETTE: Final = ("#3b82c4", "#d9822b", "#3f9e6e", "#b565c0", "#8a8f2a", "#c2557a", "#2a9d9d", "#8c6d4f")
"""Mid-tones (each at least 3:1 on white and on near-black), told apart by the common colour blindnesses."""
ALARM: Final = "#d43d3d"
CALM: Final = "#3b82c4"
OTHERS: Final = "#8b93a0"
DASHES: Final = ("-", "--", "-.", ":")

STYLE: Final = {
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

MATPLOTLIB: Final = "matplotlib>=3.11"  # as the extra `report` asks for it
WIDTH_INCHES: Final = 10.0
PANEL_INCHES: Final = 1.75


def matplotlib_module() -> ModuleType:
    """Raises InputError where it is not installed."""
    try:
        import matplotlib
    except ImportError as error:
        raise InputError(
            f"plots need matplotlib: {sys.executable} -m pip install '{MATPLOTLIB}'; or ask for another format with -o"
        ) from error
    return matplotlib


def time_axis(axes: Axes, since: str) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 1.5, 3, 6, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: minutes_and_seconds(value)))
    axes.set_xlabel(f"minutes:seconds since {since}")
    axes.margins(x=0.01)


def minutes_and_seconds(seconds: float) -> str:
    """ "1:05", "-0:30"."""
    whole = round(abs(seconds))
    return f"{'-' if seconds < 0 and whole else ''}{whole // 60}:{whole % 60:02d}"


def plain(text: str) -> str:
    """A name that matplotlib must not read as its mathematics."""
    return text.replace("$", r"\$")


def percent_axis(axes: Axes) -> None:
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


def legend(axes: Axes) -> None:
    axes.legend(loc="upper left", bbox_to_anchor=(1.005, 1.05), borderaxespad=0.0, handlelength=2.2)


def svg(figure: Figure) -> str:
    """The figure as an <svg> element that scales with its page, in the page's colours."""
    text = _saved(figure)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return text[text.index("<svg") :].replace("<svg ", '<svg class="plot" role="img" ', 1)


def svg_file(figure: Figure) -> str:
    """The figure as a file of its own: on white, because nobody knows what it will be shown on."""
    figure.set_facecolor(PAPER)
    text = _saved(figure)
    for colour, own in _OWN.items():
        text = text.replace(colour, own)
    return text


def _saved(figure: Figure) -> str:
    stream = io.StringIO()
    facecolor = figure.get_facecolor()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None}, facecolor=facecolor)
    return stream.getvalue()
