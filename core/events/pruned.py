"""What can no longer be replayed in full: noted by type, whoever deletes events."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, case, select
from sqlalchemy.dialects import postgresql, sqlite

from core.events.tables import outbox, pruned_types


def note_pruned(dialect: str, *gone: ColumnElement[bool], until: ColumnElement[Any]) -> Any:
    """The statement that notes the types of events that are to go, before they do.

    `until` is the moment before which some may be missing; a later one that was noted stays.
    """
    types = select(outbox.c.type, until).where(*gone).distinct()
    insert = (postgresql if dialect == "postgresql" else sqlite).insert(pruned_types)
    noted = insert.from_select(["type", "until"], types)
    later = noted.excluded.until > pruned_types.c.until
    return noted.on_conflict_do_update(
        index_elements=[pruned_types.c.type],
        set_={"until": case((later, noted.excluded.until), else_=pruned_types.c.until)},
    )
