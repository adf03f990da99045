"""What FastAPI runs before a function: the functions of the same package that it depends on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from core.checks.code import Unit
from core.checks.context import CheckContext


class Depended:
    """The dependencies of a module's routes and of those dependencies, as FastAPI found them."""

    def __init__(self, context: CheckContext) -> None:
        self._code = context.code
        self._of: dict[Unit, Sequence[Any]] = {}
        for route in context.routes:
            dependant = getattr(route.entry.context, "dependant", None)
            if dependant is not None:
                self._note(dependant)

    def of(self, unit: Unit) -> Iterator[Unit]:
        """What runs before `unit` does; nothing for a function that no route leads to."""
        for dependant in self._of.get(unit, ()):
            inner = self._code.of(dependant.call)
            if inner is not None:
                yield inner

    def _note(self, dependant: Any) -> None:
        unit = self._code.of(dependant.call)
        if unit is not None:
            self._of[unit] = dependant.dependencies
        for inner in dependant.dependencies:
            self._note(inner)
