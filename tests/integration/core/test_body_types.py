"""A body whose Content-Type is missing or another's: the answer says which header to send."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from tests.support.apps import serving

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
ANN = b'{"name": "Ann", "email": "ann@x.example", "password": "correct horse 9"}'


@pytest.fixture
def client(sqlite_url: str) -> Iterator[TestClient]:
    """Somebody who wants to register and sign in."""
    with serving(sqlite_url, "users", "auth") as opened:
        yield opened


@pytest.mark.parametrize(
    ("path", "body", "sent", "wanted"),
    [
        ("register", ANN, None, JSON),
        ("register", ANN, "text/plain", JSON),
        ("login", b"username=ann@x.example&password=x", None, FORM),
        ("login", b'{"username": "ann@x.example", "password": "x"}', JSON, FORM),
    ],
)
def test_the_header_is_named(
    client: TestClient, path: str, body: bytes, sent: str | None, wanted: str
) -> None:
    """Not only that the body is no object: what must be sent for it to be read."""
    headers = {"Content-Type": sent} if sent else {}
    answer = client.post(f"/v2/auth/{path}", content=body, headers=headers)
    assert answer.status_code == 422
    problem = answer.json()
    told = f"The Content-Type '{sent}' is not read here" if sent else "Content-Type is missing"
    assert problem["detail"] == f"{told}: send the header Content-Type: {wanted}."
    first = problem["errors"][0]
    assert (first["loc"], first["msg"]) == (["header", "Content-Type"], problem["detail"])


@pytest.mark.parametrize(
    ("path", "body", "sent"),
    [
        ("register", b"", None),
        ("register", b"[]", JSON),
        ("register", b"{", "application/problem+json; charset=utf-8"),
        ("login", b"username=x", FORM),
        ("login", b"", None),
    ],
)
def test_a_header_that_is_right_is_not(
    client: TestClient, path: str, body: bytes, sent: str | None
) -> None:
    """A body that was read, or that is not there, is told by its places."""
    headers = {"Content-Type": sent} if sent else {}
    problem = client.post(f"/v2/auth/{path}", content=body, headers=headers).json()
    assert problem["detail"].startswith(("Not valid: body", "The body is not JSON"))
    assert all(error["loc"][0] == "body" for error in problem["errors"])
