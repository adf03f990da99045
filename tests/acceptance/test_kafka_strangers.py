"""The program on PostgreSQL and Kafka, looked at by strangers: other clients, other readers."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from confluent_kafka import Consumer, ConsumerGroupState
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from tests.support.databases import empty_database
from tests.support.kafka import admin, make_topics, private_broker, topics_of
from tests.support.processes import Headers, Installation, Server
from tests.support.rows import query

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(600)]
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
QUICK = {"poll_seconds": 0.2, "backoff_seconds": 0.05, "tries": 3, "lease_seconds": 2.0}
PATIENCE = 120.0


@pytest.fixture
def postgres_url(tmp_path: Path) -> Iterator[str]:
    """An empty database on PostgreSQL."""
    with empty_database("postgresql", tmp_path) as url:
        yield url


def installed(folder: Path, url: str, servers: str, prefix: str, **kafka: Any) -> Installation:
    """The shop with analytics, migrated, on that broker; four partitions a topic unless said."""
    section = {"bootstrap_servers": servers, "topic_prefix": prefix, "partitions": 4, **kafka}
    more = {"kafka": section, "events": QUICK, "modules.analytics": {"enabled": True}}
    made = Installation(folder, url, **more)
    done = made.run("db", "upgrade")
    assert done.returncode == 0, done.stderr
    made.create_admin()
    return made


@pytest.fixture
def place(tmp_path: Path, postgres_url: str, kafka: str, topic_prefix: str) -> Installation:
    """A deployment on the Kafka that tests share."""
    return installed(tmp_path / "place", postgres_url, kafka, topic_prefix)


def until(condition: Callable[[], Any], *, seconds: float = PATIENCE) -> Any:
    """What it gives, once that is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.1)
    return found


def order(server: Server, who: Headers, *products: int) -> int:
    """Place an order of one of each; its id."""
    lines = [{"product_id": it, "quantity": 1} for it in products]
    traced = {**who, "traceparent": TRACE}
    answer = server.call("POST", "/v2/orders", headers=traced, json={"lines": lines})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def pay(server: Server, moderator: Headers, number: int) -> None:
    """A second event of that order's."""
    body = {"status": "paid"}
    answer = server.call("PATCH", f"/v2/orders/{number}", headers=moderator, json=body)
    assert answer.status_code == 200, answer.text


def sales(url: str) -> int:
    """How many orders analytics knows of."""
    [(count,)] = query(url, "SELECT count(*) FROM analytics_sales")
    return int(count)


class Stranger:
    """Somebody else's consumer: librdkafka, and the SDK of CloudEvents."""

    def __init__(self, servers: str, topic: str) -> None:
        options = {"bootstrap.servers": servers, "group.id": f"{topic}-stranger"}
        self._consumer = Consumer({**options, "auto.offset.reset": "earliest"})
        self._consumer.subscribe([topic])
        self.messages: list[Any] = []

    def read(self, count: int, *, seconds: float = PATIENCE) -> list[Any]:
        """The first `count` messages, and what has come besides."""

        def enough() -> bool:
            message = self._consumer.poll(0.5)
            if message is not None and message.error() is None:
                self.messages.append(message)
            return len(self.messages) >= count

        until(enough, seconds=seconds)
        return self.messages

    def events(self, count: int) -> list[Any]:
        """The same as CloudEvents."""
        return [parsed(it) for it in self.read(count)]

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()


@pytest.fixture
def stranger(kafka: str, topic_prefix: str) -> Iterator[Callable[[str], Stranger]]:
    """Makes readers of a module's topic."""
    with contextlib.ExitStack() as stack:

        def make(module: str) -> Stranger:
            made = Stranger(kafka, f"{topic_prefix}.{module}")
            stack.callback(made.close)
            return made

        yield make


def parsed(message: Any) -> Any:
    """As the SDK of CloudEvents reads a message in binary mode."""
    return from_binary_event(KafkaMessage(dict(message.headers()), message.key(), message.value()))


