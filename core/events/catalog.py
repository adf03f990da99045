"""The catalogue: every event type of a generation, its schema, and how a payload is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from core.errors import TesseraError, Unavailable
from core.events.event import Event, Upcaster, module_of


class Undecodable(TesseraError):
    """A stored event cannot be read; the text says which type and why."""


class EventCatalog:
    """Event classes by type, and the upcasters between their versions."""

    def __init__(
        self,
        classes: Iterable[type[Event]],
        upcasters: Iterable[Upcaster[Any, Any]],
        *,
        away: Iterable[str] = (),
        only_listed: bool = False,
    ) -> None:
        """`away` are modules that are installed and not enabled: what only they can read waits.

        What lifts older versions to a class counts though nobody lists it, unless `only_listed`.
        """
        self._only_listed = only_listed
        self._classes: dict[str, type[Event]] = {}
        self._upcasters: dict[str, Upcaster[Any, Any]] = {}
        self._away = frozenset(away)
        for known in classes:
            self._add(known)
        self._upcasters |= {it.old.event_type: it for it in upcasters}

    def _add(self, known: type[Event]) -> None:
        """A class, and the older versions of which its own file makes it."""
        self._classes[known.event_type] = known
        if self._only_listed:
            return
        for upcaster in known.__dict__.get("upcasters", ()):
            self._upcasters[upcaster.old.event_type] = upcaster
            if upcaster.old.event_type not in self._classes:
                self._add(upcaster.old)

    def __contains__(self, event_type: str) -> bool:
        return event_type in self._classes

    def modules(self) -> set[str]:
        """Those that publish any of the events."""
        return {it.event_module for it in self._classes.values()}

    def aggregate_type(self, event_type: str) -> str | None:
        """``<module>.<aggregate>`` of a type's events; None when no enabled module declares it."""
        known = self._classes.get(event_type)
        return f"{known.event_module}.{known.aggregate}" if known is not None else None

    def schemas(self) -> Mapping[str, dict[str, Any]]:
        """The JSON Schema of each type."""
        return {name: it.model_json_schema() for name, it in sorted(self._classes.items())}

    def decode(self, event_type: str, payload: str) -> Event:
        """The event of a payload, in the version in which it was written.

        Raises Undecodable, or Unavailable when a module can read it that is not enabled.
        """
        known = self._classes.get(event_type)
        if known is None:
            self.refuse_absent(event_type)
            raise Undecodable(f"no enabled module declares the event type {event_type!r}")
        try:
            return known.model_validate_json(payload)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"])) or "the payload"
            raise Undecodable(f"{event_type}: {place}: {first['msg']}") from error

    def lift(self, event: Event, wanted: Mapping[str, Any]) -> Event | None:
        """The event in a version that is one of `wanted`, upcast if need be; None if there is none.

        Raises Undecodable when an upcaster raises, or gives what it does not say that it gives.
        """
        while event.event_type not in wanted:
            upcaster = self._upcasters.get(event.event_type)
            if upcaster is None:
                return None
            event = _lifted(upcaster, event)
        return event

    def refuse_absent(self, event_type: str) -> None:
        """Raises Unavailable when the type is one of a module that is installed and not enabled."""
        owner = module_of(event_type)
        if owner in self._away:
            raise Unavailable(f"only {owner} can read {event_type}, and it is not enabled")

    def sources(self, event_type: str) -> set[str]:
        """The type itself and every older version that is lifted to it."""
        found = {event_type}
        while (
            more := {old for old, it in self._upcasters.items() if it.new.event_type in found}
            - found
        ):
            found |= more
        return found


def _lifted(upcaster: Upcaster[Any, Any], event: Event) -> Event:
    """One version further: what is of another, or of the same again, would be lifted for ever."""
    step = f"{upcaster.old.event_type} to {upcaster.new.event_type}"
    try:
        lifted: Event = upcaster(event)
    except Exception as error:
        raise Undecodable(f"{step}: {error!r}") from error
    if type(lifted) is not upcaster.new:
        name = getattr(upcaster.lift, "__qualname__", repr(upcaster.lift))
        wanted, given = upcaster.new.__name__, type(lifted).__name__
        raise Undecodable(f"{step}: {name} returned a {given}, not a {wanted}")
    return lifted
