"""Begin this process anew without letting go of the socket that it listens on.

The socket is handed over as systemd does it: descriptor 3, and two variables that say so. A server
that systemd's socket activation starts is therefore served the same way.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import NoReturn

FIRST = 3
"""The descriptor under which a socket is handed over."""

_listening: socket.socket | None = None


def keep(listening: socket.socket) -> None:
    """The socket to hand over when this process begins anew."""
    global _listening
    _listening = listening


def handed_over() -> socket.socket | None:
    """The socket that whoever started this process has opened for it, if any; asked for once."""
    meant = os.environ.pop("LISTEN_PID", "") == str(os.getpid())
    count = os.environ.pop("LISTEN_FDS", "")
    return socket.socket(fileno=FIRST) if meant and count == "1" else None


def again() -> NoReturn:
    """Run this program again, with its arguments and environment, in this process. From any thread.

    Connections under way are broken; those that nobody has accepted yet wait for the new program.
    """
    first_to_close = FIRST
    if _listening is not None:
        try:
            os.dup2(_listening.fileno(), FIRST)  # inheritable, too
        except OSError:  # it is closed: this process was about to end
            leave()
        os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
        first_to_close += 1
    os.closerange(first_to_close, os.sysconf("SC_OPEN_MAX"))
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - no shell is meant


def leave() -> NoReturn:
    """End this process at once, for a supervisor to start another."""
    os._exit(1)
