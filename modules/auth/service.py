"""The rules of signing in: register, login, refresh, logout."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta

from core.plugin import Context, WritableSession
from modules.auth import repository
from modules.auth.contracts import InvalidCredentials, InvalidToken
from modules.auth.models import RefreshSession
from modules.auth.passwords import Passwords
from modules.auth.throttle import Throttle
from modules.auth.tokens import Access, AccessTokens, digest, new_refresh_token
from modules.users.contracts import Standing, UserDTO, Users


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a sign-in gives; `expires_in` is the access token's life in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int
    token_type: str = "bearer"


@dataclass(frozen=True, slots=True)
class _Checked:
    user_id: int
    old_hash: str
    better_hash: str | None


class AuthService:
    """Signs users in and out.

    `login`, `refresh` and `logout` open sessions of their own: what they count or revoke must stay
    although the request is refused, and no transaction may be open while a password is hashed.
    """

    def __init__(
        self,
        context: Context,
        *,
        users: Users,
        passwords: Passwords,
        tokens: AccessTokens,
        throttle: Throttle,
        refresh_lifetime: timedelta,
    ) -> None:
        self._context = context
        self._users = users
        self._passwords = passwords
        self._tokens = tokens
        self._throttle = throttle
        self._refresh_lifetime = refresh_lifetime

    async def register(
        self, session: WritableSession, *, name: str, email: str, password: str
    ) -> UserDTO:
        """A new user with a password. Raises EmailTaken."""
        hashed = await self._passwords.hash(password)  # before the transaction begins
        user = await self._users.register(session, name=name, email=email)
        await repository.set_password_hash(session, user.id, hashed)
        return user

    async def login(self, *, email: str, password: str, address: str | None) -> Tokens:
        """Sign in; `address` is the caller's network address.

        Raises InvalidCredentials, TooManySignIns.
        """
        account = email.strip().lower()
        async with self._throttle.attempt(account=account, address=address):
            checked = await self._check(account, password)
        return await self._open(checked)

    async def _check(self, email: str, password: str) -> _Checked:
        """Unknown, without a password, deactivated, wrong: the same answer after the same work."""
        async with self._context.read() as session:
            user = await self._users.by_email(session, email)
            stored = await repository.password_hash(session, user.id if user else 0)
        verdict = await self._passwords.check(password, stored)
        if not verdict.right or user is None or stored is None or not user.is_active:
            raise InvalidCredentials("No active user has this address and password.")
        return _Checked(user.id, old_hash=stored, better_hash=verdict.upgraded)

    async def _open(self, checked: _Checked) -> Tokens:
        async with self._context.write() as session:
            standing = await self._users.standing(session, checked.user_id)
            if standing is None or not standing.is_active:  # ended while the password was checked
                raise InvalidCredentials("No active user has this address and password.")
            if checked.better_hash is not None:
                await repository.replace_hash(
                    session, checked.user_id, old=checked.old_hash, new=checked.better_hash
                )
            await repository.sweep_sessions(session)
            return await self._issue(
                session, checked.user_id, standing=standing, family=uuid.uuid4().hex
            )

    async def _issue(
        self, session: WritableSession, user_id: int, *, standing: Standing, family: str
    ) -> Tokens:
        refresh_token = new_refresh_token()
        row = RefreshSession(
            user_id=user_id,
            family=family,
            token_hash=digest(refresh_token),
            expires_at=repository.now() + self._refresh_lifetime,
        )
        await repository.add_session(session, row)
        access = Access(user_id=user_id, epoch=standing.epoch, session=family)
        return Tokens(
            access_token=self._tokens.issue(access),
            refresh_token=refresh_token,
            expires_in=int(self._tokens.lifetime.total_seconds()),
        )

    async def refresh(self, refresh_token: str) -> Tokens:
        """New tokens for a refresh token, which is used up by it.

        One that is used a second time has been stolen, before or after: the whole family ends
        (RFC 9700, 4.14.2). There is no time of grace: a thief would have it too. So a client sends
        one refresh at a time. Raises InvalidToken.
        """
        async with self._context.write() as session:
            tokens = await self._rotate(session, refresh_token)
        if tokens is None:  # raised only here: what was revoked must be committed
            raise InvalidToken("The refresh token has expired, or was used or revoked.")
        return tokens

    async def _rotate(self, session: WritableSession, refresh_token: str) -> Tokens | None:
        row = await repository.lock_session(session, digest(refresh_token))
        if row is None or row.revoked_at is not None or row.expires_at <= repository.now():
            return None
        standing = await self._users.standing(session, row.user_id)
        if row.rotated_at is not None or standing is None or not standing.is_active:
            await repository.revoke_family(session, row.family)
            return None
        row.rotated_at = repository.now()
        return await self._issue(session, row.user_id, standing=standing, family=row.family)

    async def logout(self, session: WritableSession, refresh_token: str) -> None:
        """End the sign-in that the token came from; one that is not known is as good as ended."""
        row = await repository.lock_session(session, digest(refresh_token))
        if row is not None:
            await repository.revoke_family(session, row.family)
