"""``events golden``: keep how the events of a module look, so that no change goes unseen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import Refused
from core.settings import load_settings

if TYPE_CHECKING:
    from core.registry import Module


def golden(
    module: Annotated[str, typer.Option("--module", metavar="M", help="Whose events.")],
    event: Annotated[
        str | None, typer.Option("--event", metavar="TYPE", help="Only this one.")
    ] = None,
    payload: Annotated[
        Path | None,
        typer.Option("--payload", metavar="FILE", help="A payload of it, as JSON; else made up."),
    ] = None,
) -> None:
    """Write a golden file for each event that has none, and add new optional fields to the others.

    An event that breaks what was published is refused; nothing is written then.
    """
    from core.checks.sources import package_of
    from core.events.golden import folder_of, plan
    from core.registry import load_carefully

    found = _enabled(load_carefully(load_settings()).modules.get(module), module)
    assert found.hooks is not None
    folder = folder_of(package_of(found.hooks.implementation))
    events = [it for it in found.declared.events if event in (None, it.event_type)]
    given = _read(payload, event)
    if folder is None or not events:
        raise Refused(f"{module} declares no event {event}" if event else f"{module} has no events")
    for it in [plan(each, folder, payload=given) for each in events]:  # all, or none is written
        it.write()
        typer.echo(f"{_shown(it.path)} {it.done}")


def _enabled(found: Module | None, name: str) -> Module:
    if found is None or found.state == "disabled":
        raise Refused(f"no module {name!r} is enabled here")
    if found.state == "failed":
        raise Refused(f"module {name!r} has failed: {found.reason}")
    return found


def _read(path: Path | None, event: str | None) -> Any:
    if path is None:
        return None
    if event is None:
        raise typer.BadParameter("say whose payload that is: --event TYPE")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Refused(f"{path} cannot be read as JSON: {error}") from error


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
