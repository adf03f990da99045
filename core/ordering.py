"""Order modules so that each comes after what it requires."""

from __future__ import annotations

from collections.abc import Mapping

from core.manifest import Manifest


def order(manifests: Mapping[str, Manifest]) -> tuple[list[str], dict[str, list[str]]]:
    """``(ordered ids, {id in a circle: the circle})``; else in the order of `manifests`.

    `optional` modules come first where they can; a circle through them is no error.
    """
    cyclic = {name: circle for name in manifests if (circle := _circle(name, manifests))}
    ordered: list[str] = []
    seen: set[str] = set(cyclic)

    def visit(name: str) -> None:
        if name in seen or name not in manifests:
            return
        seen.add(name)
        for before in sorted((*manifests[name].requires, *manifests[name].optional)):
            visit(before)
        ordered.append(name)

    # Two passes: what is required must stand before, whatever circles the optional ones make.
    for name in manifests:
        visit(name)
    return _settle(ordered, manifests), cyclic


def _settle(ordered: list[str], manifests: Mapping[str, Manifest]) -> list[str]:
    result: list[str] = []

    def place(name: str) -> None:
        if name in result or name not in ordered:
            return
        for needed in sorted(manifests[name].requires):
            place(needed)
        result.append(name)

    for name in ordered:
        place(name)
    return result


def _circle(start: str, manifests: Mapping[str, Manifest]) -> list[str] | None:
    """The way from `start` back to itself through `requires`, if there is one."""
    ways: list[list[str]] = [[start]]
    visited: set[str] = set()
    while ways:
        way = ways.pop()
        for needed in manifests[way[-1]].requires if way[-1] in manifests else ():
            if needed == start:
                return [*way, start]
            if needed not in visited:
                visited.add(needed)
                ways.append([*way, needed])
    return None
