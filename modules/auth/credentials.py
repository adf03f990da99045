"""The port of users behind which passwords are kept: `modules.users.contracts.CredentialStore`."""

from __future__ import annotations

from core.plugin import Session, WritableSession
from modules.auth import repository
from modules.auth.passwords import Passwords


class Credentials:
    """Implements CredentialStore. It knows nothing of users, so that users may ask for it."""

    def __init__(self, passwords: Passwords) -> None:
        self._passwords = passwords

    async def hash(self, password: str) -> str:
        return await self._passwords.hash(password)

    async def set_password(
        self, session: WritableSession, user_id: int, password_hash: str
    ) -> None:
        await repository.set_password_hash(session, user_id, password_hash)

    async def has_password(self, session: Session, user_id: int) -> bool:
        return await repository.password_hash(session, user_id) is not None

    async def revoke(self, session: WritableSession, user_id: int) -> None:
        await repository.revoke_user(session, user_id)

    async def forget(self, session: WritableSession, user_id: int) -> None:
        await repository.forget(session, user_id)
