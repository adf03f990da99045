"""The log: one line an event, on stderr, with the request that it belongs to and without secrets.

JSON in production, for whatever collects it; columns, coloured on a terminal, elsewhere. What
uvicorn, SQLAlchemy and other libraries say through `logging` takes the same way.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from core.masking import MASK, mask_urls, one_line
from core.request import log_request_context
from core.settings_errors import is_secret

if TYPE_CHECKING:
    from core.settings import Settings

_NEEDLESS = {
    "uvicorn.access": logging.CRITICAL,  # core writes its own line a request
    "alembic": logging.WARNING,  # says which dialect it has, once a module
    "aiosqlite": logging.WARNING,  # each call, at the level debug
    "asyncio": logging.WARNING,
    "aiokafka": logging.CRITICAL,  # each of its tries while a broker is away; core tells it once
}


class _Handler(logging.StreamHandler[Any]):
    """Ours among the root logger's handlers, so that a second call replaces it and no other."""


def configure_logging(settings: Settings, *, quiet: bool = False) -> None:
    """Send everything that is logged from now on where the settings say; may be called again.

    `quiet` keeps it to warnings and worse, for commands. The settings' own warnings are logged.
    """
    level = logging.getLevelNamesMapping()[_level(settings)]
    level = max(level, logging.WARNING) if quiet else level
    in_production = settings.app.environment == "production"
    _configure_structlog(level, cached=settings.app.environment != "test")
    _configure_stdlib(level, _formatter(as_json=in_production), echo=settings.database.echo)
    if in_production:
        logging.captureWarnings(True)  # a bare line among JSON would break its reader
    log = structlog.get_logger("tessera.settings")
    for warning in settings.warnings:
        log.warning(warning)


def _level(settings: Settings) -> str:
    return "DEBUG" if settings.app.debug else settings.server.log_level.upper()


def _configure_structlog(level: int, *, cached: bool) -> None:
    structlog.configure(
        processors=[*_common(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=cached,
    )


def _common() -> list[Processor]:
    """What every line gets, whoever wrote it."""
    return [
        structlog.contextvars.merge_contextvars,
        log_request_context,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _configure_stdlib(level: int, formatter: logging.Formatter, *, echo: bool) -> None:
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, _Handler)]:
        root.removeHandler(handler)
    handler = _Handler(sys.stderr)
    handler.setFormatter(formatter)
    root.addHandler(handler)
    root.setLevel(level)
    for name, least in _NEEDLESS.items():
        logging.getLogger(name).setLevel(max(level, least))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    # The engine's echo=True would add a handler of its own where nobody has set a level.
    logging.getLogger("sqlalchemy.engine").setLevel(logging.INFO if echo else logging.WARNING)


def _formatter(*, as_json: bool) -> logging.Formatter:
    renderer: list[Processor]
    if as_json:
        renderer = [
            structlog.processors.format_exc_info,
            _without_secrets,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    else:
        renderer = [
            structlog.processors.format_exc_info,
            _without_secrets,
            _without_controls,
            structlog.dev.ConsoleRenderer(colors=_coloured(), pad_event_to=0),
        ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_common(), structlog.stdlib.ExtraAdder(), _without_duplicates],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
    )


def _coloured() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")


def _without_duplicates(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """uvicorn says each line twice, the second time in colour; other handlers leave their text."""
    for key in ("color_message", "message", "asctime"):
        event.pop(key, None)
    return event


def _without_secrets(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """No password in a URL, in an exception's text neither, and no value under a secret's name."""
    for key, value in event.items():
        event[key] = _masked(key, value)
    return event


def _without_controls(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """No NUL and no escape sequence of a caller's on a terminal; JSON escapes them by itself."""
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            lines = value.split("\n") if key in ("event", "exception", "stack") else [value]
            event[key] = "\n".join(one_line(line.expandtabs()) for line in lines)
    return event


def _masked(key: str, value: Any) -> Any:
    if isinstance(value, str):
        return MASK if is_secret(key) else mask_urls(value)
    if isinstance(value, Mapping):
        return {inner: _masked(str(inner), v) for inner, v in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(key, v) for v in value]
    return value
