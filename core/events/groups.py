"""What the enabled modules declare of events, put together; and the rows of their groups."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version
from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from core.errors import ModuleFailure
from core.events.catalog import EventCatalog
from core.events.clock import now_by
from core.events.event import module_of
from core.events.subscription import Broadcast, Replayable, Subscription
from core.events.tables import group_types, groups

if TYPE_CHECKING:
    from core.db.session import WritableSession
    from core.registry import Module, Registry


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """One subscribing module: its subscriptions by event type, every stored type it is to get.

    `version` is the module's.
    """

    name: str
    subscriptions: Mapping[str, Sequence[Subscription]]
    types: frozenset[str]
    version: str
    replayable: Replayable | None = None
    away: frozenset[str] = frozenset()
    """Modules to whose events it subscribes, and which are not enabled."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A module's broadcast subscription, and every stored type that it is to hear of."""

    module: str
    subscription: Broadcast
    types: frozenset[str]


@dataclass(frozen=True, slots=True)
class EventPlan:
    """All events, groups and listeners of one generation."""

    catalog: EventCatalog = field(default_factory=lambda: EventCatalog((), ()))
    groups: tuple[GroupPlan, ...] = ()
    listeners: tuple[Listener, ...] = ()
    enabled: frozenset[str] = frozenset()


def plan_of(registry: Registry) -> EventPlan:
    """The events and subscriptions of all enabled modules.

    A subscriber's classes count too, with what lifts older versions to them: events of a module
    that is disabled now, or has failed, are still read.
    """
    enabled = registry.enabled
    ids = frozenset(module.id for module in enabled)
    subscribed = [it.event for m in enabled for it in _all_subscriptions(m)]
    declared = [event for m in enabled for event in m.declared.events]
    upcasters = [it for m in enabled for it in m.declared.upcasters]
    catalog = EventCatalog([*subscribed, *declared], upcasters, away=registry.modules.keys() - ids)
    found = [_group_of(module, catalog, ids) for module in enabled if _subscriptions(module)]
    listeners = [
        Listener(m.id, it, frozenset(catalog.sources(it.event.event_type)))
        for m in enabled
        for it in m.declared.subscriptions
        if isinstance(it, Broadcast)
    ]
    return EventPlan(catalog, tuple(found), tuple(listeners), ids)


def _subscriptions(module: Module) -> list[Subscription]:
    return [it for it in module.declared.subscriptions if isinstance(it, Subscription)]


def _all_subscriptions(module: Module) -> list[Subscription | Broadcast]:
    return [it for it in module.declared.subscriptions if isinstance(it, Subscription | Broadcast)]


def _group_of(module: Module, catalog: EventCatalog, enabled: frozenset[str]) -> GroupPlan:
    by_type: dict[str, list[Subscription]] = {}
    for subscription in _subscriptions(module):
        by_type.setdefault(subscription.event.event_type, []).append(subscription)
    types = frozenset().union(*(catalog.sources(name) for name in by_type))
    again = [it for it in module.declared.subscriptions if isinstance(it, Replayable)]
    assert module.manifest is not None
    version = module.manifest.version
    publishers = {it.event.event_module for it in _subscriptions(module)}
    return GroupPlan(
        module.id,
        by_type,
        types,
        version,
        again[0] if again else None,
        frozenset(publishers - enabled),
    )


def check_subscriptions(module: Module, registry: Registry) -> None:
    """Raises ModuleFailure for a subscription to what nobody declares, or does not let one see.

    So it does for a handler that cannot be called with what it will be given: every delivery to it
    would end as a dead letter.
    """
    assert module.manifest is not None
    within_reach = {module.id, *module.manifest.requires, *module.manifest.optional}
    for subscription in _all_subscriptions(module):
        event = subscription.event
        owner = event.event_module
        if owner not in within_reach:
            raise ModuleFailure(
                f"it subscribes to {event.event_type!r} without requiring {owner!r}",
                remedy=f"add {owner!r} to requires (or optional) in its manifest",
            )
        _refuse_misfit(subscription)
        there = registry.modules.get(owner)
        if there is None or there.state != "enabled":
            continue
        if event not in there.declared.events:
            raise ModuleFailure(
                f"it subscribes to {event.event_type!r}, which {owner!r} does not declare",
                remedy=f"list {event.__name__} in events() of {owner!r}",
            )


def _refuse_misfit(subscription: Subscription | Broadcast) -> None:
    handler, given = subscription.handler, subscription.given
    try:
        # What is called is the wrapper, whatever the function in it takes.
        signature = inspect.signature(handler, follow_wrapped=False)
    except ValueError:  # what is written in C may have none
        return
    try:
        signature.bind(*given)
    except TypeError as error:
        name = getattr(handler, "__qualname__", type(handler).__name__)
        raise ModuleFailure(
            f"its handler {name}({', '.join(signature.parameters)}) of "
            f"{subscription.event.event_type!r} is called with ({', '.join(given)}): {error}",
            remedy=f"let {name} take ({', '.join(given)})",
        ) from None


async def register(session: WritableSession, plan: EventPlan) -> None:
    """Let the groups of a generation be known to the relay; those of others stay as they are.

    A type that a newer version of the module has registered stays as well: while versions replace
    each other, a process of the old one may start anew, and must not take it from the new. So does
    one of a module that is not enabled: who could lift it to what the group wants is not here.
    """
    name = session.get_bind().dialect.name
    dialect = postgresql if name == "postgresql" else sqlite
    # The slower of two clocks: by a fast one, what is recorded next would be from before `since`.
    here = datetime.now(UTC)
    now = min(here, await session.scalar(select(now_by(name))) or here)
    for group in sorted(plan.groups, key=lambda group: group.name):
        made = dialect.insert(groups).values(name=group.name, created_at=now)
        await session.exec(made.on_conflict_do_nothing())
        mine = Version(group.version)
        query = select(group_types.c.type, group_types.c.version)
        query = query.where(group_types.c.group_name == group.name)
        known: dict[str, str | None] = dict((await session.exec(query)).all())  # type: ignore[call-overload]
        older = {name for name, version in known.items() if not _is_newer(version, mine)}
        gone = {it for it in older - group.types if module_of(it) in plan.enabled}
        await _forget(session, group.name, gone)
        rows = [
            {"type": name, "group_name": group.name, "since": now, "version": group.version}
            for name in sorted(group.types - (known.keys() - older))
        ]
        wanted = dialect.insert(group_types)
        wanted = wanted.on_conflict_do_update(
            index_elements=["type", "group_name"], set_={"version": wanted.excluded.version}
        )
        if rows:
            await session.exec(wanted, params=rows)


def _is_newer(version: str | None, than: Version) -> bool:
    try:
        return version is not None and Version(version) > than
    except InvalidVersion:
        return False


async def _forget(session: WritableSession, group: str, types: Iterable[str]) -> None:
    gone = delete(group_types).where(
        group_types.c.group_name == group,
        group_types.c.type.in_(bindparam("types", expanding=True)),
    )
    await session.exec(gone, params={"types": sorted(types)})
