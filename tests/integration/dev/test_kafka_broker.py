"""The Kafka that tests run: jars once, a broker that is killed and comes back with what it held."""

import os
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer

from dev.servers import kafka as server
from dev.servers.base import Missing
from dev.servers.kafka import Broker
from tests.support.kafka import admin, make_topics, private_broker, topics_of


def put(servers: str, topic: str, value: bytes) -> None:
    """Write one message, acknowledged."""
    errors: list[object] = []
    producer = Producer({"bootstrap.servers": servers, "message.timeout.ms": 15000})
    producer.produce(topic, value, on_delivery=lambda error, _: errors.append(error))
    producer.flush(20)
    assert errors == [None]


def first(servers: str, topic: str) -> bytes | None:
    """The first message of a topic, for a group of its own."""
    options = {"bootstrap.servers": servers, "group.id": topic, "auto.offset.reset": "earliest"}
    consumer = Consumer(options)
    consumer.subscribe([topic])
    try:
        message = consumer.poll(20)
        return message.value() if message is not None else None
    finally:
        consumer.close()


@pytest.mark.kafka
def test_the_shared_broker_makes_no_topic_by_itself(kafka: str, topic_prefix: str) -> None:
    """As on a cluster that somebody runs: a topic is there when it was made, and not by asking."""
    client = admin(kafka)
    client.list_topics(f"{topic_prefix}.asked", timeout=10)
    make_topics(kafka, f"{topic_prefix}.made", partitions=3)
    assert topics_of(kafka, topic_prefix) == {f"{topic_prefix}.made": 3}


@pytest.mark.kafka
def test_no_two_brokers_are_given_one_port() -> None:
    """Sixty that are not started yet, so that no port of theirs is seen to be held, have sixty."""
    with ExitStack() as stack:
        brokers = [stack.enter_context(private_broker(started=False)) for _ in range(60)]
        assert len({broker.port for broker in brokers}) == len(brokers)


@pytest.mark.kafka
def test_a_killed_broker_comes_back_with_what_it_held(broker: Broker) -> None:
    """After SIGKILL and a new start it has its address, its topics and what it acknowledged."""
    make_topics(broker.servers, "t")
    put(broker.servers, "t", b"one")
    before = broker.servers
    broker.kill()
    broker.start()
    assert broker.servers == before
    assert first(broker.servers, "t") == b"one"


@pytest.mark.kafka
def test_a_frozen_broker_answers_when_it_is_thawed(broker: Broker) -> None:
    """While frozen it takes connections and answers nobody; thawed, it goes on."""
    make_topics(broker.servers, "t")
    broker.freeze()
    client = admin(broker.servers)
    with pytest.raises(KafkaException, match="TRANSPORT|TIMED_OUT"):
        client.list_topics(timeout=2)
    broker.thaw()
    put(broker.servers, "t", b"one")


@pytest.mark.kafka
def test_a_broker_that_is_stopped_ends_within_seconds(broker: Broker) -> None:
    """SIGTERM is a shutdown in good order, not a wait for the kill."""
    before = time.monotonic()
    broker.stop()
    assert time.monotonic() - before < 15
    assert broker.process is not None
    assert broker.process.returncode in (0, 143)


MAVEN = """#!/bin/sh
echo "$@" >> {folder}/calls
{what}
"""


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout without jars, and a folder that is first on the path."""
    monkeypatch.setattr(server, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def maven(folder: Path, what: str) -> None:
    """An mvn that keeps count and does `what`."""
    (folder / "mvn").write_text(MAVEN.format(folder=folder, what=what))
    (folder / "mvn").chmod(0o755)


def test_jars_are_got_once(bare: Path) -> None:
    """The second start asks no Maven: what it got stays in var/, under the checksum of the pom."""
    maven(bare, 'for it; do case $it in *Directory=*) mkdir "${it#*=}";; esac; done')
    assert server.get_jars() == server.get_jars() == server.jars()
    assert server.jars().parent == bare / "var/kafka"
    assert len((bare / "calls").read_text().splitlines()) == 1


def test_what_maven_could_not_get_is_said_and_leaves_nothing(bare: Path) -> None:
    """Maven's last words are the reason, and no half folder is taken for the jars later."""
    maven(bare, "echo '[ERROR] Could not resolve kafka'; echo Picked up options >&2; exit 1")
    with pytest.raises(Missing, match=r"mvn failed: \[ERROR\] Could not resolve kafka$"):
        server.get_jars()
    assert not server.jars().exists()
    assert list(server.jars().parent.iterdir()) == []


def test_an_old_java_is_said(bare: Path) -> None:
    """Java 11 is refused before a broker fails on it."""
    (bare / "java").write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    (bare / "java").chmod(0o755)
    with pytest.raises(Missing, match=r"Java 17 or later.*11\.0\.2"):
        server.programs()
