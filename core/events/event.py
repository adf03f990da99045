"""An event: something that happened, of a type whose published form never changes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from core.events.losses import loss

TYPE_PATTERN = re.compile(r"([a-z][a-z0-9]{1,19})\.([a-z][a-z0-9_]{0,59})\.v([1-9][0-9]{0,3})")
OldT = TypeVar("OldT", bound="Event")
NewT = TypeVar("NewT", bound="Event")


def module_of(event_type: str) -> str:
    """Who publishes events of that type."""
    return event_type.partition(".")[0]


class Event(BaseModel):
    """The ground of all events; a subclass names its type, its aggregate and the key in it::

        class OrderPaid(Event, type="orders.order_paid.v1", aggregate="order", key="order_id"):
            order_id: int

    The type is ``<module>.<past tense>.v<n>``. Events of one aggregate (the order of that id)
    reach each subscriber in their order. What was published once must decode for ever: a change
    that old payloads do not survive is a new class with the next version, see `upcast`.

    Raises TypeError where the class is made, when a name is malformed, the key is no field, or a
    field would not come back from its payload as it was (see `core.events.losses`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_type: ClassVar[str] = ""
    event_module: ClassVar[str] = ""
    event_version: ClassVar[int] = 0
    aggregate: ClassVar[str] = ""
    key_field: ClassVar[str] = ""
    upcasters: ClassVar[tuple[Upcaster[Any, Any], ...]] = ()
    """What lifts older versions to this one. With the class, so that whoever subscribes to it can
    read them also while its module is off."""

    def __init_subclass__(
        cls, *, type: str = "", aggregate: str = "", key: str = "", **options: Any
    ) -> None:
        super().__init_subclass__(**options)

    @classmethod
    def __pydantic_init_subclass__(
        cls, *, type: str = "", aggregate: str = "", key: str = "", **options: Any
    ) -> None:
        """Take the keywords of the class statement."""
        super().__pydantic_init_subclass__(**options)
        found = TYPE_PATTERN.fullmatch(type)
        if found is None:
            raise TypeError(
                f'{cls.__name__}: type={type!r} is not "<module>.<past_tense>.v<n>", '
                'such as "orders.order_created.v1"'
            )
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", aggregate):
            raise TypeError(f"{cls.__name__}: aggregate={aggregate!r} is no name such as 'order'")
        if key not in cls.model_fields:
            raise TypeError(f"{cls.__name__}: key={key!r} is none of its fields")
        cls.event_type, cls.event_module, cls.event_version = type, found[1], int(found[3])
        cls.aggregate, cls.key_field = aggregate, key

    @classmethod
    def __pydantic_on_complete__(cls) -> None:
        """Refuse what would be lost; later than the rest where types are named ahead of time."""
        super().__pydantic_on_complete__()
        if lost := loss(cls):
            raise TypeError(f"{cls.__name__}: {lost}")

    @property
    def aggregate_type(self) -> str:
        """``<module>.<aggregate>``: modules may each have an aggregate of one name."""
        return f"{self.event_module}.{self.aggregate}"

    @property
    def aggregate_id(self) -> str:
        """Which one: the value of the key field as text, of an enum's member what it stands for."""
        value = getattr(self, self.key_field)
        return str(value.value if isinstance(value, Enum) else value)


@dataclass(frozen=True, slots=True)
class Upcaster(Generic[OldT, NewT]):
    """Lifts a payload of an old version to the next one; made by `upcast`, listed in `events()`."""

    old: type[OldT]
    new: type[NewT]
    lift: Callable[[OldT], NewT]

    def __call__(self, event: OldT) -> NewT:
        return self.lift(event)


def upcast(
    old: type[OldT], new: type[NewT]
) -> Callable[[Callable[[OldT], NewT]], Upcaster[OldT, NewT]]:
    """Decorate the function that makes a `new` of an `old`::

        @upcast(OrderPaidV1, OrderPaid)
        def with_currency(old: OrderPaidV1) -> OrderPaid:
            return OrderPaid(order_id=old.order_id, currency="USD")

    Raises TypeError when the two are not versions of one event.
    """
    if old.event_type.rpartition(".")[0] != new.event_type.rpartition(".")[0]:
        raise TypeError(f"{old.event_type} and {new.event_type} are not versions of one event")
    if old.event_version >= new.event_version:
        raise TypeError(f"an upcaster lifts: {new.event_type} is not after {old.event_type}")

    def made(lift: Callable[[OldT], NewT]) -> Upcaster[OldT, NewT]:
        upcaster = Upcaster(old, new, lift)
        new.upcasters = (*new.__dict__.get("upcasters", ()), upcaster)
        return upcaster

    return made
