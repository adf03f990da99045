"""The Redis client of a process: fast when Redis is well, and fast when it is not."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from core.errors import ConfigurationError, Unavailable
from core.redis import LIMIT, MAX_CONNECTIONS, PAUSE, RedisDown, RedisPort
from tests.support.caches import RedisServer, port_for

pytestmark = pytest.mark.redis


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    started = RedisServer(tmp_path)
    started.start()
    yield started
    started.kill()


@pytest.fixture
async def port(server: RedisServer) -> AsyncIterator[RedisPort]:
    made = port_for(server.url)
    yield made
    await made.close()


@pytest.fixture
async def patient(server: RedisServer) -> AsyncIterator[RedisPort]:
    """A port that a busy machine does not make think that Redis is down."""
    made = port_for(server.url, limit=10)
    yield made
    await made.close()


async def timed(port: RedisPort) -> tuple[bool, float]:
    """Whether a ping was answered, and after how many seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        await port.ping()
    except RedisDown:
        return False, loop.time() - began
    return True, loop.time() - began


async def test_without_an_address_nobody_connects() -> None:
    """A deployment without Redis has a port that refuses at once and closes like any other."""
    port = port_for()
    assert (port.configured, port.available) == (False, False)
    with pytest.raises(RedisDown, match="No Redis is configured"):
        await port.ping()
    with pytest.raises(RedisDown):
        _ = port.client
    await port.close()


def test_without_an_address_the_library_is_not_even_loaded() -> None:
    """Importing the port, and making one without an address, costs no import of redis."""
    program = (
        "import sys; from core.redis import RedisPort; from core.settings import Settings\n"
        "RedisPort(Settings.for_tests().redis); print('redis' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.strip() == "False", done.stderr


async def test_it_connects_with_the_first_call(server: RedisServer, patient: RedisPort) -> None:
    """Making the port connects to nothing; the first call does, by RESP3."""
    server.kill()
    assert (patient.configured, patient.available) == (True, True)
    server.start()
    hello: Any = await patient.call(lambda client: client.execute_command("HELLO"))
    assert hello[b"proto"] == 3


async def test_many_callers_share_few_connections(patient: RedisPort) -> None:
    """A hundred callers at once are all answered, over at most as many connections as allowed."""
    await patient.ping()
    await asyncio.gather(*(patient.call(lambda client: client.incr("n")) for _ in range(100)))
    assert await patient.call(lambda client: client.get("n")) == b"100"
    assert len(await patient.call(lambda client: client.client_list())) <= MAX_CONNECTIONS


async def test_a_dead_redis_is_asked_once_a_pause(server: RedisServer, port: RedisPort) -> None:
    """After a failure calls fail at once for two seconds; then one call finds Redis back."""
    await port.ping()
    server.kill()
    answered, took = await timed(port)
    assert (answered, port.available) == (False, False)
    assert took < LIMIT + 0.5
    server.start()
    for _ in range(50):
        answered, took = await timed(port)
        assert not answered
        assert took < LIMIT / 2
    await asyncio.sleep(PAUSE)
    assert (await timed(port))[0]
    assert port.available


async def test_a_frozen_redis_costs_a_quarter_of_a_second(
    server: RedisServer, port: RedisPort
) -> None:
    """A Redis that accepts and says nothing, on old connections and new, ends in the time limit."""
    await port.ping()
    server.freeze()
    outcomes = await asyncio.gather(*(timed(port) for _ in range(60)))
    assert not any(answered for answered, _ in outcomes)
    assert max(took for _, took in outcomes) < LIMIT + 0.5
    server.thaw()


async def test_only_one_call_probes(server: RedisServer, port: RedisPort) -> None:
    """When the pause is over one call waits for the dead server, the others still fail at once."""
    await port.ping()
    server.freeze()
    await timed(port)
    await asyncio.sleep(PAUSE)
    outcomes = await asyncio.gather(*(timed(port) for _ in range(20)))
    assert sum(took > LIMIT / 2 for _, took in outcomes) == 1
    server.thaw()


async def test_a_change_of_state_is_logged_once(server: RedisServer, port: RedisPort) -> None:
    """Going down and coming back are one line each, and no line holds the password."""
    await port.ping()
    with structlog.testing.capture_logs() as lines:
        server.kill()
        await asyncio.gather(*(timed(port) for _ in range(20)))
        server.start()
        await asyncio.sleep(PAUSE)
        await asyncio.gather(*(timed(port) for _ in range(20)))
    told = [line["event"] for line in lines]
    assert told == ["redis is down and will be passed by", "redis is back"]


async def test_a_refusal_is_no_outage(patient: RedisPort) -> None:
    """A command that a living Redis refuses raises RedisDown and does not open the breaker."""
    await patient.call(lambda client: client.set("text", "x"))
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            with pytest.raises(RedisDown, match="WRONGTYPE"):
                await patient.call(lambda client: client.lpush("text", "y"))
    assert patient.available
    assert len(lines) == 1
    await patient.ping()


async def test_an_error_of_the_callers_own_is_his(port: RedisPort) -> None:
    """What an operation raises by itself passes through and says nothing about Redis."""

    async def wrong(_: Any) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await port.call(wrong)
    assert port.available


async def test_a_cancelled_call_leaves_the_port_well(patient: RedisPort) -> None:
    """A caller who goes away in the middle of a command leaves no broken connection behind."""
    await patient.call(lambda client: client.set("k", "v"))
    for _ in range(20):
        task = asyncio.create_task(patient.call(lambda client: client.blpop(["none"], 1)))
        await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait([task])
    answers = [await patient.call(lambda client: client.get("k")) for _ in range(60)]
    assert answers == [b"v"] * 60


async def test_a_wrong_password_is_a_redis_that_is_down(server: RedisServer) -> None:
    """A Redis that lets nobody in is passed by, and the password is in no message."""
    port = port_for(server.url.replace("//", "//nobody:hunter2@"))
    with structlog.testing.capture_logs() as lines, pytest.raises(RedisDown) as caught:
        await port.ping()
    assert not port.available
    assert "hunter2" not in f"{lines}{caught.value}{caught.value.__cause__}"
    await port.close()


async def test_down_is_unavailable_to_who_needs_it() -> None:
    """An answer that cannot do without Redis becomes a 503 with Retry-After by itself."""
    with pytest.raises(Unavailable) as caught:
        await port_for().ping()
    assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "1"})


def test_an_address_that_cannot_be_one_is_a_configuration_error() -> None:
    """What only the library finds wrong with the address is told as the settings' error."""
    from types import SimpleNamespace

    settings: Any = SimpleNamespace(url="gopher://127.0.0.1")
    with pytest.raises(ConfigurationError, match=r"redis\.url"):
        RedisPort(settings)


async def test_closing_twice_is_once(port: RedisPort) -> None:
    """A port may be closed again, and after nothing was ever connected."""
    await port.ping()
    await port.close()
    await port.close()
