"""Tokens that no caller should send, over a real socket, on SQLite and on PostgreSQL."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from modules.auth.tokens import Access, AccessTokens
from tests.support.bad_input import (
    SECRET,
    UNKNOWN_ID,
    VERSIONS,
    Api,
    Verdict,
    api,
    verdict,
)
from tests.support.databases import module_database_url

__all__ = ["api", "module_database_url", "verdict"]
pytestmark = pytest.mark.timeout(300)


def tokens(good: str) -> dict[str, bytes]:
    """Tokens that must not count, made from one that does."""
    header, payload, signature = good.split(".")
    none = _encoded({"alg": "none", "typ": "at+jwt"})
    other = _encoded({"alg": "HS512", "typ": "at+jwt"})
    claims = json.loads(_decoded(payload))
    admin = _encoded({**claims, "sub": "1"})
    forged = {
        "alg none": f"{none}.{payload}.",
        "alg none, signed": f"{none}.{payload}.{signature}",
        "other alg": f"{other}.{payload}.{signature}",
        "other claims": f"{header}.{admin}.{signature}",
        "no signature": f"{header}.{payload}.",
        "truncated": good[:-5],
        "half": good[: len(good) // 2],
        "two parts": f"{header}.{payload}",
        "five parts": f"{good}.a.b",
        "no base64": "!!!.???.***",
        "deep": f"{_encoded_bytes(b'[' * 1000)}.{payload}.{signature}",
        "word": "garbage",
        "long": "x" * 30_000,
        "expired": _issued(lifetime=-3600),
        "other audience": _issued(audience="somebody-else"),
        "other issuer": _issued(issuer="somebody-else"),
        "other key": _issued(secret="another secret, also long enough to be one"),
        "nobody": _issued(user_id=UNKNOWN_ID),
        "other session": _issued(),
    }
    return {name: text.encode() for name, text in forged.items()} | {"bytes": b"\xff\xfe\x80"}


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _encoded(value: dict[str, Any]) -> str:
    return _encoded_bytes(json.dumps(value).encode())


def _encoded_bytes(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _issued(
    *,
    secret: str = SECRET,
    issuer: str = "tessera",
    audience: str = "tessera-api",
    lifetime: int = 600,
    user_id: int = 1,
) -> str:
    seconds = timedelta(seconds=lifetime)
    keys = AccessTokens(secret=secret, issuer=issuer, audience=audience, lifetime=seconds)
    return keys.issue(Access(user_id=user_id, epoch=10**6, session="made-up"))


@VERSIONS
def test_bad_tokens(api: Api, verdict: Verdict, version: str) -> None:
    """A token that is forged, cut, expired or no token is a 401 that asks for another."""
    good = api.admin["Authorization"].removeprefix("Bearer ")
    headers: dict[str, bytes] = {n: b"Bearer " + token for n, token in tokens(good).items()}
    headers |= {
        "no token": b"Bearer",
        "Basic": b"Basic YWRtaW46YWRtaW4=",
        "only the token": good.encode(),
        "two tokens": f"Bearer {good}, Bearer {good}".encode(),
    }
    for name, header in headers.items():
        for path in ("/auth/me", "/users", "/orders"):
            sent: Any = {"Authorization": header}
            answer = verdict.send(name, "GET", f"/{version}{path}", statuses={401}, headers=sent)
            assert answer.headers.get("WWW-Authenticate", "").startswith("Bearer"), name


@VERSIONS
def test_bad_refresh_tokens(api: Api, verdict: Verdict, version: str) -> None:
    """A refresh token that was never given is a 401, and ending its session says nothing: 204."""
    for token in ("x", "garbage", "9" * 512, "\u00ff" * 43):
        body = {"refresh_token": token}
        verdict.send("", "POST", f"/{version}/auth/refresh", statuses={401}, json=body)
        ended = api.client.post(f"/{version}/auth/logout", json=body)
        assert ended.status_code == 204
