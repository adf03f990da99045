"""Kafka for tests: the broker that the run was given, and one of a test's own to be hurt."""

from __future__ import annotations

import os
import random
import shutil
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import NoReturn

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from dev.servers.base import Missing, free_port
from dev.servers.kafka import KAFKA, Broker, jars


def missing(what: str) -> NoReturn:
    """Leave the test out, or fail it where the run requires Kafka."""
    reason = f"no Kafka: {what}"
    if "kafka" in os.environ.get("TESSERA_TEST_REQUIRE", ""):
        pytest.fail(reason)
    pytest.skip(reason)


def shared_kafka() -> str:
    """The bootstrap servers that the run was given."""
    return os.environ.get(KAFKA.variable) or missing(f"{KAFKA.variable} is not set")


def admin(servers: str) -> AdminClient:
    """A stranger's client of what a broker keeps."""
    return AdminClient({"bootstrap.servers": servers})


def make_topics(servers: str, *names: str, partitions: int = 1, **config: str) -> None:
    """Make topics, and wait until they are there; `config` has underscores for dots."""
    options = {name.replace("_", "."): value for name, value in config.items()}
    topics = [NewTopic(name, partitions, 1, config=options) for name in names]
    client = admin(servers)  # held: what it does ends with it
    for done in client.create_topics(topics).values():
        done.result(20)


def topics_of(servers: str, prefix: str) -> dict[str, int]:
    """The topics below a prefix, each with the number of its partitions."""
    found = admin(servers).list_topics(timeout=20).topics
    return {name: len(it.partitions) for name, it in found.items() if name.startswith(prefix)}


def forget(servers: str, prefix: str) -> None:
    """Take away what a test left below its prefix."""
    client = admin(servers)
    names = list(topics_of(servers, prefix))
    for done in (client.delete_topics(names) if names else {}).values():
        done.exception(20)


@pytest.fixture
def kafka() -> str:
    """The bootstrap servers that all tests share; a test stays below its `topic_prefix`."""
    return shared_kafka()


@pytest.fixture
def topic_prefix(kafka: str) -> Iterator[str]:
    """A prefix for topics and groups that no other test has; its topics are gone at the end."""
    prefix = f"test-{uuid.uuid4().hex[:12]}"
    yield prefix
    forget(kafka, prefix)


def _available() -> None:
    """Skip where no broker of one's own can be started."""
    try:
        KAFKA.programs()
    except Missing as problem:
        missing(str(problem))
    if not jars().exists() and "kafka" not in os.environ.get("TESSERA_TEST_REQUIRE", ""):
        missing("no jars; `dev/services up kafka` gets them")


@contextmanager
def private_broker(*, started: bool = True, more: str = "") -> Iterator[Broker]:
    """A broker of one's own on a port that it keeps; killed at the end, its data too.

    `more` are further lines of its properties.
    """
    _available()
    folder = Path(mkdtemp(prefix="tessera-kafka-"))
    with _block_of_ports() as first:
        broker = Broker(folder, first, more=more)
        try:
            if started:
                broker.start()
            yield broker
        finally:
            broker.kill()
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _block_of_ports() -> Iterator[int]:
    """The first free of a hundred ports that no test has before the end, in whatever process.

    A broker binds its ports seconds after they were looked for, and again after it was killed.
    They are below those that clients get, and whoever holds the first port of a block has it all.
    """
    for block in random.sample(range(20_000, 30_000, 100), 100):
        with socket.socket() as held:
            try:
                held.bind(("127.0.0.1", block))
            except OSError:
                continue
            yield free_port(block + 1)
            return
    raise Missing("somebody holds every block of ports from 20000 to 30000")


@pytest.fixture
def broker() -> Iterator[Broker]:
    """A running broker of the test's own, to kill, freeze and start again."""
    with private_broker() as mine:
        yield mine
