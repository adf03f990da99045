"""What all modules share of the process and none may take: standard streams, log, working folder.

A module that closes standard error or switches logging off would silence the others; one that
lowers the limit of recursion, sets an alarm or ignores SIGTERM would end them, or keep them from
ending. It is put back, and the log says who did it.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from io import TextIOWrapper
from time import monotonic
from typing import Any, TextIO

import structlog

from core import answering

log = structlog.get_logger("tessera.modules")

_STREAMS = {1: "stdout", 2: "stderr"}
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def kept(module: str) -> Iterator[None]:
    """Run a module's code; what it took of the process is given back, and told of."""
    before = _Belongings()
    try:
        with redirect_stdout(sys.stderr) if answering.is_under_way() else nullcontext():
            yield
    finally:
        for taken in before.restore():
            log.warning("a module took what all share; it was put back", module=module, what=taken)


class _Belongings:
    """The state of the process before a module's code ran."""

    def __init__(self) -> None:
        self._streams: dict[int, TextIO | None] = {1: sys.stdout, 2: sys.stderr}
        self._spare = {number: _copy(number) for number in _STREAMS}
        self._root = logging.getLogger()
        self._handlers = list(self._root.handlers)
        self._level, self._disabled = self._root.level, logging.root.manager.disable
        self._loggers = _loggers_that_speak()
        self._structlog = _structlog_configuration()
        self._folder = _folder()
        self._interpreter = _Interpreter()

    def restore(self) -> list[str]:
        """Give back what is gone; what that was, in words."""
        taken = self._interpreter.restore()  # first: nothing works with little recursion
        taken += [name for number, name in _STREAMS.items() if self._stream_is_gone(number)]
        for spare in self._spare.values():
            if spare is not None:
                os.close(spare)
        taken += self._restore_structlog()
        if muted := [logger for logger in self._loggers if logger.disabled]:
            for logger in muted:
                logger.disabled = False
            taken.append("the log, by disabling its loggers")
        if logging.root.manager.disable != self._disabled:
            logging.disable(self._disabled)
            taken.append("the log, by logging.disable()")
        if lost := [h for h in self._handlers if h not in self._root.handlers]:
            self._root.handlers.extend(lost)
            taken.append("the log's handlers")
        if self._root.level != self._level:
            self._root.setLevel(self._level)
            taken.append("the log's level")
        if self._folder and _folder() != self._folder:
            os.chdir(self._folder)
            taken.append("the working folder")
        return taken

    def _restore_structlog(self) -> list[str]:
        if _structlog_configuration() == self._structlog:
            return []
        if self._structlog is None:
            structlog.reset_defaults()
        else:
            structlog.configure(**self._structlog)
        return ["the log, by structlog.configure()"]

    def _stream_is_gone(self, number: int) -> bool:
        """Whether a standard stream had to be put back."""
        gone = False
        spare = self._spare[number]
        if spare is not None and not _same_file(spare, number):
            os.dup2(spare, number)
            gone = True
        name, before = _STREAMS[number], self._streams[number]
        if before is not None and before.closed:
            before = _reopened(number)
            for handler in self._handlers:
                if isinstance(handler, logging.StreamHandler) and handler.stream.closed:
                    handler.stream = before  # setStream would flush the closed one
            gone = True
        now = getattr(sys, name)
        if before is not None and (now is None or now.closed):  # one that works may well be meant
            setattr(sys, name, before)
            gone = True
        return gone


class _Interpreter:
    """The state of the interpreter before a module's code ran."""

    def __init__(self) -> None:
        self._recursion = sys.getrecursionlimit()
        self._trace, self._profile = sys.gettrace(), sys.getprofile()
        self._collecting = gc.isenabled()
        self._signals = {number: signal.getsignal(number) for number in _SIGNALS}
        self._alarm, self._interval = _rings_at(), signal.getitimer(signal.ITIMER_REAL)[1]
        self._path = list(sys.path)
        self._warnings = list(warnings.filters)
        self._hook = sys.excepthook

    def restore(self) -> list[str]:
        """Give back what was changed; what that was, in words."""
        taken: list[str] = []
        if sys.getrecursionlimit() < self._recursion:  # a higher one harms nobody
            sys.setrecursionlimit(self._recursion)
            taken.append("the limit of recursion")
        if sys.gettrace() is not self._trace:
            sys.settrace(self._trace)
            taken.append("the trace function, by sys.settrace()")
        if sys.getprofile() is not self._profile:
            sys.setprofile(self._profile)
            taken.append("the profile function, by sys.setprofile()")
        if self._collecting and not gc.isenabled():
            gc.enable()
            taken.append("the garbage collection, by gc.disable()")
        filters: Any = warnings.filters  # a list, whatever its type says
        if errors := [it for it in filters if it[0] == "error" and it not in self._warnings]:
            for entry in errors:
                filters.remove(entry)
            taken.append("the warnings of all, which became errors")
        if not callable(sys.__dict__["excepthook"]):  # one that works may well be meant
            sys.excepthook = self._hook
            taken.append("sys.excepthook")
        return taken + self._restore_alarm() + self._restore_path() + self._restore_signals()

    def _restore_alarm(self) -> list[str]:
        left = self._alarm - monotonic() if self._alarm else 0.0
        if abs(_rings_at() - self._alarm) < 1 or left < 0:  # the same; or it has rung meanwhile
            return []
        signal.setitimer(signal.ITIMER_REAL, left, self._interval)
        return ["the alarm, by signal.alarm()"]

    def _restore_path(self) -> list[str]:
        if not (lost := [entry for entry in self._path if entry not in sys.path]):
            return []
        for entry in lost:  # in order, so each finds those before it where they were
            sys.path.insert(self._path.index(entry), entry)
        return ["entries of sys.path"]

    def _restore_signals(self) -> list[str]:
        if threading.current_thread() is not threading.main_thread():
            return []  # only the main thread can change them, so nobody has here
        taken = []
        for number, before in self._signals.items():
            if before is not None and signal.getsignal(number) is not before:
                signal.signal(number, before)
                taken.append(f"the handler of {number.name}")
        return taken


def _loggers_that_speak() -> list[logging.Logger]:
    """Those that are not disabled; `dictConfig` disables whatever exists unless told not to."""
    named = list(logging.root.manager.loggerDict.values())
    loggers = [logging.root, *(logger for logger in named if isinstance(logger, logging.Logger))]
    return [logger for logger in loggers if not logger.disabled]


def _structlog_configuration() -> dict[str, Any] | None:
    """None where nobody has configured it."""
    return structlog.get_config() if structlog.is_configured() else None


def _rings_at() -> float:
    """When the alarm of the process rings; 0 without one."""
    left = signal.getitimer(signal.ITIMER_REAL)[0]
    return monotonic() + left if left else 0.0


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - text, as it was
    except OSError:
        return ""  # somebody removed it


def _copy(number: int) -> int | None:
    try:
        return os.dup(number)
    except OSError:  # the process was started without it
        return None


def _same_file(one: int, other: int) -> bool:
    try:
        return os.path.sameopenfile(one, other)
    except OSError:
        return False


def _reopened(number: int) -> TextIO:
    raw = open(number, "wb", closefd=False)  # noqa: SIM115 - as long as the process
    return TextIOWrapper(raw, errors="backslashreplace", line_buffering=True)
