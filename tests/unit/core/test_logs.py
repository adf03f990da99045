"""The log: what stands on stderr."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from core.logs import configure_logging
from core.request import RequestInfo, current_request
from core.settings import Settings

KEY = "q8Zt4vXn2LwPd7RfYb1KsHc6MgJe9UaTo3Ni"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Logging belongs to the process: put back what was there."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
    logging.captureWarnings(False)
    structlog.reset_defaults()


def _production(**sections: Any) -> Settings:
    app = {"environment": "production", "secret_key": KEY}
    return Settings.for_tests(app=app, **sections)


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_production_logs_json_a_line_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    """Core's lines and those of libraries have the same keys and a time in UTC."""
    configure_logging(_production())
    structlog.get_logger("tessera.x").info("began", size=3)
    logging.getLogger("uvicorn.error").warning("odd %s", "thing", extra={"color_message": "c"})
    first, second = _lines(capsys)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", first.pop("timestamp"))
    assert first == {"event": "began", "size": 3, "level": "info", "logger": "tessera.x"}
    del second["timestamp"]
    assert second == {"event": "odd thing", "level": "warning", "logger": "uvicorn.error"}


def test_a_line_of_a_request_says_which(capsys: pytest.CaptureFixture[str]) -> None:
    """Request id, module, route and user stand on every line, also on those of libraries."""
    configure_logging(_production())
    info = RequestInfo(request_id="abc", method="GET", path="/v1/orders")
    info.module, info.route, info.user = "orders", "/orders", 7
    token = current_request.set(info)
    try:
        structlog.get_logger("a").info("one")
        logging.getLogger("b").info("two")
    finally:
        current_request.reset(token)
    for line in _lines(capsys):
        assert line["request_id"] == "abc"
        assert (line["module"], line["route"], line["user"]) == ("orders", "/orders", 7)


def test_no_secret_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """Passwords in URLs, in values and in exceptions are masked."""
    configure_logging(_production())
    log = structlog.get_logger("x")
    log.info("to redis://:hunter2@cache/0", url="redis://me:hunter2@cache", data={"token": "tok1"})
    log.info("again", urls=["amqp://me:hunter2@mq"], password="tok1")
    try:
        raise OSError("cannot reach postgresql+asyncpg://me:hunter2@db/x?password=hunter2")
    except OSError:
        log.exception("failed")
    err = capsys.readouterr().err
    assert "hunter2" not in err
    assert "tok1" not in err
    assert "redis://me:********@cache" in err


def test_an_exception_is_rendered_once(capsys: pytest.CaptureFixture[str]) -> None:
    """One line with one traceback, from structlog and from logging, without local variables."""
    configure_logging(_production())
    try:
        local = "value-of-a-local"
        raise ValueError(len(local))
    except ValueError:
        structlog.get_logger("x").exception("bad")
        logging.getLogger("y").exception("bad")
    lines = _lines(capsys)
    assert [line["exception"].count("Traceback") for line in lines] == [1, 1]
    assert [line["exception"].count("ValueError: 16") for line in lines] == [1, 1]


def test_uvicorns_access_line_and_sql_are_off(capsys: pytest.CaptureFixture[str]) -> None:
    """Core writes the access line; SQL is only told when it was asked for."""
    configure_logging(_production())
    logging.getLogger("uvicorn.access").info("GET /")
    logging.getLogger("sqlalchemy.engine.Engine").info("SELECT 1")
    assert _lines(capsys) == []
    configure_logging(_production(database={"echo": True}))
    logging.getLogger("sqlalchemy.engine.Engine").info("SELECT 1")
    assert [line["event"] for line in _lines(capsys)] == ["SELECT 1"]


@pytest.mark.parametrize(
    ("sections", "quiet", "expected"),
    [
        ({}, False, ["info", "warning"]),
        ({"server": {"log_level": "warning"}}, False, ["warning"]),
        ({"server": {"log_level": "debug"}}, False, ["debug", "info", "warning"]),
        ({"server": {"log_level": "debug"}}, True, ["warning"]),
    ],
)
def test_the_level_is_a_setting(
    capsys: pytest.CaptureFixture[str], sections: dict[str, Any], quiet: bool, expected: list[str]
) -> None:
    """server.log_level is the least that is logged; commands keep to warnings."""
    configure_logging(_production(**sections), quiet=quiet)
    log = structlog.get_logger("x")
    log.debug("debug")
    log.info("info")
    log.warning("warning")
    assert [line["event"] for line in _lines(capsys)] == expected


def test_development_is_for_eyes_and_uncoloured_off_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In development a line is no JSON, and holds no escape codes when nobody looks."""
    configure_logging(Settings.for_tests(app={"environment": "test"}))
    structlog.get_logger("tessera.x").info("began", size=3)
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert re.search(r"Z \[info +\] began \[tessera\.x\] size=3\n$", err)


def test_a_caller_controls_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """NUL, escape sequences and line ends of a path are shown, not sent; tracebacks have lines."""
    configure_logging(Settings.for_tests())
    log = structlog.get_logger("tessera.x")
    log.info("request", path="/v1/\x00\x1b[2J\r\nfaked", name="\u202eoops")
    log.info("two\nlines\x07")
    try:
        raise ValueError("\x00")
    except ValueError:
        log.exception("broken")
    text = capsys.readouterr().err
    assert not set("\x00\x1b\r\x07\u202e").intersection(text)
    first, second, third, *traceback = text.splitlines()
    assert r"\x00\x1b[2J\r\nfaked" in first.replace("\\\\", "\\")
    assert second.endswith("two")
    assert third.startswith(r"lines\x07")
    assert r"ValueError: \x00" in traceback


def test_configuring_twice_doubles_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A second call replaces the first."""
    configure_logging(_production())
    configure_logging(_production())
    structlog.get_logger("x").info("once")
    assert len(_lines(capsys)) == 1


def test_the_settings_warnings_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """What looked odd in the settings stands in the log at the start."""
    settings = _production(modules={"orders": {"enabeld": True}})
    configure_logging(settings)
    (line,) = _lines(capsys)
    assert line["level"] == "warning"
    assert line["event"] == settings.warnings[0]
