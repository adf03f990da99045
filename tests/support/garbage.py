"""What no caller should send: bodies, values and bytes, each with a name for the test's report."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

DEEP = 100_000

BODIES: dict[str, bytes] = {
    "nothing": b"",
    "half an object": b'{"name": "x"',
    "a bracket": b"[",
    "null": b"null",
    "a list": b"[]",
    "a text": b'"text"',
    "a number": b"7",
    "no UTF-8": b"\xff\xfe\x00",
    "NaN": b'{"stock": NaN}',
    "beyond floats": b'{"stock": 1e999}',
    "5,000 digits": b'{"stock": ' + b"9" * 5000 + b"}",
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep lists, open": b"[" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep in a field": b'{"name": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep in lines": b'{"lines": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "two values": b"{} {}",
    "a NUL": b"\x00",
    "surrogate as a name": b'{"\\ud800": 1}',
}

LONE = "\ud800"
STRINGS: dict[str, Any] = {
    "NUL": "a\x00b@example.com",
    "lone surrogate": f"a{LONE}b@example.com",
    "number": 7,
    "truth": True,
    "list": [],
    "object": {},
    "very long": "x" * 100_000,
}
NUMBERS: dict[str, Any] = {
    "2^63": 2**63,
    "2^64": 2**64,
    "2^200": 2**200,
    "-2^63 - 1": -(2**63) - 1,
    "half": 0.5,
    "1e300": 1e300,
    "text": "seven",
    "truth": True,
    "null": None,
    "list": [1],
}
TRUTHS: dict[str, Any] = {"text": "yes", "number": 2, "null": None, "list": []}

PATH_IDS = {
    "word": "abc",
    "zero": "0",
    "negative": "-1",
    "fraction": "1.5",
    "exponent": "1e3",
    "2^63": str(2**63),
    "2^64": str(2**64),
    "5,000 digits": "9" * 5000,
    "NUL": "%00",
    "digit and NUL": "1%00",
    "surrogate": "%ED%A0%80",
    "no UTF-8": "%ff%fe",
    "other digits": "%D9%A1",
    "blank": "%20",
}


def _cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


CURSORS = {
    "words": "garbage",
    "signs": "%21%22%C2%A7",
    "NUL": "%00",
    "surrogate": "%ED%A0%80",
    "no base64": "=====",
    "too long": "a" * 1000,
    "no id": _cursor("id:"),
    "negative": _cursor("id:-1"),
    "2^63": _cursor(f"id:{2**63}"),
    "many digits": _cursor("id:" + "9" * 40),
    "other digits": _cursor("id:\u0661"),
    "other kind": _cursor("pk:1"),
    "JSON": _cursor('{"id": 1}'),
    "SQL": _cursor("id:1; DROP TABLE users_users"),
}


@dataclass(frozen=True)
class Spoilt:
    """A body that was valid but for one place."""

    where: str
    body: Any

    def encoded(self) -> bytes:
        """As JSON; a lone surrogate is escaped, as JSON allows."""
        return json.dumps(self.body).encode("ascii")


def spoil(body: Any, where: str = "body") -> Iterator[Spoilt]:
    """Copies of a valid body, each wrong in one place: a value, a field too many, one too few."""
    kinds: dict[type, dict[str, Any]] = {str: STRINGS, bool: TRUTHS, int: NUMBERS, float: NUMBERS}
    for name, value in kinds.get(type(body), {}).items():
        yield Spoilt(f"{where}: {name}", value)
    if isinstance(body, list):
        yield Spoilt(f"{where}: object", {})
        for inner in spoil(body[0], f"{where}[0]"):
            yield Spoilt(inner.where, [inner.body, *body[1:]])
    if isinstance(body, dict):
        yield Spoilt(f"{where}: unknown field", {**body, "unknown_field": 1})
        yield Spoilt(f"{where}: list", [body])
        for key, value in body.items():
            for inner in spoil(value, f"{where}.{key}"):
                yield Spoilt(inner.where, {**body, key: inner.body})


@dataclass(frozen=True)
class RawAnswer:
    """An answer, read from a socket by hand."""

    status: int
    headers: dict[str, str]
    body: bytes


def exchange(port: int, *parts: bytes, seconds: float = 30) -> RawAnswer:
    """Send bytes that no client would, and read what comes until the connection closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        for part in parts:
            connection.sendall(part)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return RawAnswer(int(first.split()[1]), headers, body)
