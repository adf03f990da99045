"""A Kafka broker for the bench: one that is there, or one that dev/services starts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.database import SERVICES
from bench.machine import RigError

VARIABLE = "TESSERA_TEST_KAFKA_SERVERS"


@dataclass(frozen=True)
class Broker:
    """Where it is, and a prefix for topics that nobody else has."""

    address: str
    prefix: str


@contextmanager
def kafka() -> Iterator[Broker]:
    """Raises RigError when no broker can be had."""
    started = _address() is None
    if started:
        subprocess.run([*SERVICES, "up", "kafka"], capture_output=True, check=False)
    try:
        found = _address()
        if found is None:
            raise RigError(f"no Kafka: set {VARIABLE}, or dev/services up --install")
        yield Broker(found, f"bench-{os.urandom(4).hex()}")
    finally:
        if started:
            subprocess.run([*SERVICES, "down", "kafka"], capture_output=True, check=False)


def _address() -> str | None:
    if given := os.environ.get(VARIABLE):
        return given
    found = subprocess.run([*SERVICES, "env"], capture_output=True, text=True, check=False)
    lines = dict(line.partition("=")[::2] for line in found.stdout.splitlines())
    return lines.get(VARIABLE)
