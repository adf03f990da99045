"""Whether this process answers a person or a program on standard output, JSON perhaps.

What modules print then goes to standard error. A module of its own, since `tessera --help` imports
it and is not to wait for a log.
"""

from __future__ import annotations

_begun: list[bool] = []


def begin() -> None:
    """From now on: a command does, a server does not."""
    _begun.append(True)


def is_under_way() -> bool:
    """Whether standard output is an answer."""
    return bool(_begun)
