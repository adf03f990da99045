"""A client of Tessera's API, version 2, that turns what goes wrong into one line for a person."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MODULES = {"auth": "auth", "users": "users", "products": "catalog", "orders": "orders"}
RETRIES = 5
TIMEOUT_SECONDS = 60.0


class DemoError(Exception):
    """The demo cannot go on; the text is one line that says why and what would help."""


def _why(response: httpx2.Response) -> str:
    """The server's own words, when it answered with a problem (RFC 9457)."""
    try:
        problem = response.json()
        errors = "; ".join(f"{it['loc']}: {it['msg']}" for it in problem.get("errors", ())[:3])
        return errors or str(problem["detail"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"it answered {response.status_code}"


def _pause(response: httpx2.Response) -> float:
    """Seconds that the server asks to be left alone; at most ten."""
    text = response.headers.get("Retry-After", "1")
    return min(float(text), 10.0) if text.isdigit() else 1.0


class Client:
    """One signed-in caller. Every method raises DemoError when the server does not play along."""

    def __init__(self, url: str, *, email: str, password: str) -> None:
        self._url, self._email, self._password = url.rstrip("/"), email, password
        # A proxy from the environment is for other machines than this one.
        outside = urlsplit(url).hostname not in LOOPBACK
        self._http = httpx2.Client(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=outside)

    def __enter__(self) -> Self:
        self.sign_in()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def sign_in(self) -> None:
        """Get an access token; done again when it has run out (they live for minutes)."""
        form = {"username": self._email, "password": self._password}
        answer = self._send("POST", "/v2/auth/login", data=form)
        if answer.status_code in (400, 401):
            raise DemoError(f"{self._url} does not know that email and password ({_why(answer)})")
        token = self._checked(answer).json()["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, **params: str | int) -> Any:
        """The body of an answer to GET."""
        return self._checked(self._authorised("GET", path, params=params)).json()

    def post(self, path: str, body: object) -> Any:
        """The body of an answer to POST; None when the server has that already (409)."""
        answer = self._authorised("POST", path, json=body)
        return None if answer.status_code == 409 else self._checked(answer).json()

    def pages(self, path: str, **params: str | int) -> Iterator[dict[str, Any]]:
        """Every item of a list, page by page."""
        page = self.get(path, limit=100, **params)
        yield from page["items"]
        while page["next_cursor"]:
            page = self.get(path, limit=100, cursor=page["next_cursor"], **params)
            yield from page["items"]

    def _authorised(self, method: str, path: str, **options: Any) -> httpx2.Response:
        answer = self._send(method, path, **options)
        if answer.status_code == 401:
            self.sign_in()
            answer = self._send(method, path, **options)
        return answer

    def _send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        answer = self._send_once(method, path, **options)
        for _ in range(RETRIES):
            if answer.status_code not in (429, 503):
                break
            time.sleep(_pause(answer))
            answer = self._send_once(method, path, **options)
        return answer

    def _send_once(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            return self._http.request(method, path, **options)
        except httpx2.HTTPError as problem:
            why = f"{type(problem).__name__}: {problem}".rstrip(": ")
            raise DemoError(
                f"{self._url} cannot be reached ({why}); is it running? --url names another address"
            ) from None

    def _checked(self, answer: httpx2.Response) -> httpx2.Response:
        if answer.is_success:
            return answer
        asked = f"{answer.request.method} {answer.request.url.path}"
        if answer.status_code == 403:
            raise DemoError(f"{self._email} may not {asked}; it takes an admin ({_why(answer)})")
        if answer.status_code in (404, 405):
            module = MODULES.get(answer.request.url.path.split("/")[2], "")
            raise DemoError(f"{self._url} has no {asked}; is the module {module} enabled there?")
        raise DemoError(f"{asked} failed: {_why(answer)}")
