from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from core.manifest import Manifest
from core.ordering import order

NAMES = ["aa", "bb", "cc", "dd", "ee", "ff"]


def manifests(**requires: tuple[str, ...]) -> dict[str, Manifest]:
    return {name: Manifest(name, "1.0", requires=needed) for name, needed in requires.items()}


@given(
    st.dictionaries(
        st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES), max_size=3), max_size=6
    ),
    st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=5),
)
def test_requirements_come_first(
    requires: dict[str, set[str]], wishes: set[tuple[str, str]]
) -> None:
    """Whatever modules require and wish, each comes after all it requires, or is in a circle."""
    found = {
        name: Manifest(
            name,
            "1.0",
            requires=tuple(sorted(needed)),
            optional=tuple(w for n, w in wishes if n == name),
        )
        for name, needed in requires.items()
    }
    ordered, cyclic = order(found)
    assert sorted([*ordered, *cyclic]) == sorted(found)
    for index, name in enumerate(ordered):
        for needed in found[name].requires:
            if needed in ordered:
                assert ordered.index(needed) < index
    for name, circle in cyclic.items():
        assert circle[0] == circle[-1] == name
        for here, there in itertools.pairwise(circle):
            assert there in found[here].requires


def test_a_circle_is_told_whole() -> None:
    """A circle of requirements names every module on it, in order."""
    _, cyclic = order(manifests(aa=("bb",), bb=("cc",), cc=("aa",), dd=()))
    assert cyclic == {
        "aa": ["aa", "bb", "cc", "aa"],
        "bb": ["bb", "cc", "aa", "bb"],
        "cc": ["cc", "aa", "bb", "cc"],
    }


def test_without_requirements_the_given_order_holds() -> None:
    """Modules that need nothing of each other keep the order of the settings."""
    assert order(manifests(cc=(), aa=(), bb=("aa",)))[0] == ["cc", "aa", "bb"]


def test_optional_modules_come_first_where_they_can() -> None:
    """An optional module that is there is loaded before the one that wishes for it."""
    found = {"aa": Manifest("aa", "1.0", optional=("bb",)), "bb": Manifest("bb", "1.0")}
    assert order(found) == (["bb", "aa"], {})
