"""Failpoints: places at which a test has a process killed or stopped, in the middle of its work.

``TESSERA_TEST_FAILPOINT=mark.before:3`` kills the process (SIGKILL) when it comes to that place for
the third time; ``mark.before:3:stop`` stops it (SIGSTOP), as a machine that is frozen. Without the
variable a failpoint is a look at one global name.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

VARIABLE = "TESSERA_TEST_FAILPOINT"
SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
NAMES = (
    "record.before_commit",  # in the transaction that publishes, its events written
    "record.after_commit",  # committed, and nobody told yet
    "claim.before",  # about to take leases
    "claim.inside",  # taken and not committed
    "claim.after",
    "send.before",  # about to send, or to write deliveries
    "send.flying",  # handed to the producer of Kafka, and nothing acknowledged
    "send.after",
    "mark.before",  # sent, and not marked as published
    "mark.after",
    "effect.before",  # in the transaction of the effect, before the handler
    "effect.after",  # the handler has done its work, nothing is committed
    "effect.committed",
    "offset.before",  # about to commit offsets to Kafka
    "offset.after",
)

_armed: tuple[str, signal.Signals] | None = None
_left = 0


def arm(environ: Mapping[str, str]) -> None:
    """Read the variable; called once, when the process begins. Raises ValueError for nonsense."""
    global _armed, _left
    said = environ.get(VARIABLE)
    if not said:
        return
    name, nth, how, *_ = [*said.split(":"), "kill"]
    if name not in NAMES or how not in SIGNALS:
        raise ValueError(f"{VARIABLE}={said}: no such failpoint; there are {', '.join(NAMES)}")
    _armed, _left = (name, SIGNALS[how]), int(nth)


def failpoint(name: str) -> None:
    """End here, if that is what a test wants."""
    if _armed is not None and _armed[0] == name:
        _come_to(_armed[1])


def _come_to(what: signal.Signals) -> None:
    global _left
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), what)
