"""What a module declares before it lives: settings, tables, migrations, services, permissions.

Each is held against the rules (a table's name starts with the module's id, a permission is
``<id>:<verb>``, nothing is claimed twice); the first breach is the module's reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict
from sqlmodel import SQLModel

from core.errors import ModuleFailure, text_of
from core.events.event import Event, Upcaster
from core.events.subscription import Broadcast, Replayable, Subscription
from core.hooks import Hooks
from core.identity import Permission
from core.services import is_replacement

if TYPE_CHECKING:
    from core.settings import ModuleSection

Claims = dict[tuple[str, Any], str]
_CLASHES = {"table": "T002", "permission": "T003", "service": "T010"}


SECTION = {"enabled", "required"}
"""Keys of every module's section, which core reads itself."""


class NoSettings(BaseModel):
    """A module without settings of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Declarations:
    """A module's answers to the declaring hooks."""

    settings: BaseModel = field(default_factory=NoSettings)
    tables: Sequence[type[SQLModel]] = ()
    migrations: str | None = None
    services: Mapping[type[Any], Callable[[Any], Any]] = field(default_factory=dict)
    permissions: Sequence[Permission] = ()
    events: Sequence[type[Event]] = ()
    upcasters: Sequence[Upcaster[Any, Any]] = ()
    subscriptions: Sequence[Subscription | Broadcast | Replayable] = ()


def declare(hooks: Hooks, section: ModuleSection, claims: Claims) -> Declarations:
    """Ask a module for its declarations and claim their names for it.

    Raises ModuleFailure; nothing of the module is claimed then.
    """
    mine: Claims = {}
    published = _events(hooks)
    declared = Declarations(
        settings=_settings(hooks, section),
        tables=_tables(hooks, mine),
        migrations=_migrations(hooks),
        services=_services(hooks, mine),
        permissions=_permissions(hooks, mine),
        events=[it for it in published if not isinstance(it, Upcaster)],
        upcasters=[it for it in published if isinstance(it, Upcaster)],
        subscriptions=hooks.sequence("subscriptions", of=(Subscription, Broadcast, Replayable)),
    )
    for claim in mine:
        if claim in claims and not _replaces(claim, claims[claim], declared, hooks):
            kind, name = claim
            shown = name.__qualname__ if isinstance(name, type) else name
            raise ModuleFailure(
                f"the {kind} {shown!r} is already claimed by {claims[claim]!r}",
                remedy="rename it, or disable one of the two modules",
                code=_CLASHES[kind],
                rival=claims[claim],
            )
    claims.update(mine)
    return declared


def _replaces(claim: tuple[str, Any], owner: str, declared: Declarations, hooks: Hooks) -> bool:
    """Whether a claim is on a service that the module may take the place of."""
    kind, contract = claim
    if kind != "service" or not is_replacement(declared.services[contract]):
        return False
    return owner in hooks.manifest().requires


def _settings(hooks: Hooks, section: ModuleSection) -> BaseModel:
    from core.settings import module_settings

    model = hooks.call("settings") or NoSettings
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise hooks.wrong("settings", "a pydantic model class", model)
    if model.model_config.get("extra") != "forbid":
        raise ModuleFailure(
            f"its settings class {model.__name__} lets unknown keys pass",
            remedy='give it model_config = ConfigDict(extra="forbid", frozen=True)',
        )
    names = {it for name, field in model.model_fields.items() for it in (name, field.alias or "")}
    if taken := sorted(names & SECTION):
        raise ModuleFailure(
            f"its settings class {model.__name__} has a field {taken[0]!r}, which says of every "
            "module whether it lives",
            remedy="give the field another name",
        )
    return module_settings(section, model, module=hooks.module_id)


