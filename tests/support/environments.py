"""A fresh environment: wheels built from copies of the sources, and nothing but what they declare.

The dependencies are those of the running environment, linked into the new one: exactly the
distributions that the wheels' metadata ask for, and what these ask for. Nothing is fetched, and
what was forgotten in pyproject.toml is missing.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterable, Iterator
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
HOST = ("core", "modules", "demo")
LITTER = shutil.ignore_patterns(
    "__pycache__", "*.egg-info", "build", ".hypothesis", ".pytest_cache"
)


def build_host(folder: Path) -> Path:
    """The host's wheel, built in `folder`."""
    source = folder / "host"
    for name in HOST:
        shutil.copytree(ROOT / name, source / name, ignore=LITTER)
    for file in ROOT.iterdir():
        if file.is_file() and file.suffix in (".py", ".toml", ".md", ""):
            shutil.copy(file, source)
    shutil.copytree(ROOT / "tests" / "architecture", source / "tests", ignore=LITTER)
    return _build(source, folder / "wheels")


def build_plugin(name: str, folder: Path) -> Path:
    """The wheel of a distribution in plugins/, built in `folder`."""
    source = folder / name
    shutil.copytree(ROOT / "plugins" / name, source, ignore=LITTER)
    return _build(source, folder / "wheels")


def _build(source: Path, wheels: Path) -> Path:
    """Where setuptools is new enough it is taken as it is, and no registry is asked."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--wheel-dir", str(wheels)]
    if _has_setuptools():
        command.append("--no-build-isolation")
    before = set(wheels.glob("*.whl"))
    subprocess.run([*command, str(source)], check=True)
    [wheel] = set(wheels.glob("*.whl")) - before
    return wheel


def _has_setuptools() -> bool:
    try:
        return int(importlib.metadata.version("setuptools").partition(".")[0]) >= 77
    except importlib.metadata.PackageNotFoundError:
        return False


def files_in(wheel: Path) -> set[str]:
    """What a wheel puts into an environment, its metadata left out."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


class Environment:
    """A virtual environment without anything in it."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, symlinks=True)
        self.bin = folder / "bin"
        self.python = self.bin / "python"
        [self.packages] = (folder / "lib").glob("python*/site-packages")

    def install(self, *wheels: Path, extras: Iterable[str] = ()) -> None:
        """Link what the wheels depend on, then let pip install them, which no registry is asked."""
        wanted = [need for wheel in wheels for need in _needs(wheel, extras)]
        own = {canonicalize_name(wheel.name.partition("-")[0]) for wheel in wheels}
        for distribution in _closure(wanted, without=own):
            self._link(distribution)
        self.pip("install", "--no-deps", "--no-index", "--no-compile", *map(str, wheels))

    def pip(self, *words: str) -> None:
        """pip of the running environment, working on this one."""
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        subprocess.run([*command, "--python", str(self.python), *words], check=True)

    def _link(self, distribution: importlib.metadata.Distribution) -> None:
        home = Path(str(distribution.locate_file("")))
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            target = self.packages / top
            if not target.exists() and (home / top).exists():
                target.symlink_to(home / top)

    def environ(self) -> dict[str, str]:
        """This process's variables without those of Tessera, Python and pytest."""
        ours = ("TESSERA_", "PYTHON", "PYTEST", "VIRTUAL_ENV", "COV_")
        return {name: it for name, it in os.environ.items() if not name.startswith(ours)}


def _needs(wheel: Path, extras: Iterable[str]) -> Iterator[Requirement]:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [it for it in archive.namelist() if it.endswith(".dist-info/METADATA")]
        metadata = HeaderParser().parsestr(archive.read(name).decode())
    yield from _chosen(metadata.get_all("Requires-Dist") or [], extras)


def _chosen(lines: Iterable[str], extras: Iterable[str]) -> Iterator[Requirement]:
    """Those that apply to this Python with these extras."""
    for requirement in map(Requirement, lines):
        environments = [{"extra": extra} for extra in ("", *extras)]
        if requirement.marker is None or any(map(requirement.marker.evaluate, environments)):
            yield requirement


def _closure(
    wanted: Iterable[Requirement], *, without: set[str]
) -> Iterator[importlib.metadata.Distribution]:
    """The installed distributions that these requirements come to. Raises when one is missing."""
    waiting, seen = list(wanted), set(without)
    while waiting:
        requirement = waiting.pop()
        key = f"{canonicalize_name(requirement.name)}{sorted(requirement.extras)}"
        if canonicalize_name(requirement.name) in without or key in seen:
            continue
        seen.add(key)
        distribution = importlib.metadata.distribution(requirement.name)
        assert requirement.specifier.contains(distribution.version, prereleases=True), requirement
        waiting += _chosen(distribution.requires or [], requirement.extras)
        yield distribution
