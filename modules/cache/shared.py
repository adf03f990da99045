"""The level in Redis, which the processes of a deployment share.

A value lies under its key as one line of header and one of JSON. The header names its tags, each
with the version that it had before the load began; the value counts while all still have theirs.
A version is a random token that whoever misses it sets, and to invalidate a tag is to delete its
token: no list of keys is kept and none is searched for, and a token that Redis evicted can only
make values miss, where a counter that begins again could bring old values back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

from core.plugin import RedisDown, RedisPort
from modules.cache.contracts import EVERYTHING

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger(__name__)

TAG_LIFE: Final = 2 * 86_400.0
"""Seconds that a tag's token outlives its last use; more than any value lives."""

MAX_OWED: Final = 1_000
"""Debts beyond this many tags become one: forget everything."""

PAY_EVERY: Final = 2.0
"""Seconds between two attempts to pay."""

Versions = Mapping[str, bytes]


class Found(NamedTuple):
    """What Redis holds of a key: a value with seconds left, or nothing; and the tags' versions.

    `versions` is None when Redis was passed by: then nothing may be written after the load.
    """

    versions: Versions | None = None
    hit: bool = False
    value: Any = None
    life: float = 0.0
    """Seconds until the value's end; negative when it is only good to stand in."""
    stale: float = 0.0
    delta: float = 0.0
    mark: str = ""


NOTHING: Final = Found()


