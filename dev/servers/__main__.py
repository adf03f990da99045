"""Real servers for tests and for trying things out.

Each comes from the first of these that can give it: an address in the environment
(TESSERA_TEST_POSTGRES_URL, TESSERA_TEST_REDIS_URL, TESSERA_TEST_KAFKA_SERVERS), Docker Compose
where an engine answers, the programs of this machine. Nothing is installed unless --install says
so; then the programs are, also where Docker answers, since some tests start servers of their own.
What `up` starts listens on a loopback port of its own and is remembered in a folder, so that `down`
works from any shell and ends nothing else.

    dev/services up [--install] [postgres] [redis] [kafka]
    export $(dev/services env)       then run the application, or pytest, on them

TESSERA_TEST_SERVICES_DIR names another folder: a second set of servers, for tests that stop them.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from dev.servers import docker
from dev.servers.base import (
    Missing,
    Running,
    Service,
    alive,
    free_port,
    home,
    listening,
    locked,
    read_state,
    run,
    write_state,
)
from dev.servers.kafka import KAFKA
from dev.servers.postgres import POSTGRES
from dev.servers.redis import REDIS

SERVICES = (POSTGRES, REDIS, KAFKA)
STOP_SECONDS = 20.0


def say(text: str) -> None:
    """A line for the person; stdout is kept for what other programs read."""
    print(text, file=sys.stderr, flush=True)


def given(service: Service) -> str:
    """The address that the environment gives, empty when it gives none."""
    return os.environ.get(service.variable, "")


def reachable(url: str) -> bool:
    """Whether something listens at the host and port of `url`."""
    first = url.split(",", maxsplit=1)[0]  # Kafka's are a list, and name no scheme
    parts = urlsplit(first if "://" in first else f"//{first}")
    return bool(parts.hostname and parts.port) and listening(str(parts.hostname), parts.port or 0)


def is_installed(service: Service) -> bool:
    """Whether this machine has its programs."""
    try:
        service.programs()
    except Missing:
        return False
    return True


def install(services: Sequence[Service], *, needed: bool) -> None:
    """Get the packages of `services` by apt; where that cannot be, ends the script if `needed`."""
    try:
        apt_get(services)
    except (Missing, FileNotFoundError) as problem:
        if needed:
            raise SystemExit(f"dev/services: {problem}") from None
        say(f"not installed: {problem}; tests that start servers of their own will miss it")


def apt_get(services: Sequence[Service]) -> None:
    """Install the packages of `services`. Raises Missing, FileNotFoundError without sudo."""
    if shutil.which("apt-get") is None:
        raise Missing("--install knows apt-get only, and there is none here")
    sudo = [] if os.getuid() == 0 else ["sudo", "-n"]
    # RUNLEVEL=1: the packages' own servers are not wanted, and are not started.
    apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get", "-qq"]
    names = [name for service in services for name in service.packages]
    say(f"installing {' '.join(names)}")
    run([*apt, "update"])
    run([*apt, "install", "-y", "--no-install-recommends", *names])


def start(service: Service, base: Path, *, in_docker: bool) -> Running:
    """Start it by Docker or here. Raises Missing when neither can."""
    port, password = free_port(service.first_port), secrets.token_hex(12)
    if in_docker:
        try:
            return docker.start(service, port, password)
        except Missing as problem:
            say(f"{service.name}: Docker could not: {problem}")
    return service.start(base, port, password)


def stop(service: Service, running: Running) -> None:
    """End what `up` started, and wait until it has gone."""
    if running.how == "docker":
        docker.stop(service)
        return
    os.kill(running.pid, service.stop_signal)
    deadline = time.monotonic() + STOP_SECONDS
    while alive(running):
        if time.monotonic() > deadline:
            os.kill(running.pid, signal.SIGKILL)
        time.sleep(0.05)


def advice(service: Service) -> str:
    """What a person can do who lacks it."""
    packages = " ".join(service.packages)
    return f"set {service.variable}, or: dev/services up --install (apt-get install {packages})"


def up(services: Sequence[Service], *, may_install: bool) -> int:
    """Start what is not there yet. 1 when something is missing in the end."""
    base = home()
    with locked():
        state = read_state(base)
        wanted = [it for it in services if not given(it) and it.name not in state]
        in_docker = bool(wanted) and docker.engine_answers()
        absent = [it for it in services if not is_installed(it)]
        if absent and may_install:
            install(absent, needed=not in_docker and any(it in wanted for it in absent))
        for service in wanted:
            try:
                state[service.name] = start(service, base, in_docker=in_docker)
            except Missing as problem:
                say(f"{service.name}: {problem}; {advice(service)}")
            write_state(base, state)
    return status(services)


def down(services: Sequence[Service], *, wipe: bool) -> int:
    """End what `up` started; with `wipe` forget its data too."""
    base = home()
    with locked():
        state = read_state(base)
        for service in services:
            if running := state.pop(service.name, None):
                stop(service, running)
                say(f"{service.name}: stopped")
            write_state(base, state)
    if wipe:
        shutil.rmtree(base)
    return 0


def restart(services: Sequence[Service]) -> int:
    """Stop and start on the same port, as an operator would. 1 when one is not ours to restart."""
    base = home()
    with locked():
        state = read_state(base)
        for service in services:
            old = state.get(service.name)
            if old is None:
                say(f"{service.name}: not started by dev/services up")
                return 1
            if old.how == "docker":
                docker.compose(service, "restart", port=old.port, password=old.password)
                continue
            stop(service, old)
            state[service.name] = service.start(base, old.port, old.password)
            write_state(base, state)
    return 0


def addresses(services: Sequence[Service]) -> dict[str, str]:
    """name -> URL of all that can be used now."""
    state = read_state(home())
    started = {it.name: it.address(state[it.name]) for it in services if it.name in state}
    return started | {it.name: given(it) for it in services if given(it)}


def describe(service: Service, running: Running | None) -> tuple[bool, str]:
    """Whether it can be used, and the words for it."""
    if given(service):
        there = reachable(given(service))
        return (
            there,
            f"{service.variable} is set, and it {'answers' if there else 'does NOT answer'}",
        )
    if running is None:
        return False, "not running"
    origin = f"process {running.pid}" if running.how == "local" else "Docker"
    return True, f"127.0.0.1:{running.port} ({origin})"


def status(services: Sequence[Service]) -> int:
    """Say what is there. 1 when something is not."""
    state, complete = read_state(home()), True
    for service in services:
        there, words = describe(service, state.get(service.name))
        complete = complete and there
        say(f"{service.name}: {words}")
    return 0 if complete else 1


def env(services: Sequence[Service]) -> int:
    """Print NAME=value lines for tests and for the application. 1 when there are none."""
    urls = addresses(services)
    for service in services:
        if service.name in urls:
            print(f"{service.variable}={urls[service.name]}")
            print(f"{service.setting}={urls[service.name]}")
    return 0 if urls else 1


def arguments() -> argparse.Namespace:
    """The command line, read."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("dev/services", description=__doc__, formatter_class=form)
    names = {it.name: it for it in SERVICES}
    parser.add_argument("verb", choices=("up", "down", "restart", "status", "env"))
    parser.add_argument(
        "services", nargs="*", metavar="service", help=f"of {', '.join(names)}; all"
    )
    parser.add_argument("--install", action="store_true", help="up: apt-get what is missing")
    parser.add_argument("--wipe", action="store_true", help="down: forget the data as well")
    asked = parser.parse_intermixed_args()  # also: up --install kafka
    if unknown := [name for name in asked.services if name not in names]:
        parser.error(f"no such service: {', '.join(unknown)}; there are {', '.join(names)}")
    asked.services = [names[name] for name in asked.services] or list(SERVICES)
    return asked


def main() -> int:
    """Read the command line and do it."""
    asked = arguments()
    if asked.verb == "up":
        return up(asked.services, may_install=asked.install)
    if asked.verb == "down":
        return down(asked.services, wipe=asked.wipe)
    verbs = {"restart": restart, "status": status, "env": env}
    return verbs[asked.verb](asked.services)


if __name__ == "__main__":
    sys.exit(main())
