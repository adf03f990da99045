"""Another package named `core` on Python's path is named, and nothing of it is run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = "from tessera_modulith import main; main()"


def tessera(*before: Path, ours: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """The console script's function, with these folders before Tessera's own on the path."""
    path = os.pathsep.join(map(str, [*before, ours]))
    return subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT, "--version"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def only_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that it ended with."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    return line


def test_our_own_core_passes() -> None:
    """Where `core` is Tessera's, the command line runs."""
    done = tessera()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Tessera ")


def test_a_foreign_core_is_named(tmp_path: Path) -> None:
    """One that comes earlier on the path is named with its file, and is not imported."""
    foreign = tmp_path / "core" / "__init__.py"
    foreign.parent.mkdir()
    foreign.write_text("raise SystemExit('imported')")
    line = only_line(tessera(tmp_path))
    assert line.startswith(
        f"tessera: the package core that Python finds is not Tessera's: {foreign}"
    )
    assert "PYTHONPATH" in line


def test_its_distribution_is_named(tmp_path: Path) -> None:
    """When a distribution brought it, that is what to uninstall."""
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "__init__.py").write_text("")
    info = tmp_path / "hardcore-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hardcore\nVersion: 1.0\n")
    (info / "RECORD").write_text("core/__init__.py,,\n")
    assert "(of the distribution hardcore)" in only_line(tessera(tmp_path))


def test_a_folder_without_init_is_no_rival(tmp_path: Path) -> None:
    """A mere folder named core, as many projects have one, does not stand in the way."""
    (tmp_path / "core").mkdir()
    assert tessera(tmp_path).returncode == 0


@pytest.mark.parametrize("content", ["", "raise RuntimeError('boom')"])
def test_a_core_written_over_ours_is_seen(tmp_path: Path, content: str) -> None:
    """Files of another distribution in the place of ours are found by what is in them."""
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "__init__.py").write_text(content)
    (tmp_path / "tessera_modulith.py").write_bytes((ROOT / "tessera_modulith.py").read_bytes())
    line = only_line(tessera(ours=tmp_path))
    assert str(tmp_path / "core" / "__init__.py") in line
