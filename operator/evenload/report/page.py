"""Facts into text: the HTML page (every value escaped) and the Markdown postmortem (every value escaped as well).

What is printed is data from a cluster that may be under attack: no template prints a value that has not gone through
one of the two escapes below, and the page has a policy that forbids scripts and everything from elsewhere.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from evenload import __version__
from evenload.report import wording
from evenload.report.facts import Facts, Sources
from evenload.report.figures import Marks, comparison_svg, incident_svg
from evenload.report.series import series

_MARKDOWN_SPECIALS: Final = re.compile(r"([\\`*_{}\[\]<>#|~&!])")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def html_page(facts: Facts, sources: Sources) -> str:
    """Raises InputError where matplotlib is not installed."""
    lines = series(sources.recording) if sources.recording else None
    marks = Marks(zero=_zero(facts), moments=facts.moments)
    template = _html().get_template("report.html.j2")
    return template.render(
        facts=facts,
        version=__version__,
        plot=Markup(incident_svg(lines, sources.client, facts.named_backends, marks)),
        comparison=Markup(_comparison(sources)),
        client=sources.client,
    )


def markdown_text(facts: Facts) -> str:
    """The postmortem."""
    return _markdown().get_template("postmortem.md.j2").render(facts=facts, version=__version__)


def escape_markdown(value: object) -> str:
    """`value` as text that no Markdown reader takes for markup, on one line."""
    if isinstance(value, Markup):
        return str(value)
    return _MARKDOWN_SPECIALS.sub(r"\\\1", one_line(value))


def one_line(value: object) -> str:
    """No control character (nor one that turns the direction of text) comes through; each run becomes a space."""
    return _CONTROLS.sub(" ", str(value)).strip()


def _zero(facts: Facts) -> float:
    """Where the plots' clock starts: the first sign."""
    return min((moment.time for moment in facts.moments if moment.number), default=facts.opened_at)


def _comparison(sources: Sources) -> str:
    if sources.client is None or sources.alone is None or not sources.client.bins or not sources.alone.bins:
        return ""
    return comparison_svg(sources.client, sources.alone)


@cache
def _html() -> Environment:
    return _with_filters(Environment(autoescape=True, finalize=_html_text, **_OPTIONS))


@cache
def _markdown() -> Environment:
    return _with_filters(Environment(autoescape=False, finalize=escape_markdown, **_OPTIONS))


_OPTIONS: Final[dict[str, Any]] = {
    "loader": PackageLoader("evenload.report"),
    "undefined": StrictUndefined,
    "trim_blocks": True,
    "lstrip_blocks": True,
    "keep_trailing_newline": True,
}


def _html_text(value: object) -> object:
    return value if isinstance(value, Markup) else one_line(value)


def _with_filters(environment: Environment) -> Environment:
    for name in ("duration", "percent", "count", "number", "clock_time", "day", "listed", "weights_changed"):
        environment.filters[name] = getattr(wording, name)
    return environment
