"""Hashing of passwords: argon2id, off the loop, in a pool with bounds.

Hashing inline would stop every other request for its 20 ms; a pool without bounds would let a flood
of sign-ins take all memory (19 MiB each) and then all time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypeVar

from passlib.context import CryptContext
from passlib.exc import PasswordValueError

from core.plugin import Unavailable
from modules.auth.settings import AuthSettings

T = TypeVar("T")
log = logging.getLogger(__name__)
BCRYPT_BYTES = 72
"""bcrypt never looked further; bcrypt 5 raises where older ones cut in silence."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a password was right, and the better hash that should replace an old one."""

    right: bool
    upgraded: str | None = None


class Passwords:
    """Hashes and checks; to be closed."""

    def __init__(self, settings: AuthSettings) -> None:
        self._context = CryptContext(
            schemes=["argon2", "bcrypt"],
            deprecated=["bcrypt"],
            argon2__type="ID",
            argon2__memory_cost=settings.argon2_memory_kib,
            argon2__time_cost=settings.argon2_iterations,
            argon2__parallelism=settings.argon2_parallelism,
        )
        self._pool = ThreadPoolExecutor(settings.hash_threads, thread_name_prefix="passwords")
        self._most = settings.hash_threads + settings.hash_waiting
        self._running = 0

    async def hash(self, password: str) -> str:
        """The argon2id hash of a password. Raises Unavailable when too many wait."""
        return await self._off_the_loop(partial(self._hash, password))

    async def check(self, password: str, stored: str | None) -> Verdict:
        """Hold a password against a stored hash; None (no such account) takes just as long.

        Raises Unavailable when too many wait.
        """
        return await self._off_the_loop(partial(self._check, password, stored))

    def close(self) -> None:
        """End the threads; what they are at is finished first."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _off_the_loop(self, work: Callable[[], T]) -> T:
        if self._running >= self._most:
            raise Unavailable("Too many sign-ins at one time.", retry_after=2)
        self._running += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._running -= 1

    def _hash(self, password: str) -> str:
        return str(self._context.hash(password))

    @cached_property
    def _nobodys_hash(self) -> str:
        return self._hash("the password of nobody")

    def _check(self, password: str, stored: str | None) -> Verdict:
        nobody = self._nobodys_hash  # made by whichever check is first, so that it tells nothing
        if stored is None:
            self._context.verify(password, nobody)
            return Verdict(right=False)
        try:
            right = self._verify(password, stored)
        except (ValueError, TypeError):  # damaged, or of a kind that is not known here
            log.warning("a stored password hash cannot be read; its user cannot sign in")
            right = False
        upgraded = right and self._context.needs_update(stored)
        return Verdict(right=right, upgraded=self._hash(password) if upgraded else None)

    def _verify(self, password: str, stored: str) -> bool:
        secret: str | bytes = password
        if self._context.identify(stored) == "bcrypt":
            secret = password.encode()[:BCRYPT_BYTES]
        try:
            return bool(self._context.verify(secret, stored))
        except PasswordValueError:  # a NUL, which bcrypt cannot have taken
            return False
