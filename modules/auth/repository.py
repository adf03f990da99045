"""Every query on credentials, refresh sessions and attempts to sign in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import case, delete, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import bindparam, col, select

from core.plugin import Session, WritableSession
from modules.auth.models import Attempt, Credential, RefreshSession

SWEEP = 100
"""Old rows that one unit of work removes at most."""

_HASH = select(Credential.password_hash).where(Credential.user_id == bindparam("user_id"))


def now() -> datetime:
    return datetime.now(UTC)


def _upsert(session: WritableSession, table: type[Any]) -> Any:
    """INSERT with ON CONFLICT, which both databases have in the same words."""
    insert = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
    return insert[session.get_bind().dialect.name](table)


# ── credentials ──────────────────────────────────────────────────────────────────────────────────


async def password_hash(session: Session, user_id: int) -> str | None:
    return (await session.exec(_HASH, params={"user_id": user_id})).first()


async def set_password_hash(session: WritableSession, user_id: int, hashed: str) -> None:
    changed = {"password_hash": hashed, "changed_at": now()}
    statement = _upsert(session, Credential).values(user_id=user_id, **changed)
    await session.exec(
        statement.on_conflict_do_update(index_elements=[col(Credential.user_id)], set_=changed)
    )


async def replace_hash(session: WritableSession, user_id: int, *, old: str, new: str) -> None:
    """Unless the password was changed since `old` was read."""
    await session.exec(
        update(Credential)
        .where(col(Credential.user_id) == user_id, col(Credential.password_hash) == old)
        .values(password_hash=new, changed_at=now())
    )


async def forget(session: WritableSession, user_id: int) -> None:
    await session.exec(delete(Credential).where(col(Credential.user_id) == user_id))
    await session.exec(delete(RefreshSession).where(col(RefreshSession.user_id) == user_id))


# ── refresh sessions ─────────────────────────────────────────────────────────────────────────────


async def add_session(session: WritableSession, row: RefreshSession) -> None:
    session.add(row)
    await session.flush()


async def lock_session(session: WritableSession, token_hash: str) -> RefreshSession | None:
    """The row of a refresh token, locked: of two that come at once the second sees the first."""
    query = select(RefreshSession).where(RefreshSession.token_hash == token_hash).with_for_update()
    return (await session.exec(query)).first()


async def revoke_family(session: WritableSession, family: str) -> None:
    await _revoke(session, col(RefreshSession.family) == family)


async def revoke_user(session: WritableSession, user_id: int) -> None:
    await _revoke(session, col(RefreshSession.user_id) == user_id)


async def _revoke(session: WritableSession, which: Any) -> None:
    # Lock first: a rotation under way ends, and the row that it adds is seen by the update.
    living = col(RefreshSession.revoked_at).is_(None)
    ordered = select(RefreshSession.id).where(which, living).order_by(col(RefreshSession.id))
    await session.exec(ordered.with_for_update())
    await session.exec(update(RefreshSession).where(which, living).values(revoked_at=now()))


async def sweep_sessions(session: WritableSession) -> None:
    """Remove some that have expired."""
    old = (
        select(RefreshSession.id)
        .where(RefreshSession.expires_at < now())
        .limit(SWEEP)
        .with_for_update(skip_locked=True)
    )
    await session.exec(delete(RefreshSession).where(col(RefreshSession.id).in_(old)))


# ── attempts to sign in ──────────────────────────────────────────────────────────────────────────


async def begin_attempt(
    session: WritableSession, subject: str, *, window_ends: datetime
) -> tuple[int, int, datetime]:
    """Count one more attempt as pending: ``(failures, pending, end of the window)``.

    The row stays locked until the transaction ends. A window that is over begins anew.
    """
    over = col(Attempt.window_ends) <= now()
    insert = _upsert(session, Attempt).values(
        subject=subject, failures=0, pending=1, window_ends=window_ends
    )
    statement = insert.on_conflict_do_update(
        index_elements=[col(Attempt.subject)],
        set_={
            "failures": case((over, 0), else_=col(Attempt.failures)),
            "pending": case((over, 1), else_=col(Attempt.pending) + 1),
            "window_ends": case((over, window_ends), else_=col(Attempt.window_ends)),
        },
    ).returning(Attempt.failures, Attempt.pending, Attempt.window_ends)
    failures, pending, ends = (await session.exec(statement)).one()
    return failures, pending, ends


async def settle_attempt(session: WritableSession, subject: str, *, failed: bool) -> None:
    """A pending attempt has failed, or is taken back."""
    await session.exec(
        update(Attempt)
        .where(col(Attempt.subject) == subject)
        .values(failures=col(Attempt.failures) + int(failed), pending=_one_less())
    )


async def clear_failures(session: WritableSession, subject: str) -> None:
    """A pending attempt has succeeded: the failures before it do not count any more."""
    await session.exec(
        update(Attempt)
        .where(col(Attempt.subject) == subject)
        .values(failures=0, pending=_one_less())
    )


def _one_less() -> Any:
    return case((col(Attempt.pending) > 0, col(Attempt.pending) - 1), else_=0)


async def sweep_attempts(session: WritableSession) -> None:
    """Remove some whose window is over. Last in a transaction: it waits for no lock."""
    old = (
        select(Attempt.subject)
        .where(Attempt.window_ends < now())
        .limit(SWEEP)
        .with_for_update(skip_locked=True)
    )
    await session.exec(delete(Attempt).where(col(Attempt.subject).in_(old)))
