"""Every query of the orders. Lists load the lines of all their orders with one query more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, insert, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel.sql.expression import Select, SelectOfScalar

from core.plugin import Session, WritableSession
from modules.orders.contracts import OrderDTO, OrderLineDTO, Status
from modules.orders.models import Line, Order

orders = Order.metadata.tables["orders_orders"]
order_lines = Line.metadata.tables["orders_lines"]
_o, _l = orders.c, order_lines.c
COLUMNS = tuple(_o[name] for name in OrderDTO.__slots__ if name != "lines")
LINE_COLUMNS = tuple(_l[name] for name in OrderLineDTO.__slots__)

FIRST_VERSION = 1
"""That of a new order."""

_ADD = insert(orders).returning(_o.id)
_ADD_LINES = insert(order_lines)
_LINES: Select[*tuple[Any, ...]] = (
    Select(_l.order_id, *LINE_COLUMNS)
    .where(_l.order_id.in_(bindparam("ids", expanding=True)))
    .order_by(_l.order_id, _l.position)
)


async def get(session: Session, order_id: int, *, user_id: int | None) -> OrderDTO | None:
    """One order with its lines; with `user_id`, only if it is that user's."""
    found = await find(session, user_id=user_id, only=order_id, limit=1)
    return found[0] if found else None


async def find(
    session: Session,
    *,
    user_id: int | None = None,
    status: Status | None = None,
    only: int | None = None,
    after: int = 0,
    skip: int = 0,
    limit: int,
) -> list[OrderDTO]:
    """Orders in the order of their ids, with their lines."""
    wanted = {_o.user_id: user_id, _o.status: status, _o.id: only}
    conditions = [column == value for column, value in wanted.items() if value is not None]
    if after:
        conditions.append(_o.id > after)
    statement: Select[*tuple[Any, ...]] = Select(*COLUMNS).where(*conditions).order_by(_o.id)
    rows = await session.exec(statement.offset(skip or None).limit(limit))
    return await with_lines(session, [OrderDTO(*row) for row in rows])


async def with_lines(session: Session, found: Sequence[OrderDTO]) -> list[OrderDTO]:
    """The same orders with their lines."""
    if not found:
        return []
    lines: dict[int, list[OrderLineDTO]] = defaultdict(list)
    for order_id, *line in await session.exec(_LINES, params={"ids": [o.id for o in found]}):
        lines[order_id].append(OrderLineDTO(*line))
    return [replace(order, lines=tuple(lines[order.id])) for order in found]


async def status_of(session: Session, order_id: int, *, user_id: int | None) -> Status | None:
    """Where an order stands; None when there is none (or, with `user_id`, it is another's)."""
    statement: SelectOfScalar[Status] = SelectOfScalar(_o.status).where(_o.id == order_id)
    if user_id is not None:
        statement = statement.where(_o.user_id == user_id)
    return (await session.exec(statement)).first()


async def move(
    session: WritableSession,
    order_id: int,
    new: Status,
    *,
    old: Status,
    user_id: int | None,
) -> tuple[OrderDTO, int] | None:
    """The order (without its lines) as moved from `old` to `new`, and its version.

    None when it stood elsewhere: of two who try at once, one gets None.
    """
    statement = update(orders).where(_o.id == order_id, _o.status == old)
    if user_id is not None:
        statement = statement.where(_o.user_id == user_id)
    changed = statement.values(status=new, version=_o.version + 1).returning(*COLUMNS, _o.version)
    row = (await session.exec(changed)).first()
    return (OrderDTO(*row[:-1]), row[-1]) if row else None


async def add(session: WritableSession, order: OrderDTO) -> OrderDTO:
    """A new order with its lines; given back with its id."""
    row = {name: getattr(order, name) for name in OrderDTO.__slots__ if name not in ("id", "lines")}
    row |= {"created_at": order.placed_at, "version": FIRST_VERSION}
    order_id = (await session.exec(_ADD, params=row)).one()[0]
    await add_lines(session, [(order_id, order.lines)])
    return replace(order, id=order_id)


async def add_lines(
    session: WritableSession, lines_of: Iterable[tuple[int, Sequence[OrderLineDTO]]]
) -> None:
    """The lines of one or many new orders, by order id, in one statement."""
    rows = [
        {"order_id": order_id, "position": position, **asdict(line)}
        for order_id, lines in lines_of
        for position, line in enumerate(lines, start=1)
    ]
    await session.exec(_ADD_LINES, params=rows)


async def known_refs(session: Session, refs: Collection[str]) -> set[str]:
    """Those of the references that an order already has."""
    statement: SelectOfScalar[str] = SelectOfScalar(_o.external_ref)
    return set(await session.exec(statement.where(_o.external_ref.in_(refs))))


async def add_by_ref(session: WritableSession, new: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Many orders at once; their ids by reference, but for those another import was first with.

    In the order of references, so that two imports of the same orders do not wait for each other.
    """
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = (
        dialect.insert(orders)
        .on_conflict_do_nothing(index_elements=[_o.external_ref])
        .returning(_o.external_ref, _o.id)
    )
    now = datetime.now(UTC)
    rows = [{**order, "created_at": now, "version": FIRST_VERSION} for order in new]
    rows.sort(key=lambda row: row["external_ref"])
    return {row[0]: row[1] for row in await session.exec(statement, params=rows)}
