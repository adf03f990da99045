"""Everything that the author of a module imports, and nothing else: Tessera's public API."""

from __future__ import annotations

from core.caching import NO_CACHE, Cache, cache_key, cached
from core.checks.context import CheckContext
from core.checks.finding import Finding
from core.context import Context
from core.db.session import (
    ReadableSession,
    ReadSession,
    Session,
    SyncReadSession,
    SyncWriteSession,
    WritableSession,
    WriteSession,
)
from core.db.tables import BigId, table_base, table_registry
from core.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    InternalError,
    NotFound,
    Problem,
    Refused,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    Unprocessable,
)
from core.events.event import Event, upcast
from core.events.recording import record
from core.events.subscription import (
    Broadcast,
    Delivery,
    Replayable,
    Subscription,
    broadcast,
    on,
    on_replay,
)
from core.extensions import Extension, ExtensionFailed, extension_point
from core.hookspecs import hookimpl
from core.http.pagination import (
    Cursor,
    CursorPage,
    Offset,
    OffsetPage,
    Page,
    decode_cursor,
    encode_cursor,
)
from core.http.schemas import Id, PathId, Schema, Text, UtcTime
from core.identity import (
    Authenticator,
    CurrentPrincipal,
    MaybePrincipal,
    Permission,
    Principal,
    public,
    requires,
)
from core.manifest import Manifest
from core.money import Amount, Currency, MinorUnits, Money, round_half_up
from core.redis import RedisDown, RedisPort
from core.services import replacing, service

__all__ = [
    "NO_CACHE",
    "Amount",
    "Authenticator",
    "BadRequest",
    "BigId",
    "Broadcast",
    "Cache",
    "CheckContext",
    "Conflict",
    "Context",
    "Currency",
    "CurrentPrincipal",
    "Cursor",
    "CursorPage",
    "Delivery",
    "Event",
    "Extension",
    "ExtensionFailed",
    "Finding",
    "Forbidden",
    "Id",
    "InternalError",
    "Manifest",
    "MaybePrincipal",
    "MinorUnits",
    "Money",
    "NotFound",
    "Offset",
    "OffsetPage",
    "Page",
    "PathId",
    "Permission",
    "Principal",
    "Problem",
    "ReadSession",
    "ReadableSession",
    "RedisDown",
    "RedisPort",
    "Refused",
    "Replayable",
    "Schema",
    "Session",
    "Subscription",
    "SyncReadSession",
    "SyncWriteSession",
    "Text",
    "TooManyRequests",
    "Unauthenticated",
    "Unavailable",
    "Unprocessable",
    "UtcTime",
    "WritableSession",
    "WriteSession",
    "broadcast",
    "cache_key",
    "cached",
    "decode_cursor",
    "encode_cursor",
    "extension_point",
    "hookimpl",
    "on",
    "on_replay",
    "public",
    "record",
    "replacing",
    "requires",
    "round_half_up",
    "service",
    "table_base",
    "table_registry",
    "upcast",
]
