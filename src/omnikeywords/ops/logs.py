"""Logs: one event a line on stderr, as JSON or as text for people.

An event is a fixed sentence with fields beside it. What the server library logs goes the same way.
"""

import logging
import logging.config
import sys
from typing import Any

import structlog

__all__ = ["configure_logs", "get_logger", "server_log_config"]

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_HANDLER = "omnikeywords"


def _before_rendering() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _formatter(format: str) -> logging.Formatter:
    if format == "json":
        rendering: list[Any] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        colors = sys.stderr is not None and sys.stderr.isatty()
        rendering = [
            structlog.dev.ConsoleRenderer(
                colors=colors, pad_event_to=36, exception_formatter=structlog.dev.plain_traceback
            )
        ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_before_rendering(),
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
    )


def server_log_config(level: str, format: str) -> dict[str, Any]:
    """The logging configuration as `logging.config.dictConfig` takes it: all of it to stderr."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {_HANDLER: {"()": _formatter, "format": format}},
        "handlers": {
            _HANDLER: {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stderr",
                "formatter": _HANDLER,
            }
        },
        # What libraries do is ours to tell; what goes wrong in them is not.
        "root": {"handlers": [_HANDLER], "level": max(logging.WARNING, _LEVELS[level])},
        "loggers": {"omnikeywords": {"level": _LEVELS[level]}, "_granian": {"propagate": True}},
    }


def configure_logs(level: str, format: str) -> None:
    """Send events of `level` (debug, info, warning, error) and above to stderr as `format` (json or text)."""
    logging.config.dictConfig(server_log_config(level, format))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_before_rendering(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a part, named as its module is."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
