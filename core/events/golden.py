"""Golden files: how each published version of an event looked, kept beside its module for ever.

``golden/<type>.json`` in the module's package holds the schema, the aggregate and key, and one
payload that must decode as long as the file is there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from core.errors import Refused
from core.events.compatibility import breaking_changes
from core.events.event import TYPE_PATTERN, Event
from core.events.samples import sample_of

FOLDER = "golden"


class Unreadable(Exception):
    """A golden file that is none; the text says why."""


@dataclass(frozen=True, slots=True)
class Golden:
    """What one golden file says."""

    path: Path
    payload: Mapping[str, Any]
    schema: Mapping[str, Any]
    aggregate: str
    key: str

    @property
    def event_type(self) -> str:
        """The type that it is about: the file's name."""
        return self.path.stem

    def breaches(self, event: type[Event]) -> list[str]:
        """What the class of today breaks."""
        found = breaking_changes(self.schema, event.model_json_schema())
        for what, then, now in (
            ("aggregate", self.aggregate, event.aggregate),
            ("key", self.key, event.key_field),
        ):
            if then != now:
                found.append(f"the {what} was {then!r}, is {now!r}")
        return found

    def is_behind(self, event: type[Event]) -> bool:
        """Whether the class has optional fields that the file does not hold it to yet."""
        return bool(breaking_changes(event.model_json_schema(), self.schema))


def folder_of(package: str) -> Path | None:
    """Where a package keeps its golden files, whether there are any or not."""
    module = sys.modules.get(package)
    for entry in getattr(module, "__path__", ()):
        return Path(entry) / FOLDER
    file = getattr(module, "__file__", None)
    return Path(file).parent / FOLDER if file else None


def files_of(package: str, module_id: str) -> Iterator[Path]:
    """The golden files of a module, readable or not; a package may hold those of several."""
    folder = folder_of(package)
    for path in sorted(folder.glob("*.json")) if folder else ():
        named = TYPE_PATTERN.fullmatch(path.stem)
        if named is None or named[1] == module_id:
            yield path


def read(path: Path) -> Golden:
    """What a file says. Raises Unreadable."""
    if not TYPE_PATTERN.fullmatch(path.stem):
        raise Unreadable("its name is no event type such as orders.order_created.v1")
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return Golden(path, told["payload"], told["schema"], told["aggregate"], told["key"])
    except KeyError as error:
        raise Unreadable(f"it has no {error}") from error
    except (OSError, ValueError, TypeError) as error:
        raise Unreadable(f"it is no golden file: {error}") from error


@dataclass(frozen=True, slots=True)
class Planned:
    """A golden file that is to be as it says."""

    path: Path
    done: str
    text: str

    def write(self) -> None:
        """Write it. Raises Refused where that cannot be done."""
        try:
            self.path.parent.mkdir(exist_ok=True)
            self.path.write_text(self.text, encoding="utf-8")
        except OSError as error:
            raise Refused(f"{self.path} cannot be written: {error.strerror or error}") from error


def plan(event: type[Event], folder: Path, *, payload: Any = None) -> Planned:
    """How an event's golden file is to be: new, or with the optional fields that came since.

    Raises Refused for an event that breaks what was kept of it, and for a file that cannot be read.
    """
    path = folder / f"{event.event_type}.json"
    if not path.exists():
        made = sample_of(event) if payload is None else payload
        return Planned(path, "is new", text_of(event, made))
    try:
        kept = read(path)
    except Unreadable as error:
        raise Refused(f"{path}: {error}; mend it, it is not written over") from error
    if breaches := kept.breaches(event):
        raise Refused(
            f"{event.event_type} was published in another form: {'; '.join(breaches)}; "
            f"leave it as it was, and make version {event.event_version + 1} with an upcaster"
        )
    if payload is not None:
        raise Refused(f"{path} is there, and its payload stays as it was published")
    done = "has the new fields" if kept.is_behind(event) else "is as it was"
    return Planned(path, done, text_of(event, kept.payload))


def text_of(event: type[Event], payload: Any) -> str:
    """A golden file. Raises Refused for a payload that the event does not take."""
    try:
        event.model_validate_json(json.dumps(payload))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the payload"
        raise Refused(f"that is no {event.event_type}: {place}: {first['msg']}") from error
    document = {
        "aggregate": event.aggregate,
        "key": event.key_field,
        "payload": payload,
        "schema": event.model_json_schema(),
    }
    return json.dumps(document, indent=2) + "\n"
