"""Every query on users."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import delete, insert, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import bindparam, col, select

from core.plugin import Session, WritableSession
from modules.users.contracts import ADMIN, EmailTaken, Standing, UserDTO
from modules.users.models import User

_COLUMNS: tuple[Any, ...] = (
    User.id,
    User.name,
    User.email,
    User.role,
    User.is_active,
    User.created_at,
)
_BY_ID = select(*_COLUMNS).where(User.id == bindparam("user_id"))
_BY_EMAIL = select(*_COLUMNS).where(User.email == bindparam("email"))
_STANDING = select(User.role, User.is_active, User.epoch).where(User.id == bindparam("user_id"))


def _dto(row: Any) -> UserDTO | None:
    return UserDTO(*row) if row is not None else None


async def by_id(session: Session, user_id: int) -> UserDTO | None:
    return _dto((await session.exec(_BY_ID, params={"user_id": user_id})).first())


async def by_email(session: Session, email: str) -> UserDTO | None:
    return _dto((await session.exec(_BY_EMAIL, params={"email": email})).first())


async def ids_by_email(session: Session, emails: Collection[str]) -> dict[str, int]:
    rows = await session.exec(select(User.email, User.id).where(col(User.email).in_(emails)))
    return {email: user_id for email, user_id in rows if user_id is not None}


async def standing(session: Session, user_id: int) -> Standing | None:
    row = (await session.exec(_STANDING, params={"user_id": user_id})).first()
    return Standing(*row) if row is not None else None


async def page(
    session: Session,
    *,
    after: int = 0,
    skip: int = 0,
    limit: int,
    role: str | None,
    active: bool | None,
) -> Sequence[UserDTO]:
    """Users by id, those above `after`, leaving out `skip`."""
    query = select(*_COLUMNS).where(col(User.id) > after)
    if role is not None:
        query = query.where(User.role == role)
    if active is not None:
        query = query.where(User.is_active == active)
    rows = await session.exec(query.order_by(col(User.id)).offset(skip).limit(limit))
    return [UserDTO(*row) for row in rows]


async def add(session: WritableSession, user: User) -> UserDTO:
    """Raises EmailTaken; a savepoint keeps the rest of the transaction alive then."""
    values = user.model_dump(exclude={"id"})
    try:
        async with session.begin_nested():
            row = (await session.exec(insert(User).values(values).returning(*_COLUMNS))).one()
    except IntegrityError:
        raise EmailTaken(f"{user.email} is taken.") from None
    return UserDTO(*row)


async def change(session: WritableSession, user_id: int, values: dict[str, Any]) -> UserDTO | None:
    """The changed user, None when there is no such one. Raises EmailTaken."""
    statement = update(User).where(col(User.id) == user_id).values(values).returning(*_COLUMNS)
    try:
        async with session.begin_nested():
            return _dto((await session.exec(statement)).first())
    except IntegrityError:
        raise EmailTaken(f"{values['email']} is taken.") from None


async def remove(session: WritableSession, user_id: int) -> bool:
    """Whether there was such a user."""
    result = await session.exec(delete(User).where(col(User.id) == user_id))
    return result.rowcount > 0


async def lock_active_admins(session: WritableSession) -> Sequence[int | None]:
    """The ids of the active admins, their rows locked until the transaction ends.

    Two requests that each take away one of the last two admins meet here, and the second sees what
    the first has done. SQLite has one writer at a time and needs no lock.
    """
    query = (
        select(User.id)
        .where(User.role == ADMIN, col(User.is_active).is_(True))
        .order_by(col(User.id))
        .with_for_update()
    )
    return (await session.exec(query)).all()
