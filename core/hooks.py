"""One module's hooks, called by themselves: in pluggy one that raises ends the whole call.

pluggy still says what is a hook, which parameters an implementation takes, and what is misspelt.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from types import ModuleType
from typing import Any

import pluggy

from core import hookspecs
from core.belongings import kept
from core.discovery import remedy_for, summarise
from core.errors import ModuleFailure, by_a_person, text_of
from core.manifest import Manifest
from core.steps import step

MOST = 10_000
"""Things that one hook may give; no module declares so many."""


class Hooks:
    """Calls the hooks of one module; what they raise or wrongly return is a `ModuleFailure`."""

    def __init__(self, module_id: str, implementation: object) -> None:
        """Raises ModuleFailure when the object has a hook that does not exist."""
        self.module_id = module_id
        self.implementation = implementation
        self._manager = pluggy.PluginManager(hookspecs.NAMESPACE)
        self._manager.add_hookspecs(hookspecs)
        try:
            self._manager.register(implementation, name=module_id)
        except pluggy.PluginValidationError as error:
            raise ModuleFailure(
                " ".join(text_of(error).split()),
                remedy="compare the hook's parameters with the docs",
            ) from error

    def meet(self, holders: Iterable[ModuleType], *, absent: Collection[str]) -> None:
        """Hold the module's hooks against core's and the extension points of other modules.

        `absent` are ids that it may do without; their hooks are left alone. Raises ModuleFailure
        when it has a hook that does not exist, or takes a parameter that the hook does not give.
        """
        try:
            for holder in holders:
                self._manager.add_hookspecs(holder)
        except pluggy.PluginValidationError as error:
            raise ModuleFailure(
                " ".join(text_of(error).split()),
                remedy="compare the hook's parameters with the docs",
            ) from error
        known = [name for name, caller in vars(self._manager.hook).items() if caller.has_spec()]
        for caller in self._manager.get_hookcallers(self.implementation) or ():
            if caller.has_spec() or caller.name.partition("_")[0] in absent:
                continue
            near = difflib.get_close_matches(caller.name, known, n=1)
            raise ModuleFailure(
                f"there is no hook {caller.name!r}",
                remedy=f"did you mean {near[0]!r}?" if near else "see the hooks reference in docs/",
            )

    def has(self, name: str) -> bool:
        """Whether the module implements that hook."""
        caller = getattr(self._manager.hook, name, None)
        return caller is not None and bool(caller.get_hookimpls())

    def names(self) -> set[str]:
        """The hooks and extension points that the module implements."""
        callers = self._manager.get_hookcallers(self.implementation) or ()
        return {caller.name for caller in callers}

    def forget(self) -> None:
        """Let go of the module's hooks: it has none from now on."""
        vars(self._manager.hook).clear()

    def call(self, name: str, **arguments: Any) -> Any:
        """What the module's implementation returns; None without one.

        Raises ModuleFailure when it raises, SystemExit included.
        """
        return self._call(name, arguments, lambda value: isinstance(value, Iterator))

    def sequence(
        self, name: str, *, of: type | tuple[type, ...], **arguments: Any
    ) -> Sequence[Any]:
        """A hook that returns several things, each of that type; empty without one."""
        value = self._call(name, arguments, _is_many)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise self.wrong(name, "a list", value)
        for item in value:
            if not isinstance(item, of):
                raise self.wrong(name, f"a list of {_names(of)}", item)
        return tuple(value)

    def _call(
        self, name: str, arguments: Mapping[str, Any], taken_apart: Callable[[object], bool]
    ) -> Any:
        implementations = getattr(self._manager.hook, name).get_hookimpls()
        if not implementations:
            return None
        implementation = implementations[-1]
        with self.guarded(name):
            value = implementation.function(*(arguments[a] for a in implementation.argnames))
            # What is lazy has done nothing yet: what it does belongs to this step too.
            return _all_of(value) if taken_apart(value) else value

    @contextmanager
    def guarded(self, name: str) -> Iterator[None]:
        """While the block lasts, the module's code runs as that hook; see `call` for errors."""
        try:
            with step(self.module_id, f"its hook {name}()"), kept(self.module_id):
                yield
        except ModuleFailure:
            raise
        except BaseException as error:
            if by_a_person(error):
                raise
            raise ModuleFailure(
                f"its hook {name}() failed: {summarise(error)}",
                remedy=remedy_for(error) or f"mend {self.module_id}, or disable it",
            ) from error

    def manifest(self) -> Manifest:
        """The module's manifest. Raises ModuleFailure when there is none."""
        if not self.has("manifest"):
            raise ModuleFailure(
                "it has no manifest() hook",
                remedy="write one: @hookimpl def manifest(): return Manifest(...)",
            )
        value = self.call("manifest")
        if not isinstance(value, Manifest):
            raise self.wrong("manifest", "a Manifest", value)
        return value

    def wrong(self, name: str, expected: str, value: object) -> ModuleFailure:
        """The failure that says what a hook should have returned."""
        return ModuleFailure(
            f"its hook {name}() returned {type(value).__name__}, not {expected}",
            remedy=f"see the documentation of the hook {name}",
        )


def _names(of: type | tuple[type, ...]) -> str:
    return " or ".join(t.__name__ for t in (of if isinstance(of, tuple) else (of,)))


def _is_many(value: object) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, str | bytes)


def _all_of(things: Iterable[Any]) -> list[Any]:
    items = list(islice(things, MOST + 1))
    if len(items) > MOST:
        raise RuntimeError(f"it gives more than {MOST:,} things")
    return items
