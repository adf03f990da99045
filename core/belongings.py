"""What all modules share of the process and none may take: standard streams, log, working folder.

A module that closes standard error or switches logging off would silence the others. It is put
back, and the log says who did it.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TextIO

import structlog

log = structlog.get_logger("tessera.modules")

_STREAMS = {1: "stdout", 2: "stderr"}


@contextmanager
def kept(module: str) -> Iterator[None]:
    """Run a module's code; what it took of the process is given back, and told of."""
    before = _Belongings()
    try:
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
        self._folder = _folder()

    def restore(self) -> list[str]:
        """Give back what is gone; what that was, in words."""
        taken = [name for number, name in _STREAMS.items() if self._stream_is_gone(number)]
        for spare in self._spare.values():
            if spare is not None:
                os.close(spare)
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
