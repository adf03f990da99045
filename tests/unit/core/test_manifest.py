from __future__ import annotations

import re

import pytest

from core.manifest import Manifest


@pytest.mark.parametrize("name", ["", "a", "A1", "with-dash", "1st", "x" * 21, "ü2"])
def test_a_bad_id_is_refused(name: str) -> None:
    """An id is two to twenty of a-z and 0-9, beginning with a letter."""
    with pytest.raises(ValueError, match="no module id"):
        Manifest(name, "1.0")


def test_a_malformed_version_or_range_names_the_module() -> None:
    """A version or a core range that PEP 440 does not know is an error that names the module."""
    with pytest.raises(ValueError, match="manifest of demo"):
        Manifest("demo", "one")
    with pytest.raises(ValueError, match="manifest of demo"):
        Manifest("demo", "1.0", core="about 1")


def test_the_core_range_decides() -> None:
    """A module made for core 1 accepts 1.5 and not 2.0."""
    manifest = Manifest("demo", "1.0")
    assert manifest.accepts_core("1.5.0")
    assert not manifest.accepts_core("2.0")


def test_a_requirement_without_its_comma_is_told_so() -> None:
    """``requires=("catalog")`` is a text and not a tuple; the error shows how to write it."""
    with pytest.raises(ValueError, match=r"requires=\('catalog',\)"):
        Manifest("demo", "1.0", requires="catalog")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("requires", None, "requires is None; write a tuple of texts: requires=('catalog',)"),
        ("requires", 5, "requires is of the type int; write a tuple of texts"),
        ("optional", (5,), "optional holds a value that is of the type int"),
        ("roles", {"seller": 1}, "roles is of the type dict; write a tuple of texts"),
        ("core", 1, "core is of the type int; write a text: core='>=1,<2'"),
        ("version", None, "version is None; write a text: version='1.0'"),
        ("version", "1.0+" + "a" * 61, "version has more than 64 characters"),
        ("id", 7, "id is of the type int; write a text: id='orders'"),
        ("summary", b"x", "summary is of the type bytes; write a text"),
    ],
)
def test_a_value_of_a_wrong_type_names_its_field(field: str, value: object, said: str) -> None:
    """A field of the wrong type is a ValueError with the field's name and how it is written."""
    given = {"id": "demo", "version": "1.0"} | {field: value}
    with pytest.raises(ValueError, match=re.escape(said)):
        Manifest(**given)  # type: ignore[arg-type]
