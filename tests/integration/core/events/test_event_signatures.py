"""A handler that cannot be called as it would be stops its module before the first event."""

from __future__ import annotations

import pytest

from core.errors import ModuleFailure
from core.registry import load
from core.settings import Settings
from tests.support.plants import HEAD, Garden

HANDLERS = (
    HEAD
    + """
import functools
from planted_tower.module import Struck


async def event_only(event): ...
async def two(event, delivery): ...
async def three(session, event, delivery): ...
async def four(session, event, delivery, more): ...
async def named(session, event, *, delivery): ...
async def with_default(session, event, delivery, more=None): ...
async def any_number(*given): ...
async def from_second(session, *given): ...


class Worker:
    async def two(self, event, delivery): ...
    async def three(self, session, event, delivery): ...
    async def __call__(self, session, event, delivery): ...


def adapted(function):
    @functools.wraps(function)
    async def wrapper(session, event, delivery):
        await function(event)

    return wrapper


@hookimpl
def manifest():
    return Manifest("hearer", "1.0", requires=("tower",))


@hookimpl
def subscriptions():
    return [{}]
"""
)
TOWER = (
    HEAD
    + """
class Struck(Event, type="tower.bell_struck.v1", aggregate="bell", key="bell"):
    bell: int


@hookimpl
def manifest():
    return Manifest("tower", "1.0")


@hookimpl
def events():
    return [Struck]
"""
)


def _failure(garden: Garden, subscription: str) -> ModuleFailure | None:
    garden.plant("tower", TOWER)
    garden.plant("hearer", HANDLERS.replace("[{}]", f"[{subscription}]"))
    enabled = {name: {"enabled": True} for name in ("tower", "hearer")}
    return load(Settings.for_tests(modules=enabled)).modules["hearer"].failure


@pytest.mark.parametrize(
    ("subscription", "shown", "wanted"),
    [
        ("on(Struck, event_only)", "event_only(event)", "(session, event, delivery)"),
        ("on(Struck, two)", "two(event, delivery)", "(session, event, delivery)"),
        ("on(Struck, four)", "four(", "(session, event, delivery)"),
        ("on(Struck, named)", "named(", "(session, event, delivery)"),
        ("on(Struck, Worker.three)", "Worker.three(self, ", "(session, event, delivery)"),
        ("on(Struck, Worker().two)", "Worker.two(event, delivery)", "(session, event, delivery)"),
        ("on(Struck, functools.partial(three, 1))", "partial(", "(session, event, delivery)"),
        ("on(Struck, three, transaction=False)", "three(", "(event, delivery)"),
        ("broadcast(Struck, event_only)", "event_only(event)", "(event, delivery)"),
        ("broadcast(Struck, Worker())", "Worker(", "(event, delivery)"),
    ],
)
def test_a_handler_that_takes_something_else_fails_its_module(
    garden: Garden, subscription: str, shown: str, wanted: str
) -> None:
    """The module fails with what the handler takes and what it is given, not each delivery."""
    failure = _failure(garden, subscription)
    assert failure is not None
    assert shown in failure.reason
    assert f"of 'tower.bell_struck.v1' is called with {wanted}: " in failure.reason
    assert failure.remedy.endswith(f"take {wanted}")


@pytest.mark.parametrize(
    "subscription",
    [
        "on(Struck, three)",
        "on(Struck, with_default)",
        "on(Struck, any_number)",
        "on(Struck, from_second)",
        "on(Struck, Worker().three)",
        "on(Struck, Worker())",
        "on(Struck, functools.partial(four, more=1))",
        "on(Struck, functools.partial(four, 1))",
        "on(Struck, adapted(event_only))",
        "on(Struck, getattr)",  # written in C, without a signature
        "on(Struck, two, transaction=False)",
        "on(Struck, any_number, transaction=False)",
        "broadcast(Struck, two)",
        "broadcast(Struck, Worker().two)",
        "broadcast(Struck, functools.partial(three, 1))",
    ],
)
def test_whatever_can_be_called_so_is_a_handler(garden: Garden, subscription: str) -> None:
    """Defaults, *args, methods, partials and wrappers count as what they can be called with."""
    assert _failure(garden, subscription) is None
