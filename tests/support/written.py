"""The files that a page of the documentation shows, and a folder where they run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def shown_files(page: Path) -> dict[str, str]:
    """path -> content of every block of a page that has a title."""
    return dict(BLOCK.findall(page.read_text(encoding="utf-8")))


class AuthorsTree:
    """A distribution in a folder of its own, found by its entry points as if it were installed."""

    def __init__(self, folder: Path, files: dict[str, str]) -> None:
        self.folder = folder
        for path, content in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content, encoding="utf-8")
        self._describe()

    def _describe(self) -> None:
        project = tomllib.loads((self.folder / "pyproject.toml").read_text())["project"]
        info = self.folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir()
        head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        (info / "METADATA").write_text(head)
        entries = [
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in found.items())
            for group, found in project["entry-points"].items()
        ]
        (info / "entry_points.txt").write_text("\n".join(entries))

    def pytest(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the author's suite, in a process that knows nothing of ours."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("TESSERA_", "PYTEST_"))}
        search = os.pathsep.join([str(self.folder), str(ROOT)])
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
            cwd=self.folder,
            env={**kept, "PYTHONPATH": search},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
