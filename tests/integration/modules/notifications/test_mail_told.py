"""Why mail waits, as the log tells those who run the shop."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from core.events import outage
from tests.support.mail import certificate, mail_server
from tests.support.shop import open_shop
from tests.support.tower import QUICK

PASSWORD = "not-the-password"


def shop_of(port: int, **more: Any) -> dict[str, Any]:
    """Settings of a shop that sends through that port."""
    mail = {"smtp_port": port, "sender": "Tea <shop@tea.example>", "smtp_host": "localhost"}
    return {"notifications": {**mail, **more}}


def told_soon(caplog: pytest.LogCaptureFixture, count: int = 1) -> list[str]:
    """What the log says of mail that waits, once it says it so many times."""
    deadline = time.monotonic() + 20
    while len(found := [it for it in caplog.messages if "delivery waits" in it]) < count:
        assert time.monotonic() < deadline, caplog.text
        time.sleep(0.05)
    return found


def test_what_the_server_said_is_told_and_told_again(
    sqlite_url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each line on mail that a server puts off names the server and its reply, reminders too."""
    monkeypatch.setattr(outage, "REMIND_SECONDS", 0.0)
    with mail_server(tmp_path / "mail") as server:
        reply = "450 4.2.0 greylisted"
        server.answer("rcpt", "later@off.example", *[reply] * 3)
        modules = shop_of(server.port, encryption="none")
        with open_shop(sqlite_url, "notifications", events=QUICK, modules=modules) as shop:
            body = {"name": "Grace", "email": "later@off.example", "password": "a long password"}
            assert shop.call("POST", "/v2/auth/register", json=body).status_code == 201
            told = told_soon(caplog, 5)
    assert [
        it for it in told if f"the mail server localhost:{server.port}: {reply}" not in it
    ] == []


def test_a_password_that_is_refused_is_told_without_the_password(
    sqlite_url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The log says which server would not have it, and why, and never the password."""
    key, cert = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    with mail_server(tmp_path / "mail", key, cert) as server:
        modules = shop_of(server.port, username="shop", password=PASSWORD)
        with open_shop(sqlite_url, "notifications", events=QUICK, modules=modules):
            [told, *_] = told_soon(caplog)
    assert f"the mail server localhost:{server.port}: 535" in told
    assert PASSWORD not in caplog.text


def test_a_folder_that_cannot_be_written_is_told(
    sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the folder and what the system says of it."""
    folder = tmp_path / "mail"
    folder.write_text("in the way")
    modules = {"notifications": {"folder": str(folder)}}
    with open_shop(sqlite_url, "notifications", events=QUICK, modules=modules):
        [told, *_] = told_soon(caplog)
    assert f"{folder}: File exists" in told
