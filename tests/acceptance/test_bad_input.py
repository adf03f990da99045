"""What no caller should send, to every operation of both versions, over a real socket.

On SQLite and on PostgreSQL: the answer is a problem that the schema documents, never a 500, and no
row is written.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from modules.auth.tokens import Access, AccessTokens
from tests.support import garbage
from tests.support.databases import module_database_url
from tests.support.processes import EMAIL, PASSWORD, Headers, Installation, Server
from tests.support.requests import Operation, RequestMaker, operations
from tests.support.rows import contents

__all__ = ["module_database_url"]
pytestmark = pytest.mark.timeout(300)

SECRET = "a secret that only this test knows, 0123456789"
UNKNOWN_ID = 2**63 - 2
TEN_MEGABYTES = 10_000_000
JSON = {"Content-Type": "application/json"}
SHADOWED = {"/users/me": "/users/{user_id}", "/orders/import": "/orders/{order_id}"}
"""Methods that the fixed path lacks are those of the path with a parameter, as FastAPI routes."""


class Api:
    """A running server with an admin, a user, a product and an order; and its schemas."""

    def __init__(self, server: Server, database_url: str) -> None:
        self.server, self.database_url = server, database_url
        self.client = server.client()
        self.admin = server.login()
        self.user_id, self.user = server.register("victim@tessera.example")
        self.product_id = server.product(self.admin)
        lines = {"lines": [{"product_id": self.product_id, "quantity": 2}]}
        order = self.client.post("/v2/orders", headers=self.user, json=lines)
        self.order_id = order.json()["id"]
        self.schemas = {v: self.client.get(f"/{v}/openapi.json").json() for v in ("v1", "v2")}

    def operations(self, version: str) -> dict[tuple[str, str], Operation]:
        """{(method, path): operation}."""
        return operations(self.schemas[version])

    def body(self, version: str, operation: Operation) -> dict[str, Any]:
        """A valid body with all its fields, as ``json`` or ``data``."""
        known = {
            "username": EMAIL,
            "password": PASSWORD,
            "refresh_token": "x" * 43,
            "product_id": self.product_id,
            "customer_email": "victim@tessera.example",
            "status": "paid",
            "placed_at": "1997-08-25T12:00:00Z",
            "unit_price": "14.00",
            "discount": "0.05",
        }
        return RequestMaker(self.schemas[version], known, full=True).body(operation)

    def path(self, version: str, path: str, **ids: object) -> str:
        """The path with ids that exist, unless others are given."""
        own = {"user_id": self.user_id, "product_id": self.product_id, "order_id": self.order_id}
        return f"/{version}{path.format(**{**own, **ids})}"

    def bodies(self, version: str) -> Iterator[tuple[str, str, Operation, str]]:
        """Method, path, operation and keyword of each operation with a body."""
        for (method, path), operation in self.operations(version).items():
            for keyword in self.body(version, operation):
                yield method, self.path(version, path), operation, keyword


class Verdict:
    """Collects what was wrong, so that one run tells all of it; and holds that no row changed."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.before = self.rows()
        self.wrong: list[str] = []

    def rows(self) -> dict[str, list[Any]]:
        """All rows, but for the attempts to sign in, which are meant to be counted."""
        return contents(self.api.database_url, without=["auth_attempts"])

    def send(
        self, what: str, method: str, path: str, *, statuses: set[int], **options: Any
    ) -> httpx2.Response:
        """Send as admin unless said, and judge the answer."""
        options.setdefault("headers", {})
        headers = {**self.api.admin, **options.pop("headers")}
        answer = self.api.client.request(method, path, headers=headers, **options)
        self.judge(f"{method} {path[:80]} {what}", answer, statuses)
        return answer

    def judge(self, what: str, answer: httpx2.Response, statuses: set[int]) -> None:
        """Whether it is a problem with one of these statuses."""
        kind = answer.headers.get("Content-Type")
        if answer.status_code not in statuses or kind != "application/problem+json":
            self.wrong.append(f"{what}: {answer.status_code} {kind} {answer.text[:200]}")
        elif answer.request.method != "HEAD":
            document = answer.json()
            if document["status"] != answer.status_code or not document["request_id"]:
                self.wrong.append(f"{what}: {document}")

    def give(self) -> None:
        """Fails with all that was wrong."""
        assert not self.wrong, f"{len(self.wrong)} wrong:\n" + "\n".join(self.wrong[:40])
        assert self.rows() == self.before


