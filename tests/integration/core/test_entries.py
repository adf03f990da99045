"""Metadata of a distribution that is wrong costs only what it offers: real processes."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.plants import Garden, with_route
from tests.support.processes import Installation


def distribution(folder: Path, name: str, entry_points: str) -> None:
    """Put an installed distribution's metadata there, as pip leaves it."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)


def test_the_host_serves_beside_an_entry_point_that_names_nothing(
    garden: Garden, tmp_path: Path
) -> None:
    """A reference that names no module fails that module alone, with the reason and what to do."""
    garden.plant("good", with_route("good"))
    distribution(garden.folder, "tessera-half", "[tessera.modules]\nhalf = tessera-half.module\n")
    home = Installation(tmp_path / "home", f"sqlite+aiosqlite:///{tmp_path / 'it.db'}")
    sections = "".join(f"[modules.{name}]\nenabled = true\n" for name in ("good", "half"))
    database = f'[database]\nurl = "sqlite+aiosqlite:///{tmp_path / "it.db"}"\n'
    (home.folder / "settings.toml").write_text(database + sections)
    home.environ["PYTHONPATH"] = str(garden.folder)

    listed = home.run("modules", "list", "--json", seconds=60)
    told = {it["id"]: it for it in json.loads(listed.stdout)}
    assert told["good"]["state"] == "enabled"
    assert "its entry point half = 'tessera-half.module' names no module" in told["half"]["reason"]
    with home.serving() as server:
        assert server.call("GET", "/v1/good").status_code == 200
        assert (
            "names no module" in server.call("GET", "/readyz").json()["modules"]["half"]["reason"]
        )
