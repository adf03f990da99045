"""The demo's client, in front of a server that answers as it is told."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner

from demo.cli import app
from demo.client import Client, DemoError

Answer = tuple[int, dict[str, str], Any]
TOKEN: Answer = (200, {}, {"access_token": "t"})


@contextmanager
def answering(answers: dict[str, list[Answer]]) -> Iterator[str]:
    """A server that gives to each ``METHOD /path`` its answers in turn, the last one for ever."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            listed = answers.get(f"{self.command} {self.path.split('?')[0]}", [(404, {}, {})])
            status, headers, body = listed.pop(0) if len(listed) > 1 else listed[0]
            text = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = _answer  # noqa: N815 - the names that http.server looks for

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(url: str, *, password: str = "right\n") -> tuple[int, str]:
    """The verb's exit code and what it said on stderr."""
    arguments = ["northwind", "--url", url, "--email", "a@b.example"]
    done = CliRunner().invoke(app, arguments, input=password)
    return done.exit_code, done.stderr


def test_a_busy_server_is_asked_again() -> None:
    """A 503 with Retry-After is waited for and asked again."""
    busy: Answer = (503, {"Retry-After": "0"}, {})
    lists = [busy, busy, (200, {}, {"items": [{"id": 1}], "next_cursor": None})]
    with (
        answering({"POST /v2/auth/login": [busy, TOKEN], "GET /v2/orders": lists}) as url,
        Client(url, email="a", password="p") as client,
    ):
        assert list(client.pages("/v2/orders")) == [{"id": 1}]


def test_a_token_that_ran_out_is_renewed() -> None:
    """A 401 in the middle signs in again and goes on."""
    lists: list[Answer] = [(401, {}, {}), (200, {}, {"items": [], "next_cursor": None})]
    with (
        answering({"POST /v2/auth/login": [TOKEN], "GET /v2/orders": lists}) as url,
        Client(url, email="a", password="p") as client,
    ):
        assert list(client.pages("/v2/orders")) == []


def test_every_page_is_read() -> None:
    """A list is followed from cursor to cursor."""
    lists: list[Answer] = [
        (200, {}, {"items": [{"id": 1}], "next_cursor": "c"}),
        (200, {}, {"items": [{"id": 2}], "next_cursor": None}),
    ]
    with (
        answering({"POST /v2/auth/login": [TOKEN], "GET /v2/users": lists}) as url,
        Client(url, email="a", password="p") as client,
    ):
        assert [it["id"] for it in client.pages("/v2/users")] == [1, 2]


def test_what_is_there_already_is_no_error() -> None:
    """A 409 to a POST is None: somebody made it before."""
    with (
        answering({"POST /v2/auth/login": [TOKEN], "POST /v2/users": [(409, {}, {})]}) as url,
        Client(url, email="a", password="p") as client,
    ):
        assert client.post("/v2/users", {}) is None


def test_a_refusal_carries_the_servers_words() -> None:
    """The detail of a problem, or its list of errors, stands in the message."""
    detail = {"detail": "no", "errors": [{"loc": ["body", "sku"], "msg": "too long", "type": "x"}]}
    with (
        answering({"POST /v2/auth/login": [TOKEN], "POST /v2/users": [(422, {}, detail)]}) as url,
        Client(url, email="a", password="p") as client,
        pytest.raises(DemoError, match="too long"),
    ):
        client.post("/v2/users", {})


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"POST /v2/auth/login": [(401, {}, {"detail": "wrong"})]}, "does not know that email"),
        ({}, "is the module auth enabled there?"),
        ({"POST /v2/auth/login": [TOKEN]}, "is the module users enabled there?"),
        (
            {"POST /v2/auth/login": [TOKEN], "POST /v2/users": [(403, {}, {"detail": "no"})]},
            "it takes an admin (no)",
        ),
        ({"POST /v2/auth/login": [(500, {}, ["odd"])]}, "it answered 500"),
    ],
    ids=["wrong password", "no auth module", "no users module", "not an admin", "odd server"],
)
def test_what_goes_wrong_is_one_clear_line(answers: dict[str, list[Answer]], words: str) -> None:
    """Each way of being refused ends with 1 and a single line that says what would help."""
    with answering(answers) as url:
        code, said = run(url)
    assert code == 1
    assert words in said
    assert said.count("\n") == 1


def test_a_server_that_is_not_there_is_one_clear_line() -> None:
    """Nobody listening ends with 1 and the question whether it is running."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        code, said = run(f"http://127.0.0.1:{held.getsockname()[1]}")
    assert code == 1
    assert "is it running?" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://host", "http://"])
def test_an_address_that_is_none_is_wrong_usage(url: str) -> None:
    """A URL that is not http(s) with a host ends with 2."""
    assert run(url)[0] == 2


def test_no_password_is_wrong_usage() -> None:
    """An empty standard input ends with 2, before anything is sent."""
    assert run("http://127.0.0.1:9", password="")[0] == 2
