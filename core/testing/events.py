"""What a test knows of events: what was published, and how it comes to its subscribers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, overload

from sqlalchemy import select

from core.events.by_hand import ByHand
from core.events.event import Event
from core.events.tables import deliveries, outbox

if TYPE_CHECKING:
    from core.testing.app import RunningApp

T = TypeVar("T")
EventT = TypeVar("EventT", bound=Event)
LOOK_SECONDS = 0.02
NO_HAND = (
    "this application delivers by itself: start it with app_factory(..., by_hand=True), "
    "or wait for what is to happen with `scenario`"
)


class DeliveryFailed(AssertionError):
    """A subscriber's handler did not do its work; the text says whose, for which event and why."""


@dataclass(frozen=True, slots=True)
class FailedDelivery:
    """A delivery whose handler raised; `dead` when it was the last try.

    `waits` when it raised Unavailable: that counts as no try, and it is tried again for ever.
    """

    group: str
    type: str
    attempts: int
    reason: str
    dead: bool
    waits: bool = False

    def __str__(self) -> str:
        if self.waits:
            return f"{self.group} waits at {self.type}: {self.reason}"
        return f"{self.group} failed at {self.type} (try {self.attempts}): {self.reason}"


class Events(Sequence[Event]):
    """The events that an application has published, in the order in which they were recorded.

    A list that grows: each look at it reads the database, so it holds what was committed and
    nothing else. It equals a list of the same events.
    """

    def __init__(self, app: Callable[[], RunningApp]) -> None:
        self._app = app

    def of(self, kind: type[EventT]) -> list[EventT]:
        """Those of one class."""
        return [it for it in self if isinstance(it, kind)]

    def deliver(self, *, failing: bool = False) -> int:
        """Give every subscriber what is due, also what handlers publish; how many deliveries.

        Only for an application that was started with ``by_hand=True``; it raises RuntimeError in
        any other. Raises DeliveryFailed when a handler has raised, unless `failing` allows it: then
        see `failed`, and move the clock before the next try. What raised Unavailable is tried again
        by the next call, as it is in production until the server is back.
        """
        app = self._app()
        if app.settings.server.role != "api":
            raise RuntimeError(NO_HAND)
        hand = self._by_hand(app)
        made = app.run(hand.deliver)
        app.waiting = hand.waiting
        if not failing and (found := self.failed()):
            raise DeliveryFailed("; ".join(map(str, found)))
        return made

    def failed(self) -> list[FailedDelivery]:
        """The deliveries that have failed and were not made since, those that wait included.

        What waits for a server is known of an application that is delivered to by hand.
        """
        d, waiting = deliveries.c, self._app().waiting
        wanted = (
            select(d.seq, d.group_name, outbox.c.type, d.attempts, d.last_error, d.state == "dead")
            .join_from(deliveries, outbox, outbox.c.seq == d.seq)
            .order_by(d.seq)
        )
        found = []
        for seq, group, kind, attempts, reason, dead in self._rows(wanted):
            away = waiting.get((group, seq, attempts))
            if attempts or away:
                waits = away is not None
                found.append(FailedDelivery(group, kind, attempts, away or reason, dead, waits))
        return found

    @overload
    def __getitem__(self, index: int) -> Event: ...

    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...

    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        return self._read()[index]

    def __len__(self) -> int:
        return len(self._read())

    def __eq__(self, other: object) -> bool:
        return self._read() == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as a list: it changes

    def __repr__(self) -> str:
        return repr(self._read())

    def _read(self) -> list[Event]:
        decode = self._app().generation.events.catalog.decode
        written = select(outbox.c.type, outbox.c.payload).order_by(outbox.c.seq)
        return [decode(*row) for row in self._rows(written)]

    def _rows(self, statement: Any) -> list[Any]:
        app = self._app()

        async def read() -> list[Any]:
            assert app.asgi.resources is not None
            async with app.asgi.resources.database.reader.connect() as connection:
                return [tuple(row) for row in await connection.execute(statement)]

        return app.run(read)

    def _by_hand(self, app: RunningApp) -> ByHand:
        assert app.asgi.resources is not None
        return ByHand(
            app.generation.events,
            contexts=app.generation.contexts,
            database=app.asgi.resources.database,
            settings=app.settings.events,
        )


class Scenario:
    """When this, then that: ``with scenario() as then:`` holds what happens, `then` what follows.

    Only what was published after the block had begun counts. An application that is delivered to
    by hand is delivered to at each look.
    """

    def __init__(self, app: Callable[[], RunningApp]) -> None:
        self._app = app
        self._before = 0

    def __enter__(self) -> Scenario:
        self._before = len(self._app().events)
        return self

    def __exit__(self, *_: object) -> None: ...

    @property
    def published(self) -> list[Event]:
        """What was published since the block began."""
        return self._app().events[self._before :]

    def event(
        self,
        kind: type[EventT],
        *,
        where: Callable[[EventT], bool] | None = None,
        within: float = 5.0,
    ) -> EventT:
        """The first event of that class (for which `where` holds), within so many seconds.

        Raises AssertionError when there is none by then, with what was published instead.
        """

        def find() -> EventT | None:
            found = (it for it in self.published if isinstance(it, kind))
            return next((it for it in found if where is None or where(it)), None)

        happened = self._await(find, within)
        if happened is None:
            raise AssertionError(f"no {kind.__name__} within {within:g} s; {self._instead()}")
        return happened

    def holds(self, condition: Callable[[], T], *, within: float = 5.0) -> T:
        """What `condition` gives as soon as it is true, within so many seconds.

        Raises AssertionError otherwise, with what was published and which handlers failed.
        """
        value = self._await(condition, within)
        if not value:
            raise AssertionError(f"still {value!r} after {within:g} s; {self._instead()}")
        return value

    def _await(self, look: Callable[[], T], within: float) -> T:
        app, deadline = self._app(), time.monotonic() + within
        by_hand = app.settings.server.role == "api"
        while True:
            if by_hand:
                app.events.deliver(failing=True)
            if (found := look()) or time.monotonic() > deadline:
                return found
            time.sleep(LOOK_SECONDS)

    def _instead(self) -> str:
        said = [f"published since: {self.published or 'nothing'}"]
        return "; ".join([*said, *map(str, self._app().events.failed())])
