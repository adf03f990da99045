"""What names in a source file stand for."""

from __future__ import annotations

import ast
from pathlib import Path
from textwrap import dedent

import pytest

from core.checks.code import Code
from core.checks.responses import is_secret
from core.checks.sources import Source
from core.checks.types import Field


def called(source: str) -> list[str]:
    """What the last function of a file calls."""
    tree = ast.parse(dedent(source))
    code = Code([Source(Path("shop/service.py"), "shop.service", tree)])
    *_, unit = code.units.values()
    return [call.target for call in unit.calls]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("import time\ndef f():\n    time.sleep(1)", "time.sleep"),
        ("import time as t\ndef f():\n    t.sleep(1)", "time.sleep"),
        ("from time import sleep as s\ndef f():\n    s(1)", "time.sleep"),
        ("import time\npause = time.sleep\ndef f():\n    pause(1)", "time.sleep"),
        ("def f():\n    import time\n    time.sleep(1)", "time.sleep"),
        ("import os.path\ndef f():\n    os.path.join()", "os.path.join"),
        ("from .clock import now\ndef f():\n    now()", "shop.clock.now"),
        ("from . import clock\ndef f():\n    clock.now()", "shop.clock.now"),
        ("def f():\n    input()", "builtins.input"),
        ("def g():\n    pass\ndef f():\n    g()", "shop.service.g"),
    ],
)
def test_a_call_is_followed_to_what_it_calls(source: str, target: str) -> None:
    """Imports, aliases, relative imports, builtins, functions of the same file."""
    assert called(source) == [target]


@pytest.mark.parametrize(
    "source",
    [
        "import time\ndef f(time):\n    time.sleep(1)",
        "import time\ndef f():\n    for time in ():\n        time.sleep(1)",
        "import time\ndef f():\n    time = g\n    time.sleep(1)",
        "def f(input):\n    input()",
    ],
)
def test_a_name_that_is_taken_anew_is_another(source: str) -> None:
    """A parameter or variable of the same name is not what was imported."""
    assert all(target not in ("time.sleep", "builtins.input") for target in called(source))


def test_what_is_handed_on_is_not_called() -> None:
    """A function in a lambda or handed to another is not called here."""
    source = """
        import time
        def f(run):
            run(time.sleep, lambda: time.sleep(1))
            def inner():
                time.sleep(1)
            return inner
    """
    tree = ast.parse(dedent(source))
    code = Code([Source(Path("shop/service.py"), "shop.service", tree)])
    assert [call.target for call in code.units["shop.service.f"].calls] == [""]


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "password_hash",
        "hashed_password",
        "passwordHash",
        "token_hash",
        "api_key",
        "client_secret",
        "secret",
        "accessToken",
        "refresh_token",
        "totp_secret",
        "private-key",
    ],
)
def test_a_secret_is_known_by_its_name(name: str) -> None:
    """In snake case, camel case or with dashes."""
    assert is_secret(Field(object, name, name, str | None))


@pytest.mark.parametrize(
    "name",
    [
        "token_type",
        "page_token",
        "next_token",
        "public_key",
        "key",
        "password_policy",
        "secretary",
        "tokens_used",
        "monkey",
        "expires_in",
    ],
)
def test_a_name_that_only_sounds_like_one_is_none(name: str) -> None:
    """What merely holds the word is let pass."""
    assert not is_secret(Field(object, name, name, str))


@pytest.mark.parametrize("annotation", [bool, int, float])
def test_what_is_no_text_is_no_secret(annotation: type) -> None:
    """Whether there is a password is nobody's secret."""
    assert not is_secret(Field(object, "password", "password", annotation))