@pytest.fixture(scope="module")
def api(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One server for all tests of a database; at the end its log must hold no fault."""
    folder = tmp_path_factory.mktemp("bad-input")
    there = Installation(folder, module_database_url, app={"secret_key": SECRET})
    with there.serving() as server:
        there.create_admin()
        opened = Api(server, module_database_url)
        yield opened
        opened.client.close()
        assert server.faults() == []


@pytest.fixture
def verdict(api: Api) -> Iterator[Verdict]:
    """What the test found; given at its end."""
    found = Verdict(api)
    yield found
    found.give()


VERSIONS = pytest.mark.parametrize("version", ["v1", "v2"])


@VERSIONS
def test_bodies_that_are_no_such_thing(api: Api, verdict: Verdict, version: str) -> None:
    """Malformed JSON, the wrong kind of thing, 100,000 levels of nesting: 400 or 422."""
    for method, path, _, keyword in api.bodies(version):
        kind = JSON if keyword == "json" else {"Content-Type": "application/x-www-form-urlencoded"}
        for name, content in garbage.BODIES.items():
            verdict.send(name, method, path, statuses={400, 422}, content=content, headers=kind)


@VERSIONS
def test_bodies_with_one_wrong_place(api: Api, verdict: Verdict, version: str) -> None:
    """NUL, surrogates, other types, 64 bits and more, an unknown field, in any place: 422."""
    for method, path, operation, keyword in api.bodies(version):
        if keyword != "json":
            continue
        valid = api.body(version, operation)["json"]
        for spoilt in garbage.spoil(valid):
            if spoilt.where.endswith("unit_price: number"):
                continue  # a price may be a number, too
            content = spoilt.encoded()
            verdict.send(spoilt.where, method, path, statuses={422}, content=content, headers=JSON)


@VERSIONS
def test_forms_with_one_wrong_field(api: Api, verdict: Verdict, version: str) -> None:
    """A form with NUL, broken UTF-8, a field too many or too few: 400, 401 or 422."""
    path, form = f"/{version}/auth/login", "application/x-www-form-urlencoded"
    contents_ = {
        "NUL": b"username=a%00b&password=x",
        "raw NUL": b"username=a\x00b&password=x",
        "surrogate": b"username=%ED%A0%80&password=%ED%A0%80",
        "no UTF-8": b"username=%ff%fe&password=%c3",
        "raw bytes": b"username=\xff\xfe&password=\xc3",
        "unknown field": b"username=a&password=b&unknown=1",
        "missing": b"username=a",
        "other grant": b"username=a&password=b&grant_type=none",
        "separators": b"&&&===&;;;%%%",
        "100,000 fields": b"a=1&" * 100_000,
        "long": b"username=" + b"x" * 500_000 + b"&password=y",
    }
    for name, content in contents_.items():
        kind = {"Content-Type": form}
        statuses = {400, 401, 422}
        verdict.send(name, "POST", path, statuses=statuses, content=content, headers=kind)


@VERSIONS
def test_bodies_of_another_media_type(api: Api, verdict: Verdict, version: str) -> None:
    """A form where JSON is wanted, JSON for a form, a broken multipart: 400 or 422."""
    kinds = {
        "text/plain": b"hello",
        "application/json; charset=utf-16": '{"a": 1}'.encode("utf-16"),
        "application/xml": b"<a/>",
        "multipart/form-data": b"--x\r\n\r\n",
        "multipart/form-data; boundary=x": b"--x\r\nContent-Disposition: form; name=\x00\r\n",
        "application/x-www-form-urlencoded": b"name=x&lines=1",
        "\xff/\xfe": b"{}",
        ";;;": b"{}",
        "": b"{}",
    }
    for method, path, _, _ in api.bodies(version):
        for kind, content in kinds.items():
            headers = {"Content-Type": kind.encode("latin-1")}
            verdict.send(
                repr(kind), method, path, statuses={400, 422}, content=content, headers=headers
            )


@VERSIONS
def test_ids_that_are_none(api: Api, verdict: Verdict, version: str) -> None:
    """A word, NUL, a surrogate, zero, 64 bits and more as an id in a path: 404 or 422."""
    for (method, path), operation in api.operations(version).items():
        if "{" not in path:
            continue
        for name, number in garbage.PATH_IDS.items():
            ids = dict.fromkeys(("user_id", "product_id", "order_id"), number)
            where = api.path(version, path, **ids)
            body = api.body(version, operation)
            verdict.send(name, method, where, statuses={404, 405, 422}, **body)


@VERSIONS
def test_ids_that_nothing_has(api: Api, verdict: Verdict, version: str) -> None:
    """The id of nothing is a 404 for every operation on one thing, whatever is to be done to it."""
    ids = dict.fromkeys(("user_id", "product_id", "order_id"), UNKNOWN_ID)
    for (method, path), operation in api.operations(version).items():
        if "{" in path:
            body = api.body(version, operation)
            verdict.send("id", method, api.path(version, path, **ids), statuses={404}, **body)


@VERSIONS
def test_unknown_ids_in_bodies(api: Api, verdict: Verdict, version: str) -> None:
    """An order of a product that does not exist is a 422, also beside one that does."""
    known = {"product_id": api.product_id, "quantity": 1}
    for lines in ([{"product_id": UNKNOWN_ID, "quantity": 1}],):
        for wanted in (lines, [known, *lines]):
            body = {"lines": wanted}
            verdict.send("product", "POST", f"/{version}/orders", statuses={422}, json=body)


@VERSIONS
def test_queries(api: Api, verdict: Verdict, version: str) -> None:
    """A parameter of a list that does not fit is a 422; one that is only odd finds nothing."""
    numbers = ["x", "", "-1", "1.5", "1e2", str(2**63), str(2**64), "9" * 5000, "%00", "%ED%A0%80"]
    words = ["%00", "a%00b", "x" * 1000]
    odd = {"cursor": garbage.CURSORS.values(), "limit": [*numbers, "0", "101"], "skip": numbers}
    odd |= {"role": ["king", "%00", ""], "active": ["maybe", "%00"], "status": ["lost", "%00"]}
    odd |= {"q": words, "category": words, "tag": words}
    for (method, path), operation in api.operations(version).items():
        for parameter in operation.get("parameters", ()):
            if parameter["in"] != "query":
                continue
            for value in odd[parameter["name"]]:
                where = f"{api.path(version, path)}?{parameter['name']}={value}"
                verdict.send("", method, where, statuses={422})


@VERSIONS
def test_text_that_is_no_utf8_in_a_query_finds_nothing(
    api: Api, verdict: Verdict, version: str
) -> None:
    """Bytes that are no UTF-8 are read as U+FFFD: the search is answered, and finds nothing."""
    for raw in ("%ED%A0%80", "%ff%fe", "%c3"):
        answer = api.client.get(f"/{version}/products?q={raw}")
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert (found if version == "v1" else found["items"]) == []


@VERSIONS
def test_garbage_cursors(api: Api, verdict: Verdict, version: str) -> None:
    """A cursor that this service did not give is a 422 that says so; v1 knows no cursors."""
    for path in ("/users", "/products", "/orders"):
        for cursor in garbage.CURSORS.values():
            where = f"/{version}{path}?cursor={cursor}"
            if version == "v2":
                answer = verdict.send("", "GET", where, statuses={422})
                assert answer.json()["errors"][0]["loc"] == ["query", "cursor"]
            else:
                assert api.client.get(where, headers=api.admin).status_code == 200


@VERSIONS
def test_wrong_methods(api: Api, verdict: Verdict, version: str) -> None:
    """A method that a path does not know is a 405 whose Allow header lists those that it does."""
    every = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
    known: dict[str, set[str]] = {}
    for method, path in api.operations(version):
        known.setdefault(path, set()).add(method)
    for path, methods in known.items():
        reached = methods | known.get(SHADOWED.get(path, ""), set())
        for method in sorted(set(every) - reached):
            answer = verdict.send("", method, api.path(version, path), statuses={405})
            assert answer.headers.get("Allow") == ", ".join(sorted(reached))


def test_wrong_paths(api: Api, verdict: Verdict) -> None:
    """An address that does not exist is a 404, whatever bytes it is made of."""
    odd = ["nowhere", "%00", "%ED%A0%80", "%ff", "..%2f..%2fetc%2fpasswd", "x" * 5000, "a//b", "%"]
    for word in odd:
        for where in (f"/{word}", f"/v1/{word}", f"/v2/{word}/1", f"/v9/{word}"):
            verdict.send("", "GET", where, statuses={404})
        verdict.send("", "GET", f"/problems/{word}", statuses={404})
        verdict.send("", "GET", f"/v2/products/{word}", statuses={404, 422})


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


@VERSIONS
@pytest.mark.parametrize("chunked", [False, True], ids=["told", "chunked"])
def test_ten_megabytes(api: Api, verdict: Verdict, version: str, *, chunked: bool) -> None:
    """A body of 10 MB is a 413, whether its length is told or it comes in chunks, to whomever."""
    for method, path, _, keyword in api.bodies(version):
        kind = "application/json" if keyword == "json" else "application/x-www-form-urlencoded"
        for who in (api.admin, {}):
            answer = exchange_large(api.server, method, path, kind, who, chunked=chunked)
            said = f"{method} {path}: {answer.status} {answer.body[:200]!r}"
            assert answer.status == 413, said
            assert answer.headers["content-type"] == "application/problem+json", said
            assert json.loads(answer.body)["type"] == "/problems/payload-too-large", said


def exchange_large(
    server: Server, method: str, path: str, kind: str, headers: Headers, *, chunked: bool
) -> garbage.RawAnswer:
    """Send all of it, as a client does that does not listen before it has finished."""
    lines = [f"{method} {path} HTTP/1.1", "Host: tessera", "Connection: close"]
    lines += [f"Content-Type: {kind}", *(f"{k}: {v}" for k, v in headers.items())]
    piece = b"x" * 100_000
    if chunked:
        lines.append("Transfer-Encoding: chunked")
        pieces = [b"%x\r\n%s\r\n" % (len(piece), piece)] * (TEN_MEGABYTES // len(piece))
        pieces.append(b"0\r\n\r\n")
    else:
        lines.append(f"Content-Length: {TEN_MEGABYTES}")
        pieces = [piece] * (TEN_MEGABYTES // len(piece))
    head = "\r\n".join([*lines, "", ""]).encode()
    return garbage.exchange(server.port, head, *pieces)


GET, POST, ME = (
    f"{line} HTTP/1.1\r\nHost: x\r\n".encode()
    for line in ("GET /v2/products/x", "POST /v2/orders", "GET /v2/auth/me")
)
RAW = {
    "bytes in the path": b"GET /v2/products/\xff\xfe HTTP/1.1\r\nHost: x\r\n",
    "NUL in a header": GET + b"X-Odd: a\x00b\r\n",
    "NUL in the token": ME + b"Authorization: Bearer a\x00b\r\n",
    "surrogate in the token": ME + b"Authorization: Bearer \xed\xa0\x80\r\n",
    "surrogate in a header": GET + b"X-Request-ID: \xed\xa0\x80\r\n",
    "blank token": ME + b"Authorization: Bearer  \r\n",
    "bytes as version": b"GET /products/x HTTP/1.1\r\nHost: x\r\nAccept-Version: \xff\xfe\r\n",
    "length is a word": POST + b"Content-Length: many\r\n",
    "length is negative": POST + b"Content-Length: -1\r\n",
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n",
    "no chunk": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n",
    "a long header": GET + b"X-Long: " + b"x" * 200_000 + b"\r\n",
}


@pytest.mark.parametrize("name", RAW)
def test_what_is_hardly_http(api: Api, verdict: Verdict, name: str) -> None:
    """Bytes that no client sends are a problem of the caller's, or are not answered at all."""
    request = RAW[name] + b"Connection: close\r\n\r\n"
    try:
        answer = garbage.exchange(api.server.port, request)
    except (ConnectionError, IndexError):
        return  # the server hung up, as it may
    assert 400 <= answer.status < 500, answer
    assert answer.headers["content-type"] == "application/problem+json", answer
