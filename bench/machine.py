"""Processes on chosen cores: who runs where, how much CPU time and memory they took."""

from __future__ import annotations

import os
import platform
import shutil
import socket
from importlib.metadata import version
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]

LIBRARIES = ("fastapi", "starlette", "pydantic", "uvicorn", "uvloop", "sqlalchemy", "sqlmodel")


class RigError(Exception):
    """The measurement cannot be trusted, or cannot be made; the text says why."""


def needed(program: str, package: str) -> str:
    """The path of a program. Raises RigError with what to install."""
    found = shutil.which(program)
    if found is None:
        raise RigError(f"{program} is not installed: apt-get install {package}")
    return found


def on_core(core: int, *command: str) -> list[str]:
    """The command, bound to one core."""
    return [needed("taskset", "util-linux"), "-c", str(core), *command]


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has taken so far, all its threads and ended children included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(fields[index]) for index in (11, 12, 13, 14)) / TICK


def core_busy_seconds(core: int) -> float:
    """CPU time that a core has spent on anything at all."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = map(int, ticks)
            return (user + nice + system + irq + softirq + steal) / TICK
    raise RigError(f"/proc/stat knows no core {core}")


def memory_mib(pid: int) -> tuple[float, float]:
    """Resident and proportional set size in MiB."""
    found = {"Rss:": 0.0, "Pss:": 0.0}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, *rest = line.split()
        if name in found:
            found[name] = int(rest[0]) / 1024
    return found["Rss:"], found["Pss:"]


def free_port() -> int:
    """A port of 127.0.0.1 that nobody holds just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def describe() -> dict[str, str]:
    """This machine and what runs on it, for the head of the results."""
    total = next(
        line for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line
    )
    models = [
        line.partition(": ")[2]
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cores": f"{len(CORES)} ({models[0] if models else platform.machine()})",
        "memory": f"{int(total.split()[1]) / 2**20:.0f} GiB",
        "Linux": platform.release(),
        "Python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
    }
