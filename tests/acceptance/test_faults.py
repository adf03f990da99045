"""Whatever one module does wrong, a real server is ready in time, serves, and says what to do."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.faults import EXIT, FOREVER, HARMLESS, REALLY, WRONG, life, plant_all
from tests.support.plants import Garden, minimal, with_route
from tests.support.processes import ROOT, Installation, Server

READY_SECONDS = 15.0
IDLE_SECONDS = 0.7
"""What `config show` takes on two cores that do nothing else, with room to spare."""
Faulty = tuple["Deployment", Server]


class Deployment(Installation):
    """Planted modules in a folder of their own."""

    measured = True

    def __init__(self, folder: Path, garden: Garden, *modules: str, **options: Any) -> None:
        super().__init__(folder, f"sqlite+aiosqlite:///{folder / 'tessera.db'}")
        self.environ = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(garden.folder)])}
        self.enable(*modules, **options)

    def enable(self, *modules: str, **options: Any) -> None:
        """Write the settings anew."""
        text = f'[database]\nurl = "sqlite+aiosqlite:///{self.folder / "tessera.db"}"\n'
        for name in modules:
            text += f"[modules.{name}]\nenabled = true\n"
            text += "".join(f"{k} = {json.dumps(v)}\n" for k, v in options.get(name, {}).items())
        (self.folder / "settings.toml").write_text(text)

    def list_modules(self) -> dict[str, dict[str, str]]:
        """``modules list --json`` by id."""
        done = self.run("modules", "list", "--json")
        return {entry["id"]: entry for entry in json.loads(done.stdout)}


def modules_of(server: Server) -> dict[str, Any]:
    """What /readyz says of each module."""
    found: dict[str, Any] = server.call("GET", "/readyz").json()["modules"]
    return found


def busyness(deployment: Deployment) -> float:
    """By how much the machine is too busy for the command line to take its usual time."""
    began = time.monotonic()
    deployment.run("config", "show")
    return max(1.0, (time.monotonic() - began) / IDLE_SECONDS)


@contextmanager
def ready_in_time(deployment: Deployment) -> Iterator[Server]:
    """Its server, which was ready in 15 s, or in as many more as the machine is busy."""
    before = busyness(deployment)
    began = time.monotonic()
    with deployment.serving() as server:
        took = time.monotonic() - began
        assert took < READY_SECONDS * max(before, busyness(deployment))
        yield server


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    """A server with all faults at once, which was ready in time."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("faulty")
        (folder / "garden").mkdir()
        garden = Garden(folder / "garden", patch)
        plant_all(garden)
        names = ["good", *WRONG, *HARMLESS, "late"]
        deployment = Deployment(folder, garden, *names, unset={"pints": 2})
        with ready_in_time(deployment) as server:
            yield deployment, server


def test_ready_in_time_and_serving(faulty: Faulty) -> None:
    """With every fault at once the server is ready in time, and the good modules serve."""
    _, server = faulty
    for name in ("good", "late", *HARMLESS):
        assert server.call("GET", f"/v1/{name}").json() == {"module": name}
        assert modules_of(server)[name] == {"state": "enabled"}


def test_each_fault_is_told_in_every_place(faulty: Faulty) -> None:
    """Reason and remedy are in /readyz, in the log, and in ``modules list``."""
    deployment, server = faulty
    told, listed, log = modules_of(server), deployment.list_modules(), unfolded(server.log)
    for name, (_, reason) in WRONG.items():
        assert told[name]["state"] == listed[name]["state"] == "failed", name
        assert reason in told[name]["reason"], name
        assert reason in listed[name]["reason"], name
        assert told[name]["remedy"], name
        assert told[name]["remedy"] == listed[name]["remedy"]
        line = next(line for line in log if "module failed" in line and f"module={name} " in line)
        assert unquoted(reason) in unquoted(line), name
        assert unquoted(told[name]["remedy"]) in unquoted(line), name
    assert {name for name, entry in listed.items() if entry["state"] == "failed"} == set(WRONG)


