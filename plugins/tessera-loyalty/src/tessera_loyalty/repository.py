"""Every query of loyalty; nothing here commits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import delete, func, insert, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel.sql.expression import Select

from core.plugin import Session, WritableSession
from tessera_loyalty.contracts import AccountDTO
from tessera_loyalty.models import Account, Movement

Reason = Literal["granted", "earned", "spent"]

accounts = Account.metadata.tables["loyalty_accounts"]
movements = Movement.metadata.tables["loyalty_movements"]
_a, _m = accounts.c, movements.c
COLUMNS = (_a.user_id, _a.points, _a.redeem)


async def find(session: Session, user_id: int) -> AccountDTO | None:
    """Somebody's account, if there is one yet."""
    statement: Select[*tuple[Any, ...]] = Select(*COLUMNS).where(_a.user_id == user_id)
    row = (await session.exec(statement)).first()
    return AccountDTO(*row) if row else None


async def lock(session: WritableSession, user_id: int, **changes: Any) -> AccountDTO:
    """Somebody's account, made if need be, changed if asked, and locked until the commit.

    One statement: the update that changes nothing is what locks the row on PostgreSQL. On SQLite
    a write session is alone anyway.
    """
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    new = {"user_id": user_id, "points": 0, "redeem": False, **changes}
    statement = (
        dialect.insert(accounts)
        .values(**new)
        .on_conflict_do_update(index_elements=[_a.user_id], set_=changes or {"user_id": user_id})
        .returning(*COLUMNS)
    )
    return AccountDTO(*(await session.exec(statement)).one())


async def lock_known(session: WritableSession, user_id: int) -> AccountDTO | None:
    """Somebody's account, locked until the commit; None when there is none, or no longer."""
    statement = (
        update(accounts).where(_a.user_id == user_id).values(user_id=user_id).returning(*COLUMNS)
    )
    row = (await session.exec(statement)).first()
    return AccountDTO(*row) if row else None


async def moved_by(session: Session, user_id: int, *, order_id: int) -> dict[Reason, int]:
    """What an order has moved on somebody's account until now, by reason."""
    statement: Select[*tuple[Any, ...]] = (
        Select(_m.reason, func.sum(_m.points))
        .where(_m.order_id == order_id, _m.user_id == user_id)
        .group_by(_m.reason)
    )
    return {reason: int(points) for reason, points in await session.exec(statement)}


async def move(
    session: WritableSession,
    account: AccountDTO,
    moved: dict[Reason, int],
    *,
    order_id: int | None = None,
) -> AccountDTO:
    """The account, which the caller has locked, after these points came or went."""
    common = {"user_id": account.user_id, "moved_at": datetime.now(UTC), "order_id": order_id}
    rows = [
        {**common, "points": points, "reason": reason} for reason, points in moved.items() if points
    ]
    if not rows:
        return account
    points = account.points + sum(moved.values())
    statement = update(accounts).where(_a.user_id == account.user_id).values(points=points)
    await session.exec(statement)
    await session.exec(insert(movements), params=rows)
    return AccountDTO(account.user_id, points, account.redeem)


async def forget(session: WritableSession, user_id: int) -> None:
    """Somebody's account and all that moved on it.

    The account first: whoever has it locked may be writing a movement.
    """
    await session.exec(delete(accounts).where(_a.user_id == user_id))
    await session.exec(delete(movements).where(_m.user_id == user_id))
