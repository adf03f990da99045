"""The distribution: its version, its entry points and its pins."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import core

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = ("requirements.txt", "requirements-dev.txt")


def pinned(name: str) -> dict[str, str]:
    """distribution -> version of a requirements file."""
    found = re.findall(
        r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==([^ ;]+)", (ROOT / name).read_text(), re.MULTILINE
    )
    return dict(found)


def test_the_version_is_said_once() -> None:
    """core and the distribution have one version."""
    assert PROJECT["version"] == core.__version__


@pytest.mark.parametrize("group", PROJECT["entry-points"])
def test_what_is_declared_is_installed_and_loads(group: str) -> None:
    """Every entry point of pyproject.toml is installed under its name and can be loaded."""
    installed = {it.name: it for it in importlib.metadata.entry_points(group=group)}
    for name, value in PROJECT["entry-points"][group].items():
        assert installed[name].value == value
        assert installed[name].load() is not None


@pytest.mark.parametrize("name", PINS)
def test_pins_hold_no_address_and_no_path(name: str) -> None:
    """The pins name distributions, versions and hashes: no registry, no folder of a machine."""
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"(^|\s)(/|--(extra-)?index|--find-links)", text, re.MULTILINE)


@pytest.mark.parametrize("name", PINS)
def test_pins_lie_in_the_ranges(name: str) -> None:
    """Every dependency is pinned within its range; so `make pins` was not forgotten."""
    wanted = [Requirement(it) for it in PROJECT["dependencies"]]
    if name != "requirements.txt":
        extras = PROJECT["optional-dependencies"]
        wanted += [Requirement(it) for it in [*extras["dev"], *extras["docs"]]]
    versions = pinned(name)
    for it in wanted:
        assert it.specifier.contains(versions[it.name]), it


def test_the_suite_runs_on_what_is_served() -> None:
    """Both pin files agree on every distribution that they share."""
    run, dev = pinned("requirements.txt"), pinned("requirements-dev.txt")
    assert run.items() <= dev.items()
