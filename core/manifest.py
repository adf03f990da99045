"""What a module says of itself before anything else of it is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

_EXAMPLES = {
    "id": "orders",
    "version": "1.0",
    "core": ">=1,<2",
    "summary": "Orders and their lines.",
    "requires": "catalog",
    "optional": "cache",
    "conflicts": "shop",
    "roles": "seller",
}
LONGEST_VERSION = 64
"""What is kept of it in the database."""
ID_PATTERN = re.compile(r"[a-z][a-z0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """Who a module is and what it needs.

    ``id`` equals the name of its entry point, and is neither core nor relay; ``core`` is a PEP 440
    range that Tessera's version must lie in; ``requires`` names modules without which this one
    stays out, ``optional`` those that are only loaded before it when they are there, ``conflicts``
    those it cannot live beside; ``roles`` are those that its authenticators give to callers, beside
    user, moderator and admin.

    Raises ValueError when a field is malformed.
    """

    id: str
    version: str
    core: str = ">=1,<2"
    requires: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    summary: str = ""
    roles: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("id", "version", "core", "summary"):
            if not isinstance(value := getattr(self, name), str):
                raise ValueError(
                    f"{name} is {_kind(value)}; write a text: {name}={_EXAMPLES[name]!r}"
                )
        for name in ("requires", "optional", "conflicts", "roles"):
            if isinstance(value := getattr(self, name), str):
                raise ValueError(f"{name} is a text; write a tuple: {name}=({value!r},)")
            self._hold_texts(name, value)
        for name in (self.id, *self.requires, *self.optional, *self.conflicts):
            if not ID_PATTERN.fullmatch(name):
                raise ValueError(f"{name!r} is no module id: two to twenty of a-z and 0-9")
        try:
            Version(self.version)
            SpecifierSet(self.core)
        except (InvalidVersion, InvalidSpecifier) as error:
            raise ValueError(f"manifest of {self.id}: {error}") from None
        if len(self.version) > LONGEST_VERSION:
            raise ValueError(f"version has more than {LONGEST_VERSION} characters")

    def _hold_texts(self, name: str, value: object) -> None:
        example = f"write a tuple of texts: {name}=({_EXAMPLES[name]!r},)"
        if not isinstance(value, tuple | list):
            raise ValueError(f"{name} is {_kind(value)}; {example}")
        if wrong := [item for item in value if not isinstance(item, str)]:
            raise ValueError(f"{name} holds a value that is {_kind(wrong[0])}; {example}")
        object.__setattr__(self, name, tuple(value))

    def accepts_core(self, version: str) -> bool:
        """Whether this module was made for a core of that version."""
        return SpecifierSet(self.core).contains(version, prereleases=True)


def _kind(value: object) -> str:
    return "None" if value is None else f"of the type {type(value).__name__}"