def _tables(hooks: Hooks, mine: Claims) -> Sequence[type[SQLModel]]:
    tables: Sequence[type[SQLModel]] = hooks.sequence("tables", of=type)
    for table in tables:
        name = getattr(table, "__tablename__", None)
        if not isinstance(name, str) or not hasattr(table, "__table__"):
            raise ModuleFailure(
                f"{table.__name__} in tables() is no SQLModel table",
                remedy="declare it with table=True and a __tablename__",
            )
        if not name.startswith(f"{hooks.module_id}_"):
            raise ModuleFailure(
                f"its table {name!r} does not start with {hooks.module_id + '_'!r}",
                remedy=f"name it {hooks.module_id}_{name}",
            )
        mine["table", name] = hooks.module_id
    _map(tables)
    return tables


def _map(tables: Sequence[type[SQLModel]]) -> None:
    """Let the mapper be made now, which the first query would make. Raises ModuleFailure.

    One that cannot be made takes all classes of its registry with it.
    """
    from sqlalchemy.orm import class_mapper

    for table in tables:
        try:
            class_mapper(table, configure=True)
        except Exception as error:
            raise ModuleFailure(
                f"its table {table.__name__} cannot be mapped: {text_of(error)}",
                remedy="mend the relationship that it names; derive tables from table_base(), so "
                "that no other module's mistake is theirs",
            ) from error


def _migrations(hooks: Hooks) -> str | None:
    from core.db.revisions import ModuleMigrations

    location = hooks.call("migrations")
    if location is None:
        return None
    if not isinstance(location, str) or ":" not in location:
        raise hooks.wrong("migrations", 'text like "package:folder"', location)
    ModuleMigrations(hooks.module_id, location).folder()  # raises where there is none
    return location


def _services(hooks: Hooks, mine: Claims) -> Mapping[type[Any], Callable[[Any], Any]]:
    services = hooks.call("services") or {}
    if not isinstance(services, Mapping):
        raise hooks.wrong("services", "a mapping {contract: factory}", services)
    for contract, factory in services.items():
        if not isinstance(contract, type):
            raise ModuleFailure(
                f"its hook services() offers a service as {contract!r}, which is no class",
                remedy="name it by its contract: {Contract: factory}",
            )
        if not callable(factory):
            raise hooks.wrong("services", "a mapping {contract: factory}", factory)
        mine["service", contract] = hooks.module_id
    return services


def _permissions(hooks: Hooks, mine: Claims) -> Sequence[Permission]:
    permissions: Sequence[Permission] = hooks.sequence("permissions", of=Permission)
    for permission in permissions:
        if ("permission", permission.name) in mine:
            raise ModuleFailure(
                f"it declares the permission {permission.name!r} twice: which roles have it?",
                remedy="declare it once, with all its roles",
                code="T003",
                place=permission.name,
            )
        if not re.fullmatch(rf"{hooks.module_id}:[a-z][a-z-]*", permission.name):
            raise ModuleFailure(
                f"its permission {permission.name!r} is not named {hooks.module_id}:<verb>",
                remedy="rename it",
            )
        mine["permission", permission.name] = hooks.module_id
    return permissions


def _events(hooks: Hooks) -> Sequence[type[Event] | Upcaster[Any, Any]]:
    known: dict[str, type[Event]] = {}
    published: Sequence[Any] = hooks.sequence("events", of=(type, Upcaster))
    for event in published:
        if isinstance(event, Upcaster):
            continue
        if not issubclass(event, Event):
            raise hooks.wrong("events", "a list of Event classes and upcasters", event)
        event.model_rebuild()  # its types may have been named ahead of time
        if event.event_module != hooks.module_id:
            own = f"{hooks.module_id}."
            raise ModuleFailure(
                f"its event type {event.event_type!r} does not start with {own!r}",
                remedy=f"name it {hooks.module_id}.<past_tense>.v1",
            )
        if known.setdefault(event.event_type, event) is not event:
            raise ModuleFailure(
                f"{known[event.event_type].__name__} and {event.__name__} are both the event type "
                f"{event.event_type!r}",
                remedy="give one of them the next version, or another name",
            )
    return published
