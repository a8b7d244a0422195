"""A backtest as a self-contained page: what the report's pages are made of, one section a Balancer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from evenload import __version__
from evenload.history import wording
from evenload.history.backtest import Backtest
from evenload.report import wording as numbers
from evenload.report.figures import overview_svg
from evenload.report.page import one_line


def html_page(results: Sequence[Backtest]) -> str:
    """Raises InputError where matplotlib is not installed."""
    plots = [Markup(_plot(result)) for result in results]
    return (
        _environment()
        .get_template("backtest.html.j2")
        .render(
            sections=list(zip(results, plots, strict=True)), version=__version__, judgement_text=wording.judgement_text
        )
    )


def _plot(result: Backtest) -> str:
    if not result.ticks:
        return ""
    spans = [(episode.opened_at, episode.closed_at or result.until) for episode in result.episodes]
    writes = [write.time for write in result.writes]
    curve = result.curve
    return overview_svg(curve.times, curve.errors, curve.ratios, spans=spans, writes=writes)


@cache
def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        finalize=lambda value: value if isinstance(value, Markup) else one_line(value),
        loader=ChoiceLoader([PackageLoader("evenload.history"), PackageLoader("evenload.report")]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for name in ("headline", "opened", "lasted", "where", "would_have", "minute"):
        environment.filters[name] = getattr(wording, name)
    for name in ("count", "percent"):
        environment.filters[name] = getattr(numbers, name)
    return environment
