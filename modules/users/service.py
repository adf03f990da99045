"""The rules of users: who may see and change whom, and that an active admin always remains."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal

from core.plugin import Forbidden, Principal, Session, Unprocessable, WritableSession, record
from modules.users import repository
from modules.users.contracts import (
    ADMIN,
    CredentialStore,
    LastAdmin,
    Standing,
    UserDTO,
    UserNotFound,
    normalise_email,
)
from modules.users.events import UserDeleted, UserRegistered, UserUpdated
from modules.users.models import User

MANAGE = "users:manage"
MadeAdmin = Literal["created", "promoted", "unchanged"]


def _found(user: UserDTO | None, user_id: int) -> UserDTO:
    if user is None:
        raise UserNotFound(f"There is no user {user_id}.")
    return user


async def _changed(session: WritableSession, user_id: int, values: dict[str, Any]) -> UserDTO:
    """The user as changed. Raises UserNotFound, EmailTaken."""
    user = _found(await repository.change(session, user_id, values), user_id)
    record(session, UserUpdated(user_id=user_id))
    return user


def _must_be_self_or_manager(by: Principal, user_id: int) -> None:
    if by.id != user_id and not by.can(MANAGE):
        raise Forbidden(f"This is another user; it needs the permission {MANAGE}.")


class UserService:
    """Implements `contracts.Users`; `credentials` is None where nobody keeps passwords."""

    def __init__(self, *, credentials: CredentialStore | None) -> None:
        self._credentials = credentials

    # ── for other modules ────────────────────────────────────────────────────────────────────────

    async def get(self, session: Session, user_id: int) -> UserDTO | None:
        return await repository.by_id(session, user_id)

    async def by_email(self, session: Session, email: str) -> UserDTO | None:
        try:
            return await repository.by_email(session, normalise_email(email))
        except ValueError:
            return None

    async def ids_by_email(self, session: Session, emails: Collection[str]) -> dict[str, int]:
        wanted: dict[str, str] = {}
        for email in emails:
            try:
                wanted[email] = normalise_email(email)
            except ValueError:
                continue
        known = await repository.ids_by_email(session, set(wanted.values())) if wanted else {}
        return {given: known[email] for given, email in wanted.items() if email in known}

    async def standing(self, session: Session, user_id: int) -> Standing | None:
        return await repository.standing(session, user_id)

    async def register(
        self, session: WritableSession, *, name: str, email: str, role: str = "user"
    ) -> UserDTO:
        user = await repository.add(
            session, User(name=name, email=normalise_email(email), role=role)
        )
        record(session, UserRegistered(user_id=user.id, name=user.name, email=user.email))
        return user

    # ── for the API ──────────────────────────────────────────────────────────────────────────────

    async def page(
        self,
        session: Session,
        *,
        limit: int,
        skip: int = 0,
        after: int = 0,
        role: str | None = None,
        active: bool | None = None,
    ) -> Sequence[UserDTO]:
        """Users by id: `limit` of those above `after` that fit, the first `skip` left out."""
        return await repository.page(
            session, after=after, skip=skip, limit=limit, role=role, active=active
        )

    async def show(self, session: Session, user_id: int, *, by: Principal) -> UserDTO:
        """One user. Raises Forbidden for somebody else's, UserNotFound."""
        _must_be_self_or_manager(by, user_id)
        return _found(await repository.by_id(session, user_id), user_id)

    async def create(
        self,
        session: WritableSession,
        *,
        name: str,
        email: str,
        role: str = "user",
        password: str | None = None,
    ) -> UserDTO:
        """A new user. Raises EmailTaken; Unprocessable for a password that nobody would keep."""
        hashed = await self._hash(password) if password is not None else None
        user = await self.register(session, name=name, email=email, role=role)
        if hashed is not None and self._credentials is not None:
            await self._credentials.set_password(session, user.id, hashed)
        return user

    async def _hash(self, password: str) -> str:
        if self._credentials is None:
            raise Unprocessable.at(
                "body", "password", msg="no module that keeps passwords is enabled here"
            )
        return await self._credentials.hash(password)

    async def change(
        self, session: WritableSession, user_id: int, changes: dict[str, Any], *, by: Principal
    ) -> UserDTO:
        """Set some of ``name`` and ``email``. Raises Forbidden, UserNotFound, EmailTaken."""
        if not changes:
            return await self.show(session, user_id, by=by)
        _must_be_self_or_manager(by, user_id)
        return await _changed(session, user_id, changes)

    async def set_role(self, session: WritableSession, user_id: int, role: str) -> UserDTO:
        """Raises UserNotFound, LastAdmin."""
        if role != ADMIN:
            await self._keep_an_admin_without(session, user_id)
        return await _changed(session, user_id, {"role": role})

    async def set_active(self, session: WritableSession, user_id: int, active: bool) -> UserDTO:
        """Let a user sign in, or end all that it has signed in. Raises UserNotFound, LastAdmin."""
        values: dict[str, Any] = {"is_active": active}
        if not active:
            await self._keep_an_admin_without(session, user_id)
            values["epoch"] = User.epoch + 1
        user = await _changed(session, user_id, values)
        if not active and self._credentials is not None:
            await self._credentials.revoke(session, user_id)
        return user

    async def remove(self, session: WritableSession, user_id: int) -> None:
        """Delete a user with its credentials. Raises UserNotFound, LastAdmin."""
        await self._keep_an_admin_without(session, user_id)
        if not await repository.remove(session, user_id):
            raise UserNotFound(f"There is no user {user_id}.")
        if self._credentials is not None:
            await self._credentials.forget(session, user_id)
        record(session, UserDeleted(user_id=user_id))

    async def _keep_an_admin_without(self, session: WritableSession, user_id: int) -> None:
        if list(await repository.lock_active_admins(session)) == [user_id]:
            raise LastAdmin("This is the last active admin; make somebody else admin first.")

    # ── for the command line ─────────────────────────────────────────────────────────────────────

    async def hash_if_kept(self, password: str) -> str | None:
        """The hash, or None where nobody keeps passwords."""
        return await self._credentials.hash(password) if self._credentials is not None else None

    async def make_admin(
        self, session: WritableSession, *, name: str, email: str, password_hash: str | None
    ) -> MadeAdmin:
        """See to it that `email` is an active admin who signs in with that password.

        A user that is there already gets the password too, and whatever it had signed in ends:
        otherwise whoever registered the operator's address first would become admin.
        """
        user = await self.by_email(session, email)
        if user is not None and user.role == ADMIN and user.is_active:
            return "unchanged"
        if user is None:
            made = await self.register(session, name=name, email=email, role=ADMIN)
            await self._set_password(session, made.id, password_hash)
            return "created"
        values = {"role": ADMIN, "is_active": True, "epoch": User.epoch + 1}
        await _changed(session, user.id, values)
        await self._set_password(session, user.id, password_hash)
        return "promoted"

    async def _set_password(
        self, session: WritableSession, user_id: int, password_hash: str | None
    ) -> None:
        if self._credentials is not None and password_hash is not None:
            await self._credentials.set_password(session, user_id, password_hash)
            await self._credentials.revoke(session, user_id)
