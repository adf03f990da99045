"""A module's own commands, as its hook makes them: for the command line, and for `check`.

A server never asks for them, so one whose hook fails serves all the same: its verbs alone are
missing, and whoever asks for them is told so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.discovery import summarise
from core.errors import ModuleFailure

if TYPE_CHECKING:
    import typer

    from core.registry import Module


def command_of(module: Module) -> Any:
    """A module's typer application as a click command; None when it has none.

    Raises ModuleFailure, whose remedy says that the module serves all the same.
    """
    try:
        return _command(module)
    except ModuleFailure as failure:
        failure.remedy += "; until then it serves without its verbs"
        raise


def _command(module: Module) -> Any:
    import typer  # a server does without

    assert module.hooks is not None
    application = module.hooks.call("commands")
    if application is None:
        return None
    if not isinstance(application, typer.Typer):
        raise module.hooks.wrong("commands", "a typer.Typer", application)
    try:
        return _made(application)
    except (Exception, SystemExit) as error:
        raise ModuleFailure(
            f"its commands cannot be made: {summarise(error)}",
            remedy=f"mend {module.id}, or disable it",
        ) from error


def _made(application: typer.Typer) -> Any:
    from typer.main import get_command

    if not application.registered_callback:
        application.callback()(_group)  # keeps a single command a group: `users create-admin`
    application._add_completion = False  # it would complete a program of that name, not a verb
    return get_command(application)


def _group() -> None:
    pass
