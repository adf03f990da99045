"""What `check --deploy` says of how mail is sent."""

from __future__ import annotations

from typing import Any

import pytest

from core.checks.run import run
from core.settings import Settings

SAFE: dict[str, Any] = {
    "app": {"environment": "production", "secret_key": "b2f0c6c1d94e4bb7a1c8e1f1d3c59a70"},
    "database": {"url": "postgresql+asyncpg://tessera@db/tessera"},
}
SERVER = {"smtp_host": "mail", "sender": "shop@tea.example"}
SIGN_IN = {"username": "shop", "password": "open sesame"}


@pytest.mark.parametrize(
    ("options", "codes"),
    [
        ({}, ["NOTIFICATIONS001"]),
        (SERVER, []),
        ({**SERVER, **SIGN_IN, "encryption": "none"}, ["NOTIFICATIONS002"]),
        ({**SERVER, **SIGN_IN}, []),
        ({**SERVER, "encryption": "none"}, []),
    ],
    ids=["files", "a server", "a bare password", "a guarded password", "a relay without one"],
)
def test_how_mail_is_sent_is_told_only_of_production(
    options: dict[str, str], codes: list[str]
) -> None:
    """Mail that nobody gets and a password that anybody reads are told with --deploy."""
    modules = {"users": {"enabled": True}, "notifications": {"enabled": True, **options}}
    settings = Settings.for_tests(**SAFE, modules=modules)
    for deploy, expected in ((False, []), (True, codes)):
        found = [it.code for it in run(settings, deploy=deploy)]
        assert [it for it in found if it.startswith("NOTIFICATIONS")] == expected
