from __future__ import annotations

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
