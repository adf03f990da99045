"""Host and plugins as their users get them: wheels, a fresh environment, an empty directory."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.conftest import Wheels
from tests.support.environments import ROOT, Environment, files_in
from tests.support.processes import Installation, Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
PLUGINS = ("loyalty", "currency")
RATES = {"USD": "1", "EUR": "0.5"}


class Shop(Installation):
    """The installed program in a directory of its own, where nothing of the sources is near."""

    def __init__(self, folder: Path, environment: Environment) -> None:
        super().__init__(folder, "sqlite+aiosqlite:///shop.db")
        self._environment = environment
        self._written = (folder / "settings.toml").read_text()

    def command(self, *words: str) -> list[str]:
        return [str(self._environment.bin / "tessera"), *words]

    def env(self) -> dict[str, str]:
        return self._environment.environ() | self.environ

    def choose(self, **plugins: bool) -> None:
        """Settings with these plugins switched on or off; others are not named."""
        sections = [
            f"[modules.{name}]\nenabled = {json.dumps(on)}\n" for name, on in plugins.items()
        ]
        if "currency" in plugins:
            sections.append('rates_file = "rates.json"\n')
            (self.folder / "rates.json").write_text(json.dumps(RATES))
        (self.folder / "settings.toml").write_text("\n".join([self._written, *sections]))

    def states(self) -> Mapping[str, Any]:
        """What `modules list` says, by id."""
        done = self.run("modules", "list", "--json")
        assert done.returncode == 0, done.stderr
        return {it["id"]: it for it in json.loads(done.stdout)}

    def rows(self, table: str) -> int:
        """How many rows the database has in a table."""
        connection = sqlite3.connect(self.folder / "shop.db")
        try:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
        finally:
            connection.close()


def order(server: Server, who: dict[str, str], *products: int) -> dict[str, Any]:
    """An order of one of each, as placed."""
    lines = [{"product_id": it, "quantity": 1} for it in products]
    answer = server.call("POST", "/v2/orders", headers=who, json={"lines": lines})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_a_plugins_whole_life(wheels: Wheels, tmp_path: Path) -> None:
    """Installed, enabled, used, disabled, uninstalled: the host serves and migrates throughout."""
    environment = Environment(tmp_path / "environment")
    environment.install(wheels.host, wheels.loyalty, wheels.currency)
    shop = Shop(tmp_path / "empty", environment)

    shop.choose(loyalty=True, currency=True)
    shop.create_admin()
    with shop.serving() as server:
        admin, (ann, as_ann) = server.login(), server.register("ann@tessera.example")
        tea = server.product(admin)
        jam = server.product(admin, price={"amount": "1.00", "currency": "EUR"})
        grant = {"user_id": ann, "points": 500}
        given = server.call("POST", "/v1/loyalty/grants", headers=admin, json=grant)
        assert (given.status_code, given.json()["balance"]) == (201, 500)
        server.call("PUT", "/v2/loyalty/me", headers=as_ann, json={"redeem": True})
        placed = order(server, as_ann, tea, jam)
        assert placed["total"] == {"amount": "15.00", "currency": "USD"}  # 18 + 2 - 5
        mine = server.call("GET", "/v1/loyalty/me", headers=as_ann).json()
        assert (mine["points"], mine["redeem"]) == (15, True)
        assert server.call("GET", "/v2/currency/rates").json()["rates"] == RATES
        assert server.faults() == []
    checked = shop.run("check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert shop.rows("loyalty_movements") == 3

    shop.choose(loyalty=False, currency=False)
    with shop.serving() as server:
        as_ann = server.login("ann@tessera.example")
        assert server.call("GET", "/v1/loyalty/me", headers=as_ann).status_code == 404
        assert order(server, as_ann, tea)["total"]["amount"] == "18.00"
        path = f"/v2/orders/{placed['id']}"
        assert server.call("GET", path, headers=as_ann).json() == placed
        assert server.faults() == []
    assert (shop.rows("loyalty_accounts"), shop.rows("loyalty_movements")) == (1, 3)

    environment.pip("uninstall", "--yes", "tessera-loyalty", "tessera-currency")
    migrated = shop.run("db", "upgrade")
    assert migrated.returncode == 0, migrated.stderr
    assert not shop.states().keys() & set(PLUGINS)
    with shop.serving() as server:
        as_ann = server.login("ann@tessera.example")
        assert order(server, as_ann, tea)["total"]["amount"] == "18.00"
        assert server.call("GET", path, headers=as_ann).json() == placed
        assert server.faults() == []
    assert shop.rows("loyalty_accounts") == 1


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_plugins_tests_need_only_the_kit(wheels: Wheels, plugin: str, tmp_path: Path) -> None:
    """They pass where only its wheel, the host's and what these two declare is installed."""
    environment = Environment(tmp_path / "environment")
    environment.install(wheels.host, getattr(wheels, plugin), extras=("test", "testing"))
    plugin_folder = ROOT / "plugins" / f"tessera-{plugin}"
    own = ["--config-file", str(plugin_folder / "pyproject.toml"), str(plugin_folder / "tests")]
    done = subprocess.run(
        [environment.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *own],
        cwd=tmp_path,
        env=environment.environ() | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]


def test_what_the_hosts_wheel_holds(wheels: Wheels) -> None:
    """Every file of core, modules and demo that Git would take is in it, and no test."""
    listed = subprocess.run(
        [
            "git",
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "core",
            "modules",
            "demo",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    kept = {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}
    inside = files_in(wheels.host)
    assert kept | {"main.py", "tessera_modulith.py"} == inside
    endings = {Path(name).suffix for name in inside}
    assert {".py", ".mako", ".csv", ".json"} <= endings
    revisions = {
        "core/events/migrations/0001_events.py",
        "modules/orders/migrations/0001_orders.py",
    }
    assert revisions <= inside
    assert not {name for name in inside if "test_" in name or name.startswith("tests/")}


@pytest.mark.parametrize("plugin", PLUGINS)
def test_what_a_plugins_wheel_holds(wheels: Wheels, plugin: str) -> None:
    """All of its package, revisions included, and nothing else: no tests."""
    source = ROOT / "plugins" / f"tessera-{plugin}" / "src"
    files = {it for it in source.rglob("*") if it.is_file() and "__pycache__" not in it.parts}
    kept = {str(it.relative_to(source)) for it in files if ".egg-info" not in str(it)}
    assert files_in(getattr(wheels, plugin)) == kept
    assert any("migrations/0001" in name for name in kept) == (plugin == "loyalty")


def test_a_foreign_core_is_named_by_the_console_script(wheels: Wheels, tmp_path: Path) -> None:
    """The installed `tessera` ends with one line where another package named core comes first."""
    environment = Environment(tmp_path / "environment")
    environment.install(wheels.host)
    foreign = tmp_path / "elsewhere" / "core" / "__init__.py"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("")
    shop = Shop(foreign.parents[1], environment)
    assert shop.run("--version").returncode == 0  # in that folder, which is not on the path
    shop.environ["PYTHONPATH"] = str(foreign.parents[1])
    done = shop.run("modules", "list")
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert str(foreign) in line