def test_an_order_is_a_cloudevent_that_strangers_read(
    place: Installation, kafka: str, topic_prefix: str, stranger: Any
) -> None:
    """An order placed over HTTP is on <prefix>.orders: librdkafka reads it, the CloudEvents SDK
    parses it; key, headers, trace and data are as promised, and what follows is in order."""
    with place.serving() as server:
        boss = server.login()
        user, ann = server.register()
        product = server.product(boss)
        number = order(server, ann, product)
        pay(server, boss, number)
        reader = stranger("orders")
        created, changed = reader.read(2)
        assert {(it.key(), it.partition()) for it in (created, changed)} == {
            (str(number).encode(), created.partition())
        }
        headers = {name: value.decode() for name, value in created.headers()}
        assert UUID(headers.pop("ce_id"))
        assert headers.pop("ce_time").endswith("Z")
        assert headers.pop("traceparent").split("-")[1] == TRACE.split("-")[1]
        assert headers == {
            "ce_specversion": "1.0",
            "ce_source": "/tessera/orders",
            "ce_type": "orders.order_created.v1",
            "ce_subject": str(number),
            "ce_sequence": "1",
            "ce_aggregatetype": "orders.order",
            "content-type": "application/json",
        }
        event, later = parsed(created), parsed(changed)
        assert event.get_specversion() == "1.0"
        assert event.get_type() == "orders.order_created.v1"
        assert event.get_subject() == event.get_extension("partitionkey") == str(number)
        assert abs(event.get_time().timestamp() - time.time()) < 300
        data = event.get_data()
        assert (data["order_id"], data["user_id"], data["currency"]) == (number, user, "USD")
        assert data["lines"] == [
            {"product_id": product, "quantity": 1, "unit_price_minor": 1800, "total_minor": 1800}
        ]
        assert later.get_type() == "orders.order_status_changed.v1"
        assert later.get_extension("sequence") == "2"
        assert (later.get_data()["old"], later.get_data()["new"]) == ("created", "paid")
        registered = {it.get_data()["user_id"] for it in stranger("users").events(2)}
        assert user in registered
        modules = {"users", "catalog", "orders"}
        assert topics_of(kafka, topic_prefix) == {f"{topic_prefix}.{it}": 4 for it in modules}
        assert server.faults() == [], server.log


def members(kafka: str, group: str) -> list[int]:
    """How many partitions each member of a group has, once all is calm; else nothing."""
    client = admin(kafka)
    found = client.describe_consumer_groups([group])[group].result(20)
    if found.state != ConsumerGroupState.STABLE:
        return []
    return sorted(len(it.assignment.topic_partitions) for it in found.members)


@pytest.mark.slow
def test_of_five_consumers_on_four_partitions_one_idles(
    place: Installation, postgres_url: str, kafka: str, topic_prefix: str
) -> None:
    """Partitions bound how many work at once: of five processes one has none. When two are killed
    the others have all four; every order is counted once throughout."""
    group = f"{topic_prefix}.analytics"
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(place.serving())
        workers = [place.start("--role", "worker") for _ in range(4)]
        for worker in workers:
            stack.callback(worker.kill)
        for worker in workers:
            worker.wait_ready()
        until(lambda: members(kafka, group) == [0, 1, 1, 1, 1])
        product = server.product(server.login())
        _, ann = server.register()
        for _ in range(20):
            order(server, ann, product)
        until(lambda: sales(postgres_url) == 20)
        for worker in workers[:2]:
            worker.kill()
        for _ in range(20):
            order(server, ann, product)
        until(lambda: members(kafka, group) == [1, 1, 2])
        until(lambda: sales(postgres_url) == 40)
        [(units,)] = query(postgres_url, "SELECT sum(units) FROM analytics_sales")
        assert units == 40
        assert query(postgres_url, "SELECT * FROM core_deliveries") == []


def behind(place: Installation) -> int | None:
    """What analytics has yet to be given, by `events status`; None while it waits elsewhere."""
    status = json.loads(place.run("events", "status", "--json").stdout)
    [group] = [it for it in status["groups"] if it["name"] == "analytics"]
    return group["lag"] if status["relay"]["waiting"] == group["waiting"] == 0 else None


@contextlib.contextmanager
def ordering(place: Installation, *words: str) -> Iterator[None]:
    """A server at which three orders of one unit have been placed."""
    with place.serving(*words) as server:
        product = server.product(server.login())
        _, ann = server.register()
        for _ in range(3):
            order(server, ann, product)
        yield


@pytest.mark.slow
def test_kafka_comes_and_goes_by_settings_alone(
    place: Installation, postgres_url: str, topic_prefix: str, stranger: Any
) -> None:
    """A deployment begins without a broker, is given one, and is taken from it when the lag is
    zero. What waited at each change is delivered after it, every order once; the topic has what
    was sent while there was one."""
    with_kafka = place.environ
    without = {**with_kafka, "TESSERA_KAFKA__BOOTSTRAP_SERVERS": ""}

    place.environ = without
    with ordering(place):
        until(lambda: sales(postgres_url) == 3)
    with ordering(place, "--role", "api"):
        pass  # what it records nobody relays before the next start
    place.environ = with_kafka
    with ordering(place):
        until(lambda: sales(postgres_url) == 9)
        until(lambda: behind(place) == 0)
    with ordering(place, "--role", "api"):
        pass
    place.environ = without
    with ordering(place):
        until(lambda: sales(postgres_url) == 15)
    [(units,)] = query(postgres_url, "SELECT sum(units) FROM analytics_sales")
    assert units == 15
    sent = {it.get_subject() for it in stranger("orders").events(6)}
    assert sent == {str(number) for number in range(4, 10)}


def waits(server: Server) -> list[str]:
    """What the log says of a broker that cannot be reached."""
    return [line for line in server.log.splitlines() if "work with Kafka waits" in line]


