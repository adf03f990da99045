"""Build the wheel and look inside: python -m dev.wheel_check.

Everything under core, modules and demo that Git knows must be in it, with the two files beside them
and the entry points; nothing else may be. Ends with 1 and the names of what is missing or too much.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

SHIPPED = ("core/", "modules/", "demo/", "main.py", "tessera_modulith.py")
GROUPS = ("[console_scripts]", "[tessera.modules]", "[tessera.commands]")


def tracked() -> set[str]:
    """What Git knows of the folders that are shipped."""
    listed = subprocess.run(
        ["git", "ls-files", *SHIPPED], capture_output=True, text=True, check=True
    )
    return set(listed.stdout.split("\n")) - {""}


def build(folder: str) -> zipfile.ZipFile:
    """The wheel of the tree as it is."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, "."]
    shutil.rmtree("build", ignore_errors=True)  # setuptools packs what an earlier build left there
    subprocess.run(pip, check=True)
    shutil.rmtree("build", ignore_errors=True)
    return zipfile.ZipFile(next(Path(folder).glob("tessera_modulith-*.whl")))


def main() -> int:
    """Compare, and say what was found."""
    with tempfile.TemporaryDirectory() as folder, build(folder) as wheel:
        inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
        [points] = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
        groups = wheel.read(points).decode()
    missing = sorted(tracked() - inside) + [it for it in GROUPS if it not in groups]
    surplus = sorted(name for name in inside if not name.startswith(SHIPPED))
    print(f"wheel: {len(inside)} files; missing {missing}, too much {surplus}")
    return 1 if missing or surplus else 0


if __name__ == "__main__":
    sys.exit(main())
