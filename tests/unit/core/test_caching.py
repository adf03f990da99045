"""`cached`: what a service's method returns, remembered by its arguments."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from core.caching import NO_CACHE, Cache, cache_key, cached
from core.caching_keys import Template
from core.db.session import ReadableSession, WritableSession
from modules.cache.service import CacheService
from tests.support.caches import Caches


class Colour(StrEnum):
    RED = "red"


class Thing(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: int


class Things:
    """A service that counts how often it is really asked."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.asked: list[Any] = []

    @cached("things:{thing_id}", ttl=60, tags=["things:{thing_id}", "things"])
    async def get(self, session: Any, thing_id: int) -> Thing | None:
        """One thing."""
        self.asked.append(thing_id)
        return Thing(id=thing_id) if thing_id else None

    @cached("things:find:{q}:{colour}:{limit}", tags=["things:of:{colour}"])
    async def find(
        self, session: Any, q: str = "", *, colour: Colour | None = None, limit: int = 20
    ) -> list[Thing]:
        self.asked.append((q, colour, limit))
        return [Thing(id=limit)]


@pytest.fixture
async def cache() -> AsyncIterator[CacheService]:
    caches = Caches()
    yield caches.make()
    await caches.close()


async def test_a_method_is_asked_once_for_the_same_arguments(cache: CacheService) -> None:
    """Positional, keyword and left-out arguments that mean the same call share one value."""
    things = Things(cache)
    found = [
        await things.find(None),
        await things.find(None, ""),
        await things.find(None, q="", limit=20),
        await things.find(session=None, colour=None),
    ]
    assert found == [[Thing(id=20)]] * 4
    assert things.asked == [("", None, 20)]


async def test_other_arguments_are_another_call(cache: CacheService) -> None:
    """Every argument counts, None and the text of it, a number and its digits included."""
    things = Things(cache)
    for arguments in [
        {},
        {"q": "null"},
        {"colour": Colour.RED},
        {"limit": 5},
        {"q": ":null:20"},
        {"q": '"'},
    ]:
        await things.find(None, **arguments)
    assert len(things.asked) == 6


async def test_none_is_a_value(cache: CacheService) -> None:
    """A method that returns None is not asked again."""
    things = Things(cache)
    assert [await things.get(None, 0), await things.get(None, 0)] == [None, None]
    assert things.asked == [0]


async def test_tags_are_rendered_like_keys(cache: CacheService) -> None:
    """An f-string over a number, and `cache_key` over anything, names the tag to invalidate."""
    things = Things(cache)
    await things.get(None, 1)
    await things.get(None, 2)
    await things.find(None, colour=Colour.RED)
    await cache.invalidate(f"things:{1}", cache_key("things:of:{colour}", colour="red"))
    await things.get(None, 1)
    await things.get(None, 2)
    await things.find(None, colour=Colour.RED)
    assert things.asked == [1, 2, ("", Colour.RED, 20), 1, ("", Colour.RED, 20)]


async def test_without_a_cache_every_call_is_made() -> None:
    """Where no module offers a cache, methods work as if they were not decorated."""
    things = Things(NO_CACHE)
    assert [await things.get(None, 1), await things.get(None, thing_id=1)] == [Thing(id=1)] * 2
    assert things.asked == [1, 1]
    await NO_CACHE.invalidate("things")
    assert await NO_CACHE.get_or_load("k", lambda: things.get(None, 0), as_type=Thing) is None


async def test_a_transaction_sees_its_own_changes(cache: CacheService, sqlite_url: str) -> None:
    """A call with a write session passes the cache by in both directions."""
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(sqlite_url)
    reading, writing = ReadableSession(engine), WritableSession(engine)
    things = Things(cache)
    await things.get(writing, 1)
    await things.get(reading, 1)
    await things.get(session=writing, thing_id=1)
    await things.get(reading, 1)
    assert things.asked == [1, 1, 1]
    await engine.dispose()


async def test_a_wrong_call_is_refused_as_without_the_cache(cache: CacheService) -> None:
    """Missing, unknown, doubled and surplus arguments raise TypeError, also after a good call."""
    things: Any = Things(cache)
    await things.get(None, 1)
    for args, kwargs in [
        ((None,), {}),
        ((None, 1, 2), {}),
        ((None, 1), {"other": 2}),
        ((None,), {"other": 2}),
        ((None, 1), {"thing_id": 1}),
    ]:
        with pytest.raises(TypeError):
            await things.get(*args, **kwargs)
    assert things.asked == [1]


