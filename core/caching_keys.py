"""Keys and tags of the cache: templates over arguments that no argument can break out of."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

_FORMATTER = string.Formatter()
_SEPARATORS = frozenset(":/|;,@#& ")


class Template:
    """A format string whose fields are rendered as JSON.

    JSON values delimit themselves, so two different lists of arguments never give one text; for
    numbers that takes a separator between neighbouring fields. Raises ValueError without it, for
    conversions (``!r``), format specifications and fields without a name.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts: list[tuple[str, str | None]] = []
        for literal, field, spec, conversion in _FORMATTER.parse(text):
            if field is not None and (spec or conversion or not field or field[0].isdigit()):
                raise ValueError(f"{text!r}: a field is the plain name of a parameter")
            if self._parts and field is not None and _SEPARATORS.isdisjoint(literal):
                raise ValueError(f"{text!r}: put a ':' between two fields")
            self._parts.append((literal, field))
        fields = (field for _, field in self._parts if field is not None)
        self.names = frozenset(field.partition(".")[0].partition("[")[0] for field in fields)

    def render(self, arguments: Mapping[str, Any]) -> str:
        """The text for these arguments; raises as pydantic does for one that JSON cannot hold."""
        rendered = ""
        for literal, field in self._parts:
            rendered += literal
            if field is not None:
                rendered += _encode(self._argument(field, arguments))
        return rendered

    @staticmethod
    def _argument(field: str, arguments: Mapping[str, Any]) -> Any:
        if field in arguments:
            return arguments[field]
        return _FORMATTER.get_field(field, (), arguments)[0]  # page.after, ids[0]


def _encode(value: Any) -> str:
    kind = type(value)
    if kind is int:
        return str(value)
    if kind is str:
        return json.dumps(value)
    return to_json(value, inf_nan_mode="strings").decode()


def cache_key(template: str, **arguments: Any) -> str:
    """A key or tag as `cached` renders it: ``cache_key("catalog:of:{category}", category="Tea")``.

    Numbers appear as they are, so ``f"catalog:product:{product_id}"`` is the same for an id.
    """
    return Template(template).render(arguments)
