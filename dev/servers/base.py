"""What every server needs: the state file, ports, processes."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

START_SECONDS = 60.0


class Missing(Exception):
    """A server cannot be had this way; the text says what would help."""


@dataclass(frozen=True)
class Running:
    """A server that `up` started, as the state file keeps it."""

    how: str  # "local" or "docker"
    port: int
    password: str
    pid: int = 0
    mark: str = ""  # stands in the command line of `pid`: a number may have gone to another program


@dataclass(frozen=True)
class Service:
    """A kind of server: how to start it here, and what its addresses look like."""

    name: str
    variable: str
    setting: str
    url: str
    first_port: int
    packages: tuple[str, ...]
    programs: Callable[[], Path]  # where its programs are; raises Missing
    start: Callable[[Path, int, str], Running]  # (folder, port, password of a new one)
    stop_signal: signal.Signals = signal.SIGTERM

    def address(self, running: Running) -> str:
        """Its URL for a client on this machine."""
        return self.url.format(password=running.password, port=running.port)


def home() -> Path:
    """The folder of this user's servers; made when it is not there."""
    default = Path(os.environ.get("TMPDIR", "/tmp")) / f"tessera-services-{os.getuid()}"
    folder = Path(os.environ.get("TESSERA_TEST_SERVICES_DIR") or default)
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise SystemExit(f"dev/services: {folder} belongs to somebody else; set TMPDIR to another")
    return folder


def read_state(folder: Path) -> dict[str, Running]:
    """What `up` started and nobody has ended, also not by a reboot."""
    file = folder / "state.json"
    entries = json.loads(file.read_text()) if file.exists() else {}
    return {name: entry for name, raw in entries.items() if alive(entry := Running(**raw))}


def write_state(folder: Path, state: Mapping[str, Running]) -> None:
    """Keep it, readable by this user alone: there are passwords in it."""
    part = folder / "state.json.part"
    part.touch(mode=0o600)
    part.write_text(json.dumps({name: asdict(entry) for name, entry in state.items()}, indent=1))
    part.replace(folder / "state.json")


@contextmanager
def locked() -> Iterator[None]:
    """One `up` or `down` of this user at a time, in any folder: two would choose the same port."""
    lock = Path(tempfile.gettempdir()) / f"tessera-services-{os.getuid()}.lock"
    with os.fdopen(os.open(lock, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def listening(host: str, port: int) -> bool:
    """Whether something accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((host, port)) == 0


def free_port(first: int) -> int:
    """The first port from `first` on that nobody holds."""
    for port in range(first, first + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Missing(f"no free port in {first}-{first + 99}")


def command_of(pid: int) -> str:
    """The command line of a process, empty when there is none."""
    proc = Path(f"/proc/{pid}/cmdline")
    if proc.parent.parent.joinpath("self").exists():
        return (
            proc.read_bytes().replace(b"\0", b" ").decode(errors="replace") if proc.exists() else ""
        )
    done = subprocess.run(
        ["ps", "-p", str(pid), "-o", "command="], capture_output=True, check=False
    )
    return done.stdout.decode(errors="replace")


def alive(running: Running) -> bool:
    """Whether the server that was started is still that one."""
    if running.how == "docker":
        return listening("127.0.0.1", running.port)
    return bool(running.mark) and running.mark in command_of(running.pid)


def spawn(command: Sequence[str], log: Path, *, config: str = "") -> subprocess.Popen[bytes]:
    """Start a server that outlives this script, its words in `log`."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
        )
    assert process.stdin is not None
    process.stdin.write(config.encode())
    process.stdin.close()
    return process


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Until `ready`; raises Missing with the end of the log when the server gives up before."""
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise Missing(f"it did not start; {log} ends: {log.read_text()[-500:].strip()}")
        time.sleep(0.05)


def run(command: Sequence[str], **environ: str) -> None:
    """A step that must work; raises Missing with its last words."""
    done = subprocess.run(
        command, capture_output=True, text=True, cwd="/", env={**os.environ, **environ}, check=False
    )
    if done.returncode:
        raise Missing(
            f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()[-500:]}"
        )
