"""PostgreSQL by the programs of this machine."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

from dev.servers.base import Missing, Running, Service, run, spawn, wait_until

FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=300")


def programs() -> Path:
    """The folder of the newest initdb and postgres on this machine."""
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda it: -float(it.parent.name)
    )
    on_path = shutil.which("postgres")
    folders += [Path(on_path).resolve().parent] if on_path else []
    for folder in folders:
        if all((folder / program).exists() for program in ("initdb", "postgres", "createdb")):
            return folder
    raise Missing("no PostgreSQL server on this machine")


def as_owner(folder: Path) -> list[str]:
    """How to run what refuses to be root: a command prefix, after giving `folder` to that user."""
    if os.getuid() != 0:
        return []
    try:
        owner = pwd.getpwnam("postgres")
    except KeyError:
        raise Missing("PostgreSQL refuses root, and there is no user postgres") from None
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    prefix = ["runuser", "-u", "postgres", "--"]
    if subprocess.run([*prefix, "test", "-w", str(folder)], cwd="/", check=False).returncode:
        raise Missing(
            f"the user postgres cannot reach {folder}; set TMPDIR to a folder that it can"
        )
    return prefix


def init_postgres(programs: Path, folder: Path, prefix: list[str], password: str) -> None:
    """A new cluster in `folder`/data; the password is asked for, since loopback is everybody's."""
    shutil.rmtree(folder / "data", ignore_errors=True)
    secret = folder / "password"
    secret.write_text(password)
    os.chown(secret, folder.stat().st_uid, folder.stat().st_gid)
    secret.chmod(0o600)
    command = [
        *prefix,
        str(programs / "initdb"),
        "-D",
        str(folder / "data"),
        "-U",
        "tessera",
        "--no-sync",
    ]
    # "password", not "scram": no worse on loopback, and connecting costs no key stretching.
    run([*command, "-E", "UTF8", "--locale=C.UTF-8", "-A", "password", f"--pwfile={secret}"])


def start(base: Path, port: int, password: str) -> Running:
    """Start PostgreSQL on `port`; its data stays from one `up` to the next."""
    binaries, folder = programs(), base / "postgres"
    folder.mkdir(mode=0o700, exist_ok=True)
    prefix, kept, version = as_owner(folder), base / "postgres.json", binaries.parent.name
    known: dict[str, str] = json.loads(kept.read_text()) if kept.exists() else {}
    fresh = known.get("version") != version
    if fresh:
        kept.unlink(missing_ok=True)
        init_postgres(binaries, folder, prefix, password)
    password = password if fresh else known["password"]
    options = (f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", *FAST)
    flags = [part for option in options for part in ("-c", option)]
    log = base / "postgres.log"
    process = spawn([*prefix, str(binaries / "postgres"), "-D", str(folder / "data"), *flags], log)
    probe = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    wait_until(lambda: subprocess.run(probe, check=False).returncode == 0, process, log)
    if fresh:
        where = ["-h", "127.0.0.1", "-p", str(port), "-U", "tessera"]
        run([str(binaries / "createdb"), *where, "tessera"], PGPASSWORD=password)
        kept.touch(mode=0o600)
        kept.write_text(json.dumps({"version": version, "password": password}))
    pid = int((folder / "data" / "postmaster.pid").read_text().split()[0])
    return Running("local", port, password, pid, str(folder / "data"))


POSTGRES = Service(
    name="postgres",
    variable="TESSERA_TEST_POSTGRES_URL",
    setting="TESSERA_DATABASE__URL",
    url="postgresql+asyncpg://tessera:{password}@127.0.0.1:{port}/tessera",
    first_port=55532,
    packages=("postgresql",),
    programs=programs,
    start=start,
    stop_signal=signal.SIGINT,  # "fast shutdown": SIGTERM would wait for every client to leave
)