async def test_what_the_method_is_stays_visible() -> None:
    """Name, docstring and annotations are those of the method."""
    assert Things.get.__name__ == "get"
    assert Things.get.__doc__ == "One thing."


def decorate(key: str, method: Any, **options: Any) -> Any:
    return cached(key, **{"ttl": 1, **options})(method)


async def good(self: Any, session: Any, a: int, b: int = 0) -> int:
    return a + b


async def no_return(self: Any, a: int):  # type: ignore[no-untyped-def]  # that is the case
    return a


async def any_arguments(self: Any, *args: int, **more: int) -> int:
    return sum(args)


def plain(self: Any, a: int) -> int:
    return a


@pytest.mark.parametrize(
    ("key", "method", "options", "message"),
    [
        ("{a}", good, {}, "leaves out 'b'"),
        ("{a}:{b}:{c}", good, {}, "no parameter 'c'"),
        ("{a}:{b}", good, {"tags": ["t:{nobody}"]}, "no parameter 'nobody'"),
        ("{a}", no_return, {}, "return annotation"),
        ("k", any_arguments, {}, r"\*args"),
        ("{a}", plain, {}, "not an async method"),
    ],
)
def test_what_cannot_be_cached_is_refused_at_definition(
    key: str, method: Any, options: dict[str, Any], message: str
) -> None:
    """A key that forgets an argument or names none, and an unfit method, never get into a class."""
    with pytest.raises(TypeError, match=message):
        decorate(key, method, **options)


def test_an_argument_may_be_left_out_on_purpose() -> None:
    """A parameter that does not change the value is named in leaving_out."""
    assert decorate("{a}", good, leaving_out=("session", "b"))


@pytest.mark.parametrize("text", ["{a}{b}", "{a}-{b}", "{a!r}", "{a:>5}", "{}", "{0}", "{a"])
def test_an_ambiguous_template_is_refused(text: str) -> None:
    """Neighbouring fields without a separator, conversions and nameless fields are refused."""
    with pytest.raises(ValueError):
        Template(text)


@pytest.mark.parametrize("ttl", [0, -1, float("nan")])
def test_a_ttl_is_positive(ttl: float) -> None:
    """A ttl of nothing is refused where it is written."""
    with pytest.raises(ValueError, match="positive"):
        decorate("{a}:{b}", good, ttl=ttl)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (5, "5"),
        (True, "true"),
        (None, "null"),
        ("5", '"5"'),
        ('a":"b', '"a\\":\\"b"'),
        ("\ud800", '"\\ud800"'),
        (Decimal("1.50"), '"1.50"'),
        ((1, "x"), '[1,"x"]'),
        (Colour.RED, '"red"'),
        (Thing(id=1), '{"id":1}'),
    ],
)
def test_arguments_are_shown_as_json(value: Any, shown: str) -> None:
    """Numbers as they are, text in quotes, the rest as its JSON."""
    assert cache_key("k:{value}", value=value) == f"k:{shown}"


def test_a_field_may_reach_into_its_argument() -> None:
    """`{page.id}` and `{ids[0]}` take a part of an argument."""
    assert cache_key("{page.id}:{ids[1]}", page=Thing(id=3), ids=[1, 2]) == "3:2"
    assert Template("{page.id}:{ids[1]}").names == {"page", "ids"}


SCALARS = st.none() | st.booleans() | st.integers() | st.text()
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(), SCALARS, max_size=2)


@given(one=st.tuples(VALUES, VALUES), two=st.tuples(VALUES, VALUES))
@example(one=("a:b", "c"), two=("a", "b:c"))
@example(one=("1", 2), two=(1, 2))
@example(one=("null", ""), two=(None, ""))
def test_no_argument_can_imitate_another_key(one: tuple[Any, Any], two: tuple[Any, Any]) -> None:
    """Two different pairs of arguments never share a key, whatever text is in them."""
    keys = [cache_key("k:{a}:{b}", a=a, b=b) for a, b in (one, two)]
    same = repr(one) == repr(two)  # 1 == True, but they are two arguments
    assert (keys[0] == keys[1]) == same
