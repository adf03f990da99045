"""Module commands: a module's typer application, run inside a generation that serves no HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import typer

from core import module_commands
from core import registry as registries
from core.context import Context
from core.errors import ModuleFailure, Refused
from core.settings import Settings, load_settings

T = TypeVar("T")


class ModuleCommands:
    """What a module's command finds in ``typer.Context.obj``."""

    def __init__(self, module: str, settings: Settings) -> None:
        self.module = module
        self.settings = settings

    def run(self, action: Callable[[Context], Awaitable[T]]) -> T:
        """Start the modules, let `action` work with the module's context, stop them again.

        In development waiting migrations are run first. Raises Refused when the module is out.
        """
        return asyncio.run(self._run(action))

    async def _run(self, action: Callable[[Context], Awaitable[T]]) -> T:
        from core.app import Tessera

        app = Tessera(self.settings, quiet=True)
        await app.start()
        try:
            context = app.generation.contexts.get(self.module)
            if context is None:
                failed = app.generation.registry[self.module]
                raise Refused(f"module {self.module!r} failed: {failed.reason}")
            return await action(context)
        finally:
            await app.stop()


def every_command() -> dict[str, Any]:
    """The commands of every enabled module that has some, by module id."""
    settings = load_settings()
    found: dict[str, Any] = {}
    for module in registries.load_carefully(settings).enabled:
        try:
            command = command_of(module, settings)
        except ModuleFailure as failure:  # it must not take the other verbs with it
            typer.echo(f"tessera: module {module.id}: {failure}", err=True)
            continue
        if command is not None:
            found[module.id] = command
    return found


def command_of(module: registries.Module, settings: Settings) -> Any:
    """A module's commands, ready to run; None when it has none. Raises ModuleFailure."""
    command = module_commands.command_of(module)
    if command is not None:
        given = {"obj": ModuleCommands(module.id, settings)}
        command.context_settings = {**command.context_settings, **given}
        command.name = module.id
    return command
