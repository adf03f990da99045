"""The same servers as containers, where an engine answers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from dev.servers.base import Running, Service, run

FILE = Path(__file__).resolve().parents[1] / "compose.yaml"


def engine_answers() -> bool:
    """Whether there is an engine, with Compose, behind the client."""
    if shutil.which("docker") is None:
        return False
    for question in (["docker", "info"], ["docker", "compose", "version"]):
        try:
            done = subprocess.run(question, capture_output=True, timeout=10, check=False)
        except subprocess.TimeoutExpired:
            return False
        if done.returncode:
            return False
    return True


def compose(service: Service, *verb: str, port: int = 0, password: str = "-") -> None:
    """Run Compose for one service, a project of its own; raises Missing when it fails."""
    project = f"tessera-{os.getuid()}-{service.name}"
    command = ["docker", "compose", "-f", str(FILE), "-p", project, *verb]
    run(command, SERVICE_PORT=str(port), SERVICE_PASSWORD=password)


def start(service: Service, port: int, password: str) -> Running:
    """Start it on `port` and wait until it is healthy; raises Missing when it is not."""
    compose(service, "up", "-d", "--wait", service.name, port=port, password=password)
    return Running("docker", port, password)


def stop(service: Service) -> None:
    """End it, and forget what it held."""
    compose(service, "down", "--volumes")