class SharedLevel:
    """Reads, writes and forgets in Redis; while Redis is down, nothing is found and nothing raised.

    An invalidation that Redis could not be told is owed: it is paid before anything is read again,
    and by a task that tries until it is done. A process that dies owing leaves values to their ttl.
    """

    def __init__(self, redis: RedisPort, *, prefix: str, stale: float) -> None:
        self._redis = redis
        self._prefix = prefix.encode()
        self._stale = stale
        self._owed: dict[str, int] = {}
        self._owed_count = 0
        self._payer: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def owed(self) -> int:
        """How many tags Redis has yet to be told to forget."""
        return len(self._owed)

    async def read(self, key: str, adapter: TypeAdapter[Any], tags: frozenset[str]) -> Found:
        """The value, if there is one that still counts, and the tags' versions as they are now."""
        names = (EVERYTHING, *sorted(tags))
        try:
            await self._pay()
            blob, left, versions = await self._redis.call(
                lambda client: self._fetch(client, key, names)
            )
        except RedisDown:
            return NOTHING
        if blob is None or left <= 0:
            return Found(versions)
        return self._decode(blob, left / 1000, adapter, versions)

    async def write(
        self,
        key: str,
        value: Any,
        adapter: TypeAdapter[Any],
        *,
        versions: Versions,
        ttl: float,
        delta: float,
        mark: str,
    ) -> bool:
        """Keep a value that was loaded after `versions` were read.

        False when a tag was invalidated meanwhile: then the value is old already.
        """
        header = {
            "tags": {tag: version.decode() for tag, version in versions.items()},
            "stale": self._stale,
            "delta": delta,
            "mark": mark,
        }
        try:
            body = adapter.dump_json(value, warnings="error")
        except PydanticSerializationError as error:
            log.warning("a value cannot be shared through Redis: key=%s: %s", key, error)
            return True
        blob = json.dumps(header).encode() + b"\n" + body
        try:
            now = await self._redis.call(
                lambda client: self._store(client, key, blob, ttl, versions)
            )
        except RedisDown:
            return True
        return now == versions

    async def forget(self, tags: Iterable[str]) -> None:
        """Make every value under any of the tags count no more, now or as soon as Redis is back."""
        self._owe(tags)
        try:
            await self._pay()
        except RedisDown:
            pass
        finally:
            if self._owed:
                self._pay_later()

    async def close(self) -> None:
        """Try a last time to pay what is owed, and end."""
        self._closed = True
        if self._payer is not None:
            self._payer.cancel()
            await asyncio.wait([self._payer])
        with contextlib.suppress(RedisDown):
            await self._pay()

    async def _fetch(
        self, client: Redis, key: str, names: tuple[str, ...]
    ) -> tuple[bytes | None, int, Versions]:
        # The value before the versions: what changes in between can only make it miss.
        pipeline: Any = client.pipeline(transaction=False)  # its types speak of awaiting each
        pipeline.get(self._key(key))
        pipeline.pttl(self._key(key))
        pipeline.mget(self._tags(names))
        blob, left, tokens = await pipeline.execute()
        if None in tokens:
            missing = [name for name, token in zip(names, tokens, strict=True) if token is None]
            tokens = await self._begin(client, names, missing)
            blob = None
        return blob, left, dict(zip(names, tokens, strict=True))

    async def _begin(
        self, client: Redis, names: tuple[str, ...], missing: list[str]
    ) -> list[bytes]:
        pipeline: Any = client.pipeline(transaction=False)
        for name in missing:
            pipeline.set(self._tag(name), secrets.token_hex(8), nx=True, px=int(TAG_LIFE * 1000))
        pipeline.mget(self._tags(names))
        tokens: list[bytes | None] = (await pipeline.execute())[-1]
        # Deleted again this very moment: an empty version equals no token, so the load is not kept.
        return [token or b"" for token in tokens]

    async def _store(
        self, client: Redis, key: str, blob: bytes, ttl: float, versions: Versions
    ) -> Versions:
        pipeline: Any = client.pipeline(transaction=False)
        pipeline.set(self._key(key), blob, px=max(1, int((ttl + self._stale) * 1000)))
        for name in versions:
            pipeline.pexpire(self._tag(name), int(TAG_LIFE * 1000))
        pipeline.mget(self._tags(versions))
        tokens = (await pipeline.execute())[-1]
        return dict(zip(versions, tokens, strict=True))

    def _decode(
        self, blob: bytes, left: float, adapter: TypeAdapter[Any], versions: Versions
    ) -> Found:
        try:
            head, _, body = blob.partition(b"\n")
            header = json.loads(head)
            if header["tags"] != {tag: version.decode() for tag, version in versions.items()}:
                return Found(versions)
            stale, delta, mark = float(header["stale"]), float(header["delta"]), str(header["mark"])
            value = adapter.validate_json(body)
            return Found(versions, True, value, left - stale, stale, delta, mark)
        except (ValueError, LookupError, TypeError, AttributeError):
            # Written by another release, or by somebody else: as good as nothing.
            return Found(versions)

    def _owe(self, tags: Iterable[str]) -> None:
        self._owed_count += 1
        for tag in tags:
            self._owed[tag] = self._owed_count
        if len(self._owed) > MAX_OWED:
            self._owed = {EVERYTHING: self._owed_count}

    async def _pay(self) -> None:
        """Raises RedisDown when Redis still cannot be told."""
        owed = dict(self._owed)
        if not owed:
            return
        await self._redis.call(lambda client: client.unlink(*self._tags(owed)))
        for tag, count in owed.items():
            if self._owed.get(tag) == count:  # not owed anew since
                del self._owed[tag]

    def _pay_later(self) -> None:
        if not self._closed and (self._payer is None or self._payer.done()):
            self._payer = asyncio.create_task(self._keep_paying(), name="tessera-cache-payer")

    async def _keep_paying(self) -> None:
        while self._owed:
            await asyncio.sleep(PAY_EVERY)
            with contextlib.suppress(RedisDown):
                await self._pay()

    def _key(self, key: str) -> bytes:
        return b"%s:k:%s" % (self._prefix, key.encode("utf-8", "surrogatepass"))

    def _tag(self, tag: str) -> bytes:
        return b"%s:t:%s" % (self._prefix, tag.encode("utf-8", "surrogatepass"))

    def _tags(self, tags: Iterable[str]) -> list[bytes]:
        return [self._tag(tag) for tag in tags]
