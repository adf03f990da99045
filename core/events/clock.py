"""What time it is by the clock that all processes share: that of the database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, literal

from core.events.tables import group_types

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

_TYPE: Any = group_types.c.since.type


def now_by(dialect: str) -> ColumnElement[datetime]:
    """The moment, to be selected; SQLite has the clock of the process that asks."""
    if dialect == "postgresql":
        return func.now(type_=_TYPE)
    return literal(datetime.now(UTC), _TYPE)
