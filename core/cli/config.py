"""``config``: every setting in force, and where each came from. Secrets are masked."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from pydantic.types import SecretBytes, SecretStr
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core import discovery
from core.aside import aside
from core.errors import ModuleFailure
from core.masking import MASK, mask_urls, one_line
from core.settings import ModuleSection, Settings, core_fields, load_settings, module_settings
from core.settings_errors import is_secret
from core.settings_modules import section_note
from core.settings_sources import flatten

app = typer.Typer(no_args_is_help=True, help="The settings in force.")


@dataclass(frozen=True, slots=True)
class Line:
    """One setting as it is shown: no secret is in it."""

    key: str
    value: Any
    origin: str
    note: str = ""


@app.callback()
def _group() -> None:
    pass


@app.command("show")
def show(
    origin: Annotated[
        bool, typer.Option("--origin", help="Say where each setting came from.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """Every setting in force, core's and each module's, with secrets masked."""
    settings = load_settings()
    lines = [*core_lines(settings), *module_lines(settings)]
    if as_json:
        documents = [{k: v for k, v in asdict(x).items() if k != "note" or v} for x in lines]
        typer.echo(json.dumps(documents, indent=2, ensure_ascii=False))
    elif sys.stdout.isatty():
        _print_table(lines, origin=origin)
    else:
        for line in lines:
            typer.echo(_plain(line, origin=origin))
    for warning in settings.warnings:
        typer.echo(f"warning: {warning}", err=True)


def core_lines(settings: Settings) -> Iterator[Line]:
    """Core's own settings in the order of the sections."""
    for key, _, _ in core_fields():
        value: Any = settings
        for name in key.split("."):
            value = value[name] if isinstance(value, Mapping) else getattr(value, name)
        origin = settings.origins.get(key, "default")
        yield Line(key, _shown(key, value, origin=origin), origin)


# --- modules ---


def module_lines(settings: Settings) -> Iterator[Line]:
    """Each module's section. An enabled module is asked for its defaults; others are not loaded."""
    installed = discovery.find()
    for name, section in sorted(settings.modules.items()):
        note = section_note(name, section, installed)
        values: Mapping[str, Any] = section.options
        if not note:
            values, note = _with_defaults(installed[name], section)
        own = {"enabled": section.enabled, "required": section.required, **values}
        for key, value in flatten(own, prefix=f"modules.{name}."):
            origin = _origin(settings, key)
            said = note if key == f"modules.{name}.enabled" else ""
            yield Line(key, _shown(key, value, origin=origin), origin, said)


def _with_defaults(found: discovery.Found, section: ModuleSection) -> tuple[Mapping[str, Any], str]:
    """The module's settings as it will see them, or as they were written and why that is all."""
    try:
        model = _model_of(aside(discovery.load, found))
        if model is None:
            return section.options, ""
        return _tree(module_settings(section, model, module=found.id)), ""
    except ModuleFailure as failure:
        return section.options, one_line(f"failed: {failure.reason}")


def _model_of(module: object) -> type[BaseModel] | None:
    hook = getattr(module, "settings", None)
    if hook is None:
        return None
    try:
        model = hook()
    except Exception as error:
        raise ModuleFailure(f"its settings() raised {type(error).__name__}") from None
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def _tree(model: BaseModel) -> dict[str, Any]:
    return {k: _tree(v) if isinstance(v, BaseModel) else v for k, v in model}


def _origin(settings: Settings, key: str) -> str:
    """Where a key, or the table around it, came from."""
    while key.count(".") > 1:
        if key in settings.origins:
            return settings.origins[key]
        key = key.rpartition(".")[0]
    return "default"


# --- how a value is shown ---


def _shown(key: str, value: Any, *, origin: str) -> Any:
    """The value as JSON knows it, masked when its type, its name or its origin says secret."""
    if isinstance(value, SecretStr | SecretBytes):
        return MASK if value.get_secret_value() else ""
    if value is None or isinstance(value, bool):
        return value
    if value not in ("", 0) and (is_secret(key) or origin.startswith("secrets directory")):
        return MASK
    return _plain_value(value)


def _plain_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _shown(str(k), v, origin="") for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown("", item, origin="") for item in value]
    if isinstance(value, int | float):
        return value
    if isinstance(value, date):
        return value.isoformat()
    return mask_urls(str(value), prose=False)


def _text(value: Any) -> str:
    """As it would be written in settings.toml; nothing stands for what is not set."""
    if value is None:
        return "(not set)"
    if isinstance(value, str):
        return one_line(value) if value else '""'
    return json.dumps(value, ensure_ascii=False)


def _plain(line: Line, *, origin: bool) -> str:
    told = "  ".join(filter(None, (line.origin if origin else "", line.note)))
    return f"{line.key} = {_text(line.value)}" + (f"  ({told})" if told else "")


def _print_table(lines: list[Line], *, origin: bool) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("setting", style="cyan", overflow="fold")
    table.add_column("value", overflow="fold", ratio=1)
    if origin:
        table.add_column("from", style="dim", overflow="fold")
    section = ""
    for line in lines:
        if section not in ("", _section(line)):
            table.add_row()
        section = _section(line)
        cells = [Text(line.key), _value_cell(line), Text(line.origin)]
        table.add_row(*cells[: 3 if origin else 2])
    Console().print(table)


def _section(line: Line) -> str:
    parts = line.key.split(".")
    return ".".join(parts[: 2 if parts[0] == "modules" else 1])


def _value_cell(line: Line) -> Text:
    cell = Text(_text(line.value), style="dim" if line.origin == "default" else "")
    if line.note:
        cell.append(f"  {line.note}", style="yellow")
    return cell