def test_a_broker_that_is_not_there_at_start_is_waited_for(
    tmp_path: Path, postgres_url: str
) -> None:
    """The program starts, says once who waits and for what, answers and records; when the broker
    comes everything is sent and counted, without a restart and without an error."""
    with private_broker(started=False) as broker:
        place = installed(
            tmp_path / "place", postgres_url, broker.servers, "late", send_seconds=1.0
        )
        with place.serving() as server:
            boss = server.login()
            _, ann = server.register()
            number = order(server, ann, server.product(boss))
            told = until(lambda: [it for it in waits(server) if "relay" in it])
            assert len(told) == 1
            assert broker.servers.partition(":")[2] in told[0]
            time.sleep(3)
            every = waits(server)
            assert len(every) == len(set(every)) <= 3, every  # the relay, a consumer, the topics
            assert server.call("GET", f"/v2/orders/{number}", headers=ann).status_code == 200
            assert sales(postgres_url) == 0
            status = json.loads(place.run("events", "status", "--json").stdout)
            assert status["relay"]["waiting"] >= 2
            broker.start()
            until(lambda: sales(postgres_url) == 1)
            reader = Stranger(broker.servers, "late.orders")
            assert parsed(reader.read(1)[0]).get_subject() == str(number)
            reader.close()
            until(lambda: "work with Kafka goes on" in server.log)
            assert [it for it in server.faults() if it not in every] == []


SIGN_IN = """\
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
sasl.mechanism.inter.broker.protocol=PLAIN
listener.name.plaintext.sasl.enabled.mechanisms=PLAIN
listener.name.plaintext.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required username="broker" \
password="among themselves" user_broker="among themselves" user_tessera="open sesame";
"""


def test_a_broker_that_wants_to_know_who_calls(tmp_path: Path, postgres_url: str) -> None:
    """With user and password events go over a broker that asks for them; with a wrong password
    they wait, the log says why, and the password is nowhere in it."""
    section = {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_username": "tessera",
        "sasl_password": "a wrong one",
    }
    with private_broker(more=SIGN_IN) as broker:
        place = installed(tmp_path / "place", postgres_url, broker.servers, "asked", **section)
        with place.serving() as server:
            told = until(lambda: [it for it in waits(server) if "topics" in it])
            assert "Authentication failed: Invalid username or password" in told[0]
            assert "a wrong one" not in server.log
        place.environ["TESSERA_KAFKA__SASL_PASSWORD"] = "open sesame"
        with ordering(place):
            until(lambda: sales(postgres_url) == 3)


def refused(place: Installation) -> list[Any]:
    """What `events failed` lists of the relay."""
    found = json.loads(place.run("events", "failed", "--group", "relay", "--json").stdout)
    return list(found)


def allow(kafka: str, topic: str, size: int) -> None:
    """Let a topic take messages of that size, as an operator would."""
    entry = ConfigEntry("max.message.bytes", str(size), None, False, False, False, False, [])
    entry.incremental_operation = AlterConfigOpType.SET
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    client = admin(kafka)
    for done in client.incremental_alter_configs([resource]).values():
        done.result(20)


def test_an_event_that_the_broker_refuses_is_a_dead_letter_of_the_relay(
    place: Installation, postgres_url: str, kafka: str, topic_prefix: str, stranger: Any
) -> None:
    """An event larger than the topic takes is dead with the broker's reason; later ones of its
    order wait, other orders flow. Given up, what waited goes on without it; tried again after
    the topic was changed, it arrives, and what waited behind it."""
    topic = f"{topic_prefix}.orders"
    make_topics(kafka, topic, partitions=4, max_message_bytes="2000")
    with place.serving() as server:
        boss = server.login()
        _, ann = server.register()
        products = [server.product(boss) for _ in range(30)]
        given_up, tried_again = order(server, ann, *products), order(server, ann, *products)
        small = order(server, ann, products[0])
        for number in (given_up, tried_again, small):
            pay(server, boss, number)
        letters = until(lambda: len(found := refused(place)) == 2 and found)
        by_order = {it["aggregate"].partition("/")[2]: it for it in letters}
        for letter in letters:
            assert letter["type"] == "orders.order_created.v1"
            assert (letter["attempts"], letter["behind"]) == (3, 1)
            assert "MessageSizeTooLarge" in letter["reason"]
        reader = stranger("orders")
        assert {it.get_subject() for it in reader.events(2)} == {str(small)}

        number = by_order[str(given_up)]["number"]
        assert place.run("events", "discard", "relay", str(number)).returncode == 0
        assert [it.get_type() for it in reader.events(3)[2:]] == ["orders.order_status_changed.v1"]

        allow(kafka, topic, 1_000_000)
        assert place.run("events", "retry", "relay", "--all").returncode == 0
        last = reader.events(5)[3:]
        assert {it.get_subject() for it in last} == {str(tried_again)}
        assert [it.get_extension("sequence") for it in last] == ["1", "2"]
        assert refused(place) == []
        until(lambda: sales(postgres_url) == 2)
