"""Log lines: an event name and fields, as JSON or for a terminal. kopf's and aiohttp's own lines take the same form."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import Processor

from evenload.errors import InputError

# Libraries that tell of every request or watch at INFO.
_CHATTY = ("kopf", "aiohttp", "asyncio", "urllib3")


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
    last: Processor = structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last], foreign_pre_chain=shared
        )
    )
    logging.basicConfig(handlers=[handler], level=number, force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
