"""The two shapes of a list: v1 skips and counts, v2 follows a cursor.

A cursor is opaque to the caller: the last id seen, in base64. Keyset paging stays right and fast
while rows come and go, where an offset skips or repeats them (https://use-the-index-luke.com/no-offset).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict

from core.errors import Unprocessable
from core.http.schemas import MAX_ID

T = TypeVar("T")
MAX_LIMIT = 100

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="at most so many")]
Skip = Annotated[int, Query(ge=0, le=MAX_ID, description="leave out so many first")]


@dataclass(frozen=True, slots=True)
class OffsetPage:
    """Which part of a list a v1 caller wants."""

    skip: int
    limit: int


@dataclass(frozen=True, slots=True)
class CursorPage:
    """Which part of a list a v2 caller wants: `limit` rows whose id is above `after`."""

    after: int
    limit: int


def encode_cursor(last_id: int) -> str:
    """The cursor that continues after `last_id`."""
    return base64.urlsafe_b64encode(f"id:{last_id}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> int:
    """The id that a cursor continues after. Raises Unprocessable for one that we did not make."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        kind, _, number = (
            base64.b64decode(padded, altchars=b"-_", validate=True).decode().partition(":")
        )
        if kind != "id" or not number.isascii() or not number.isdigit() or int(number) > MAX_ID:
            raise ValueError(number)
        return int(number)
    except (ValueError, binascii.Error):
        raise Unprocessable.at(
            "query", "cursor", msg="not a cursor that this service gave", kind="cursor"
        ) from None


async def _offset_page(skip: Skip = 0, limit: Limit = 20) -> OffsetPage:
    return OffsetPage(skip=skip, limit=limit)


async def _cursor_page(
    cursor: Annotated[
        str | None, Query(max_length=64, description="next_cursor of the page before")
    ] = None,
    limit: Limit = 20,
) -> CursorPage:
    return CursorPage(after=decode_cursor(cursor) if cursor else 0, limit=limit)


Offset = Annotated[OffsetPage, Depends(_offset_page)]
"""``?skip=0&limit=20`` of a v1 list."""

Cursor = Annotated[CursorPage, Depends(_cursor_page)]
"""``?cursor=&limit=20`` of a v2 list."""


class Page(BaseModel, Generic[T]):
    """A page of a v2 list; `next_cursor` is null on the last one."""

    model_config = ConfigDict(extra="forbid")

    items: list[T]
    next_cursor: str | None = None

    @classmethod
    def of(cls, rows: Sequence[T], page: CursorPage, *, key: Callable[[T], int]) -> Page[T]:
        """A page of `rows`, of which one more than ``page.limit`` was asked for.

        The extra row, when it came, says that there is a next page.
        """
        shown = list(rows[: page.limit])
        more = len(rows) > page.limit
        return cls(items=shown, next_cursor=encode_cursor(key(shown[-1])) if more else None)
