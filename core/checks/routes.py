"""Routes that no request can reach, because FastAPI takes the first that fits, in silence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

from core.checks.context import CheckContext, Route
from core.checks.finding import Finding

# A value that fits the convertor and, as far as can be, none that is narrower.
_SAMPLES = {
    "str": "~",
    "path": "~/~",
    "int": "7",
    "float": "7.5",
    "uuid": "5b2f7b5c-7d0a-4c0e-9f0b-3c1de0b0c0de",
}


def check_routes(context: CheckContext) -> Iterator[Finding]:
    """T101 and T102."""
    # In one version, and below one first segment, the order of declaration decides.
    for _, routes in groupby(context.routes, key=lambda r: (r.version, r.entry.path.split("/")[1])):
        before: list[Route] = []
        for route in routes:
            yield from _hidden(context, before, route)
            before.append(route)


def _hidden(context: CheckContext, before: list[Route], route: Route) -> Iterator[Finding]:
    for earlier in before:
        if not _share_methods(earlier, route) or earlier.entry.match(sample(route)) is None:
            continue
        same = route.entry.match(sample(earlier)) is not None
        yield context.found(
            "T101" if same else "T102",
            context.place_of(route),
            f"{context.place_of(earlier)} stands before it and "
            f"{'is the same route' if same else 'takes its requests'}: FastAPI calls the first",
            "take one of them away" if same else "declare the fixed path before the parameter",
        )
        return


def _share_methods(one: Route, other: Route) -> bool:
    return bool(one.methods & other.methods) or (not one.methods and not other.methods)


def sample(route: Route) -> str:
    """A path that the route answers."""
    convertors = getattr(route.entry.context, "param_convertors", None) or {}

    def value(found: re.Match[str]) -> str:
        kind = type(convertors.get(found[1])).__name__.removesuffix("Convertor").lower()
        return _SAMPLES.get(kind, "~").replace("~", "x~y")

    return re.sub(r"{(\w+)}", value, route.entry.path)
