from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Unprocessable
from core.http.pagination import CursorPage, Page, decode_cursor, encode_cursor
from core.http.schemas import MAX_ID


@given(st.integers(min_value=0, max_value=MAX_ID))
def test_a_cursor_leads_back_to_its_id(last_id: int) -> None:
    """Any id survives the way through a cursor."""
    assert decode_cursor(encode_cursor(last_id)) == last_id


@given(st.text(max_size=64))
def test_garbage_is_refused_and_never_crashes(text: str) -> None:
    """Any text is either a cursor of ours or an Unprocessable that names the parameter."""
    try:
        last_id = decode_cursor(text)
    except Unprocessable as refused:
        places = [error["loc"] for error in refused.extensions["errors"]]
    else:
        places = [["query", "cursor"]] if 0 <= last_id <= MAX_ID else []
    assert places == [["query", "cursor"]]


def test_an_id_above_64_bits_is_no_cursor() -> None:
    """A cursor of a number that no database holds is refused."""
    with pytest.raises(Unprocessable):
        decode_cursor(encode_cursor(MAX_ID + 1))


def test_the_extra_row_says_that_there_is_more() -> None:
    """A page shows `limit` rows and gives a cursor only when one more was found."""
    page = CursorPage(after=0, limit=2)
    more = Page[int].of([1, 2, 3], page, key=lambda n: n)
    assert more.items == [1, 2]
    assert more.next_cursor == encode_cursor(2)
    assert Page[int].of([1, 2], page, key=lambda n: n).next_cursor is None
