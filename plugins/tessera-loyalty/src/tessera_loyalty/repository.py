"""Every query of loyalty; nothing here commits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import delete, insert, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel.sql.expression import Select

from core.plugin import Session, WritableSession
from tessera_loyalty.contracts import AccountDTO
from tessera_loyalty.models import Account, Movement

Reason = Literal["granted", "earned", "spent"]

accounts = Account.metadata.tables["loyalty_accounts"]
movements = Movement.metadata.tables["loyalty_movements"]
_a = accounts.c
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


async def move(
    session: WritableSession, account: AccountDTO, moved: dict[Reason, int]
) -> AccountDTO:
    """The account, which the caller has locked, after these points came or went."""
    rows = [
        {"user_id": account.user_id, "points": points, "reason": reason, "moved_at": now}
        for now in [datetime.now(UTC)]
        for reason, points in moved.items()
        if points
    ]
    if not rows:
        return account
    points = account.points + sum(moved.values())
    statement = update(accounts).where(_a.user_id == account.user_id).values(points=points)
    await session.exec(statement)
    await session.exec(insert(movements), params=rows)
    return AccountDTO(account.user_id, points, account.redeem)


async def forget(session: WritableSession, user_id: int) -> None:
    """Somebody's account and all that moved on it."""
    await session.exec(delete(movements).where(movements.c.user_id == user_id))
    await session.exec(delete(accounts).where(_a.user_id == user_id))
