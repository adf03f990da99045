"""The parts of the cache by themselves: memory by tag, and the dice of early refresh."""

from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from modules.cache.entry import QUIET, Entry
from modules.cache.local import LocalLevel


def entry(*tags: str, delta: float = 1.0, expires: float = 100.0, early: float = 1.0) -> Entry:
    return Entry(
        value=tags,
        tags=frozenset(tags),
        delta=delta,
        expires=expires,
        stale_until=expires,
        early=early,
    )


def test_early_refresh_is_as_likely_as_xfetch_says() -> None:
    """A value is due t seconds before its end with probability exp(-t / (beta * delta))."""
    dice = random.Random(7)
    for left, delta, beta in [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (2.0, 1.0, 2.0), (0.5, 2.0, 1.0)]:
        subject = entry(delta=delta, early=beta)
        due = sum(subject.is_due(100.0 - left, chance=dice.random()) for _ in range(20_000))
        assert abs(due / 20_000 - math.exp(-left / (beta * delta))) < 0.02


def test_an_eagerness_of_nothing_is_never_early() -> None:
    """With beta 0, or a load that took no time, a value is due at its end and not before."""
    for subject in (entry(early=0.0), entry(delta=0.0)):
        assert not subject.is_due(99.999, chance=0.999999)
        assert subject.is_due(100.0, chance=0.0)
        assert subject.quiet_until == subject.expires


def test_far_from_its_end_a_hit_asks_no_dice() -> None:
    """Until the chance of early refresh is worth speaking of, a hit is a comparison."""
    assert entry(delta=2.0).quiet_until == 100.0 - QUIET * 2.0


TAGS = st.frozensets(st.sampled_from("xyz"))
PUTS = st.tuples(st.just("put"), st.sampled_from("abcdef"), TAGS)
DROPS = st.tuples(st.just("drop"), st.just(""), TAGS | st.just(frozenset("*")))
GETS = st.tuples(st.just("get"), st.sampled_from("abcdef"), st.just(frozenset[str]()))


@given(size=st.integers(1, 4), steps=st.lists(PUTS | DROPS | GETS, max_size=40))
def test_memory_holds_the_last_used_and_not_what_was_dropped(
    size: int, steps: list[tuple[str, str, frozenset[str]]]
) -> None:
    """Memory by tag behaves as a list of entries in the order of use, and leaks no tag."""
    level, model = LocalLevel(max_entries=size), dict[str, frozenset[str]]()
    for kind, key, tags in steps:
        if kind == "put":
            level.put(key, entry(*tags))
            model.pop(key, None)
            model[key] = tags
            while len(model) > size:
                del model[next(iter(model))]
        elif kind == "drop":
            level.drop(tags)
            model = {k: t for k, t in model.items() if not (t & tags or "*" in tags)}
        else:
            found = level.get(key)
            assert (found.tags if found else None) == model.get(key)
            if key in model:
                model[key] = model.pop(key)
        assert len(level) == len(model)
    level.drop(frozenset("xyz"))
    assert len(level) == sum(not tags for tags in model.values())
