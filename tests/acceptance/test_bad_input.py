"""What no caller should send, to every operation of both versions, over a real socket.

On SQLite and on PostgreSQL: the answer is a problem that the schema documents, never a 500, and no
row is written.
"""

from __future__ import annotations

import json

import pytest

from tests.support import garbage
from tests.support.bad_input import (
    UNKNOWN_ID,
    VERSIONS,
    Api,
    Verdict,
    api,
    verdict,
)
from tests.support.databases import module_database_url
from tests.support.processes import Headers, Server

__all__ = ["api", "module_database_url", "verdict"]
pytestmark = pytest.mark.timeout(300)

TEN_MEGABYTES = 10_000_000
JSON = {"Content-Type": "application/json"}
SHADOWED = {"/users/me": "/users/{user_id}", "/orders/import": "/orders/{order_id}"}
"""Methods that the fixed path lacks are those of the path with a parameter, as FastAPI routes."""


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
