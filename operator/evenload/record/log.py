"""Log lines: an event name and fields, as JSON or for a terminal. kopf's and aiohttp's own lines take the same form.

Fields hold text from objects and answers. JSON escapes it by itself; the form for a terminal shows control characters
as escapes, so that none of it commands the terminal or passes for a line of ours.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from evenload.errors import InputError
from evenload.model.wording import printable

# Libraries that tell of every request or watch at INFO. urllib3 warns of each connection that its pool does not keep,
# and with what a server of a tenant's answered instead of HTTP.
_CHATTY = {
    "kopf": logging.WARNING,
    "aiohttp": logging.WARNING,
    "asyncio": logging.WARNING,
    "urllib3": logging.ERROR,
}


def configure(form: str, level: str) -> None:
    """`form` is "json" or "console". Raises InputError naming the variable."""
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise InputError(f'EVENLOAD_LOG_LEVEL: "{level}" is no level; use debug, info, warning or error')
    if form not in ("json", "console"):
        raise InputError(f'EVENLOAD_LOG_FORMAT: "{form}" is not known; use json or console')
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    last: list[Processor] = (
        [structlog.processors.JSONRenderer()] if form == "json" else [harmless, structlog.dev.ConsoleRenderer()]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = _Concealing(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last], foreign_pre_chain=shared
        )
    )
    logging.basicConfig(handlers=[handler], level=number, force=True)
    for name, least in _CHATTY.items():
        logging.getLogger(name).setLevel(max(number, least))


def conceal(hide: Callable[[str], str]) -> None:
    """Have all that is logged from now on pass through `hide`: libraries repeat what servers answer, too."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Concealing):
            handler.hide = hide


class _Concealing(logging.StreamHandler[TextIO]):
    hide: Callable[[str], str] = staticmethod(str)

    def format(self, record: logging.LogRecord) -> str:
        return self.hide(super().format(record))


_TRACEBACKS = ("exception", "stack")  # of many lines: none of them begins where a log line does


def harmless(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Text that a terminal shows and does not obey. Keys are ours; of a value that is no text its `repr` is shown."""
    return {key: _traceback(value) if key in _TRACEBACKS else _harmless(value) for key, value in event.items()}


def _harmless(value: object) -> object:
    return printable(value) if isinstance(value, str) else value


def _traceback(value: object) -> str:
    return "\n".join(f"  {printable(line)}" for line in str(value).split("\n"))
