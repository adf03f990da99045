"""How often one may guess: failures a window, for each account and for each network address.

Each attempt is counted as pending before its password is looked at, in a transaction of its own:
a hundred parallel guesses get no more tries than five in a row, and the count outlives the rollback
of the request. Who is refused is not counted, so that it lengthens nobody's waiting. While failures
are below the limit and only attempts under way reach it, a newcomer waits for those a moment: a
crowd that signs in at one time from one office is no attack.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from core.plugin import Context
from modules.auth import repository
from modules.auth.contracts import InvalidCredentials, TooManySignIns
from modules.auth.settings import AuthSettings

PATIENCE = 5.0
"""Seconds that an attempt waits for others under way."""


class _OthersUnderWay(Exception):
    """The limit would be reached if all that is pending failed."""


class Throttle:
    """Counts attempts to sign in, in the database, for all processes together."""

    def __init__(self, context: Context, settings: AuthSettings) -> None:
        self._context = context
        self._per_account = settings.failures_per_account
        self._per_address = settings.failures_per_address
        self._window = timedelta(seconds=settings.failure_window_seconds)

    @asynccontextmanager
    async def attempt(self, *, account: str, address: str | None) -> AsyncIterator[None]:
        """A block that checks one password: InvalidCredentials raised in it is a failure, its end a
        success, anything else neither. Raises TooManySignIns in place of running the block."""
        who, where = account_subject(account), address_subject(address)
        await self._wait_and_begin(who, where)
        try:
            yield
        except InvalidCredentials:
            await self._settle(who, where, failed=True)
            raise
        except Exception:  # nothing was learnt of the password
            await self._settle(who, where, failed=False)
            raise
        await self._succeed(who, where)

    async def _wait_and_begin(self, who: str, where: str | None) -> None:
        pause, waited = 0.02, 0.0
        while True:
            try:
                return await self._begin(who, where)
            except _OthersUnderWay:
                if waited >= PATIENCE:
                    raise TooManySignIns(retry_after=1) from None
            await asyncio.sleep(pause)
            waited += pause
            pause = min(pause * 2, 0.4)

    async def _begin(self, who: str, where: str | None) -> None:
        """Always the account before the address: in one order, nobody waits in a circle."""
        ends = repository.now() + self._window
        async with self._context.write() as session:
            for subject, limit in ((who, self._per_account), (where, self._per_address)):
                if subject is not None:
                    counted = await repository.begin_attempt(session, subject, window_ends=ends)
                    _allow(*counted, limit=limit)

    async def _settle(self, who: str, where: str | None, *, failed: bool) -> None:
        async with self._context.write() as session:
            await repository.settle_attempt(session, who, failed=failed)
            if where is not None:
                await repository.settle_attempt(session, where, failed=failed)
            await repository.sweep_attempts(session)

    async def _succeed(self, who: str, where: str | None) -> None:
        async with self._context.write() as session:
            await repository.clear_failures(session, who)
            if where is not None:
                await repository.settle_attempt(session, where, failed=False)


def _allow(failures: int, pending: int, ends: datetime, *, limit: int) -> None:
    """`pending` includes the one that asks; what is raised here takes its count back."""
    if failures >= limit:
        left = (ends - repository.now()).total_seconds()
        raise TooManySignIns(
            "Too many failed sign-ins. Wait before you try again.",
            retry_after=max(1, math.ceil(left)),
        )
    if failures + pending > limit:
        raise _OthersUnderWay


def account_subject(email: str) -> str:
    """Hashed: what people type here may be anything, of any length."""
    return "account:" + hashlib.sha256(email.encode(errors="replace")).hexdigest()


def address_subject(address: str | None) -> str | None:
    """An IPv6 address counts by its /64, of which one customer has all."""
    if not address:
        return None
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return f"address:{address}"[:80]
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        return f"address:{ip.ipv4_mapped}"
    if ip.version == 6:
        return f"address:{ipaddress.ip_network((int(ip) >> 64 << 64, 64))}"
    return f"address:{ip}"
