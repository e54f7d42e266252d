"""Logs: one fact a line on standard error, JSON in services, readable at a terminal.

Keys name things by the words of the design (node, order, round, award, job). What must never be
logged (prompts, answers, secrets) is never passed to a logger; there is no filter to rely on.
"""

import logging
import sys

import structlog


def configure(level: str = "info", *, json: bool | None = None) -> None:
    """Set up logging for the process; `json` None means "unless a person watches"."""
    as_json = not sys.stderr.isatty() if json is None else json
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _hexadecimal,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _hexadecimal(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Print keys and ids, which are bytes, as the first half of their digits."""
    for key, value in event.items():
        if isinstance(value, bytes):
            event[key] = value.hex()[:32]
    return event
