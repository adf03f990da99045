"""Events against their golden files: what was published once must be readable for ever."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path

from core.checks.context import CheckContext
from core.checks.finding import Finding
from core.events import golden
from core.events.catalog import EventCatalog, Undecodable
from core.events.event import Event
from core.events.golden import Golden, Unreadable


def check_events(context: CheckContext) -> Iterator[Finding]:
    """T701 to T705 for the events that a module publishes, or once did."""
    declared = {event.event_type: event for event in context.events}
    catalog = EventCatalog(context.events, context.upcasters, only_listed=True)
    there: set[str] = set()
    for path in golden.files_of(context.package, context.module):
        there.add(path.stem)
        try:
            found = golden.read(path)
        except Unreadable as error:
            yield context.found("T703", _place(context, path), str(error), _WRITE_ANEW)
            continue
        yield from _compared(context, found, declared.get(path.stem))
        yield from _decoded(context, found, catalog, declared)
    for event in context.events:
        if event.event_type not in there:
            yield context.found(
                "T702",
                _stands(context, event),
                f"how {event.event_type} looks is kept nowhere, so that any change would pass",
                f"tessera events golden --module {context.module}",
            )


_WRITE_ANEW = "take it from the history; or, if that version was never published, write it anew"


def _place(context: CheckContext, path: Path) -> str:
    return context.at(path, 1)


def _stands(context: CheckContext, event: type[Event]) -> str:
    """Where a class is written."""
    try:
        _, line = inspect.getsourcelines(event)
        return context.at(inspect.getsourcefile(event) or "", line)
    except (OSError, TypeError):
        return event.event_type


def _compared(context: CheckContext, kept: Golden, event: type[Event] | None) -> Iterator[Finding]:
    if event is None:
        return
    breaches = kept.breaches(event)
    if breaches:
        yield context.found(
            "T701",
            _stands(context, event),
            f"{kept.event_type} was published in another form: {'; '.join(breaches)}",
            f"leave it as it was, and make version {event.event_version + 1} with an upcaster",
        )
    elif kept.is_behind(event):
        yield context.found(
            "T705",
            _stands(context, event),
            f"{kept.event_type} has fields that its golden file does not hold it to",
            f"tessera events golden --module {context.module}",
        )


def _decoded(
    context: CheckContext,
    kept: Golden,
    catalog: EventCatalog,
    declared: dict[str, type[Event]],
) -> Iterator[Finding]:
    """Whether the payload of then is read today, and lifted to the newest version."""
    place = _place(context, kept.path)
    if kept.event_type not in declared:
        yield context.found(
            "T704",
            place,
            f"nobody declares {kept.event_type} any more: what was published cannot be read",
            f"list its class in events() of {context.module}, with an upcaster",
        )
        return
    try:
        event = catalog.decode(kept.event_type, json.dumps(kept.payload))
        newest = _newest(event, declared)
        lifted = catalog.lift(event, {newest: None})
    except Undecodable as error:
        if not kept.breaches(declared[kept.event_type]):  # else it has been told
            remedy = "let the class, or the upcaster, take what was published"
            yield context.found("T703", place, str(error), remedy)
        return
    if lifted is None:
        yield context.found(
            "T704",
            place,
            f"there is no upcaster from {kept.event_type} to {newest}",
            f"write one, @upcast({type(event).__name__}, …), and list it in events()",
        )


def _newest(event: Event, declared: dict[str, type[Event]]) -> str:
    """The type of an event's newest version."""
    name = event.event_type.rpartition(".")[0]
    versions = [it for it in declared.values() if it.event_type.rpartition(".")[0] == name]
    return max(versions, key=lambda it: it.event_version).event_type
