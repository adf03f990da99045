"""Extension points: hooks that a module offers to others.

pluggy is synchronous, and one implementation that raises ends its whole call. So an extension hook
returns a declaration, a callable that the owner awaits later, and each is called by itself. What
happens when one raises is part of the hook's declaration: the work fails clearly, or goes on
without it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import ModuleType
from typing import Any, Generic, Literal, ParamSpec, TypeVar

import structlog

from core.errors import ModuleFailure, Problem, by_a_person
from core.hookspecs import NAMESPACE, hookspec
from core.steps import is_cancelled

OnError = Literal["fail", "skip"]
P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

log = structlog.get_logger("tessera.extensions")
_POLICY = "tessera_policy"
_SPEC = f"{NAMESPACE}_spec"
"""How pluggy marks what it takes for a hook."""


class ExtensionFailed(Problem):
    """An extension that takes part in this failed; the log of this service says how."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    slug = "extension-failed"
    title = "An extension failed"


def extension_point(
    *, on_error: OnError, seconds: float = 5.0
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a function as a hook that other modules may implement.

    `seconds` is how long an implementation may take; one that takes longer has failed: it may hold
    a transaction, and on SQLite every other writer with it.
    `on_error` says what an implementation that raises does to the work it has part in: "fail" it,
    or "skip" the implementation. A `Problem` that it raises is an answer and passes in either case.
    """

    def mark(function: Callable[P, R]) -> Callable[P, R]:
        marked: Callable[P, R] = hookspec(function)
        setattr(marked, _POLICY, Policy(on_error, seconds))
        return marked

    return mark


def points_of(holder: object, *, module: str) -> Mapping[str, Callable[..., Any]]:
    """The extension points that `hookspecs()` of a module returned, by name.

    Raises ModuleFailure when it is no Python module, has none or one without a policy, or a name
    lacks the module's id. (pluggy would refuse it in every other module's name.)
    """
    if not isinstance(holder, ModuleType):
        raise ModuleFailure(
            f"its hook hookspecs() returned {type(holder).__name__}, not a Python module",
            remedy="return the Python module that holds the @extension_point functions",
        )
    points = {n: f for n, f in inspect.getmembers(holder, callable) if hasattr(f, _POLICY)}
    plain = [n for n, f in inspect.getmembers(holder, callable) if hasattr(f, _SPEC)]
    if not points or set(plain) - set(points):
        wrong = ", ".join(sorted(set(plain) - set(points))) or "nothing"
        raise ModuleFailure(
            f"what its hook hookspecs() returned, {holder.__name__}, has {wrong} where extension "
            "points should be",
            remedy="mark its functions with @extension_point(on_error=…)",
        )
    for name in points:
        if not name.startswith(f"{module}_"):
            raise ModuleFailure(
                f"its extension point {name!r} does not begin with {module + '_'!r}",
                remedy=f"name it {module}_{name}",
            )
    return points


@dataclass(frozen=True, slots=True)
class Policy:
    """What an extension point says of implementations that raise, or take too long."""

    on_error: OnError
    seconds: float


@dataclass(frozen=True, slots=True)
class Extension(Generic[P, T]):
    """One module's implementation of an extension point; awaited like the callable it holds."""

    point: str
    module: str
    policy: Policy
    implementation: Callable[P, Awaitable[T]]

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What the implementation gives; None when it raised and the point says "skip".

        Raises ExtensionFailed when it raised and the point says "fail", and any Problem of its own.
        """
        try:
            async with asyncio.timeout(self.policy.seconds):
                return await self.implementation(*args, **kwargs)
        except Problem:
            raise
        except BaseException as error:  # an implementation may raise anything
            if is_cancelled(error) or by_a_person(error) or isinstance(error, GeneratorExit):
                raise
            log.exception("extension failed", point=self.point, module=self.module)
            if self.policy.on_error == "skip":
                return None
            raise ExtensionFailed(f"{self.module} failed in {self.point}.") from error


def policy_of(point: Callable[..., Any]) -> Policy:
    """What an extension point says of its implementations."""
    policy: Policy = getattr(point, _POLICY)
    return policy