def unfolded(log: str) -> list[str]:
    """The lines of a log without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", log).splitlines()


def unquoted(text: str) -> str:
    """A text without the quotes that a log puts around it, or doubles."""
    return re.sub(r"[\\\"']", "", text)


def test_info_tells_of_each_fault(faulty: Faulty) -> None:
    """``modules info`` gives the reason and the remedy of every one of them."""
    deployment, server = faulty
    done = deployment.run("modules", "info", "--json", *WRONG)
    assert done.returncode == 1
    told, shown = modules_of(server), {it["id"]: it for it in json.loads(done.stdout)}
    assert set(shown) == set(WRONG)
    for name, (_, reason) in WRONG.items():
        assert reason in shown[name]["reason"], name
        assert shown[name]["remedy"] == told[name]["remedy"], name


def test_what_a_module_takes_is_put_back_and_told(
    faulty: Faulty,
) -> None:
    """A module that closes standard error or switches the log off silences nobody."""
    _, server = faulty
    taken = [line for line in unfolded(server.log) if "it was put back" in line]
    assert any("stderr" in line for line in taken)
    assert any("logging.disable" in line for line in taken)
    assert all("module=silent" in line for line in taken)
    assert "module=quitter" in next(x for x in unfolded(server.log) if "end of the process" in x)


def test_a_swap_to_a_deadly_module_drops_no_connection(
    faulty: Faulty,
) -> None:
    """At SIGHUP modules that would hang or end the host are out by name, and a kept connection
    goes on."""
    deployment, server = faulty
    before = len(server.log)
    with server.client() as client:
        assert client.get("/v1/good").status_code == 200
        deployment.enable("good", "fresh", "novel", "late")
        server.process.send_signal(1)
        deadline = time.monotonic() + 30
        while "ready " not in server.log[before:]:
            assert client.get("/v1/good").status_code == 200
            assert time.monotonic() < deadline, server.log[before:]
            time.sleep(0.05)
        assert client.get("/v1/late").status_code == 200
    assert modules_of(server)["fresh"]["reason"] == WRONG["stuck"][1]
    assert "SystemExit: 3" in modules_of(server)["novel"]["reason"]


@pytest.mark.slow
def test_what_hangs_only_for_real_is_kept_out_of_the_next_start(
    tmp_path: Path, garden: Garden
) -> None:
    """A lifespan that blocks only outside of a rehearsal: the server begins anew without it."""
    garden.plant("good", with_route("good"))
    garden.plant("bad", minimal("bad", life(f"if {REALLY}: {FOREVER}")))
    deployment = Deployment(tmp_path / "here", garden, "good", "bad")
    with ready_in_time(deployment) as server:
        assert server.call("GET", "/v1/good").status_code == 200
        bad = modules_of(server)["bad"]
        assert "its lifespan blocked the process at the start of" in bad["reason"]
        assert bad["remedy"] == "mend it, or delete var/blocked.json to try it once more"
        assert "time.sleep(1e9)" in server.log, "the stack is shown"
    assert bad["reason"] == deployment.list_modules()["bad"]["reason"]
    garden.file("planted_bad", "module.py", with_route("bad"))
    with deployment.serving() as server:
        assert modules_of(server)["bad"] == {"state": "enabled"}, "it was mended"


def test_what_ends_the_process_for_real_is_kept_out_of_the_next_start(
    tmp_path: Path, garden: Garden
) -> None:
    """A task that ends the process only outside of a rehearsal, twice, as nobody's kill would: the
    next start is without it."""
    begin = f"asyncio.get_running_loop().create_task(end()) if {REALLY} else None"
    body = life(begin) + f"\nasync def end():\n    await asyncio.sleep(0.5)\n    {EXIT}\n"
    garden.plant("good", with_route("good"))
    garden.plant("bad", minimal("bad", body))
    deployment = Deployment(tmp_path / "here", garden, "good", "bad")
    assert deployment.start().process.wait(timeout=60) == 7
    assert deployment.start().process.wait(timeout=60) == 7
    with deployment.serving() as server:
        assert server.call("GET", "/v1/good").status_code == 200
        reason = modules_of(server)["bad"]["reason"]
        assert "a task that it started ended the whole process at the start of" in reason


@pytest.mark.parametrize("fault", ["raising", "stuck"])
def test_a_required_module_that_fails_refuses_the_start(
    fault: str, tmp_path: Path, garden: Garden
) -> None:
    """With ``required = true`` the start is refused: exit code 1 and one line with the reason."""
    garden.plant(fault, minimal(fault, WRONG[fault][0]))
    deployment = Deployment(tmp_path / "here", garden, fault, **{fault: {"required": True}})
    done = deployment.run("serve", "--port", "0")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"tessera: module '{fault}' is required and failed: ")
    assert WRONG[fault][1] in last
