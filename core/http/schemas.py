"""Ground for request and response bodies: what may be in a text, an id, a time."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Path
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
)

MAX_ID = 2**63 - 1


class Schema(BaseModel):
    """A body: unknown fields are refused, and attributes of rows can be read."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)


Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
"""Text that every database can hold: no NUL (PostgreSQL refuses it); surrogates pydantic refuses.

A pattern and no validator function, so that the schema says it, and so that a length or a strip
that is laid over it is applied in the right order. A pattern laid over it replaces it.
"""

PathId = Annotated[int, Path(ge=1, le=MAX_ID, description="the number of the resource")]
"""An id in a path."""

Id = Annotated[int, Field(ge=1, le=MAX_ID)]
"""An id in a body."""


def _utc(moment: datetime) -> datetime:
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:  # year 1 or 9999 shifted over the edge of the calendar
        raise ValueError("this moment cannot be told in UTC") from None


def _told_in_words(moment: object) -> object:
    """Pydantic would take a number, also one in quotes, for seconds since 1970."""
    if isinstance(moment, int | float) or (isinstance(moment, str) and _NUMBER.fullmatch(moment)):
        raise ValueError("a moment is written as in RFC 3339: 1996-07-04T00:00:00Z")
    return moment


_NUMBER = re.compile(r"\s*[-+]?[0-9._]*\s*")

UtcTime = Annotated[
    datetime,
    BeforeValidator(_told_in_words),
    AfterValidator(_utc),
    PlainSerializer(
        lambda moment: moment.isoformat().replace("+00:00", "Z"),
        return_type=str,
        when_used="json",
    ),
    Field(json_schema_extra={"format": "date-time"}),
]
"""A moment in UTC; written with Z (RFC 3339)."""
