"""What goes wrong in a database, in the words of `core.errors`."""

from __future__ import annotations

from sqlalchemy.engine import ExceptionContext

from core.errors import Unavailable, Unprocessable

UNREACHABLE = ("08", "53", "57P", "55P03", "57014", "25006", "40001", "40P01")
"""SQLSTATE prefixes after which the same request may succeed a moment later."""
BUSY = ("database is locked", "database is busy", "database table is locked")


def cannot_connect(error: BaseException) -> Unavailable:
    """No connection could be made."""
    return Unavailable("The database cannot be reached.")


def translate(context: ExceptionContext) -> BaseException | None:
    """SQLAlchemy's `handle_error` hook: what to raise in place of the driver's error."""
    error = context.original_exception
    state = getattr(error, "sqlstate", None) or ""
    if context.is_disconnect or state.startswith(UNREACHABLE) or isinstance(error, OSError):
        context.is_disconnect = context.is_disconnect or state.startswith(("08", "57P"))
        return Unavailable("The database cannot be reached.")
    if any(words in str(error) for words in BUSY):
        return Unavailable("The database is busy.")
    cause = getattr(error, "__cause__", None)
    if state.startswith("22") or isinstance(error, (OverflowError, UnicodeError)):
        return Unprocessable("A value cannot be stored.")
    if isinstance(cause, ValueError):  # asyncpg.DataError: refused before it was sent
        return Unprocessable("A value cannot be stored.")
    return None
