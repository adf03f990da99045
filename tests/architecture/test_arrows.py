"""The arrows of the house: they are kept, and each check fails by name when one is broken.

Each test copies the sources, plants one import, and runs the real checker on the copy.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# contract -> (file, a line that breaks it)
PLANTED = {
    "core knows no module": ("core/money.py", "import modules.users.contracts"),
    "modules meet only in contracts and events": (
        "modules/orders/service.py",
        "from modules.catalog import repository",
    ),
    "modules take from core only core.plugin, as a stranger's would": (
        "modules/catalog/service.py",
        "from core.settings import Settings",
    ),
    "the layers of a module point one way": (
        "modules/catalog/repository.py",
        "from modules.catalog import service",
    ),
    "a helper knows nothing of who uses it": (
        "modules/catalog/stock.py",
        "from modules.catalog import service",
    ),
    "services, repositories, models and contracts know no HTTP": (
        "modules/users/service.py",
        "from fastapi import Request",
    ),
    "the API versions of a module know nothing of each other": (
        "modules/users/api/v1/schemas.py",
        "from modules.users.api.v2 import schemas",
    ),
    "demo knows nothing of the server but its HTTP API": (
        "demo/load.py",
        "import core.errors",
    ),
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of everything that the checkers read."""
    for folder in ("core", "modules", "demo", "dev"):
        ignored = shutil.ignore_patterns("__pycache__", "*.csv")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    for file in ("main.py", "pyproject.toml"):
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def plant(tree: Path, file: str, line: str) -> None:
    """Add one line to a file of the copy."""
    with (tree / file).open("a", encoding="utf-8") as source:
        source.write(f"\n{line}\n")


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a checker as `make check` does, on the tree `cwd`."""
    environ = {**os.environ, "PYTHONPATH": str(cwd), "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=100, check=False
    )


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    """import-linter with the contracts of pyproject.toml."""
    return run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache", cwd=tree)


def arrows(tree: Path) -> subprocess.CompletedProcess[str]:
    """Our own checker."""
    return run(sys.executable, "-m", "dev.arrows", cwd=tree)


def test_the_tree_keeps_the_contracts(tree: Path) -> None:
    """import-linter finds nothing in the sources as they are."""
    done = lint_imports(tree)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_contract_has_a_planted_violation() -> None:
    """No contract of pyproject.toml goes without a test that it can fail."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    assert {contract["name"] for contract in contracts} == set(PLANTED)


@pytest.mark.parametrize("contract", PLANTED)
def test_a_planted_import_breaks_its_contract(tree: Path, contract: str) -> None:
    """One bad import breaks the contract that forbids it, and the output names it and the file."""
    file, line = PLANTED[contract]
    plant(tree, file, line)
    done = lint_imports(tree)
    assert done.returncode == 1
    assert f"{contract} BROKEN" in done.stdout
    dotted = file.removesuffix(".py").replace("/", ".")
    assert dotted in done.stdout or f"- .{Path(file).stem} -> " in done.stdout


@pytest.mark.parametrize(
    "helper",
    ["modules/orders/drafting.py", "modules/catalog/stock.py", "modules/auth/passwords.py"],
)
def test_a_helper_of_a_service_knows_no_http_either(tree: Path, helper: str) -> None:
    """A file beside the house's shape, where rules may live as well, is held to the same arrow."""
    plant(tree, helper, "from fastapi import Request")
    done = lint_imports(tree)
    assert "services, repositories, models and contracts know no HTTP BROKEN" in done.stdout
    assert helper.removesuffix(".py").replace("/", ".") in done.stdout


@pytest.mark.parametrize(
    ("helper", "line"),
    [
        ("modules/catalog/stock.py", "from modules.catalog.service import CatalogService"),
        ("modules/catalog/repository.py", "from modules.catalog import stock"),
        ("modules/orders/drafting.py", "def late():\n    import modules.orders.service"),
        ("modules/auth/passwords.py", "from modules.auth import credentials"),
        ("modules/cache/local.py", "from modules.cache import service"),
    ],
)
def test_a_helper_that_looks_up_is_named(tree: Path, helper: str, line: str) -> None:
    """A file beside the layers may not import what imports it, not in a function either."""
    plant(tree, helper, line)
    done = lint_imports(tree)
    assert "a helper knows nothing of who uses it BROKEN" in done.stdout
    assert Path(helper).stem in done.stdout.partition("Broken contracts")[2]


def test_the_tree_keeps_the_arrows(tree: Path) -> None:
    """dev.arrows finds nothing in the sources as they are."""
    done = arrows(tree)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "line",
    [
        "from modules.catalog.models import Product",
        "import core.plugin",
        "def late():\n    from modules.catalog import service",
    ],
)
def test_a_revision_that_imports_ours_is_named(tree: Path, line: str) -> None:
    """A revision may import no model, nothing of core, and not inside a function either."""
    file = next((tree / "modules/catalog/migrations").glob("0001*.py")).relative_to(tree)
    plant(tree, str(file), line)
    done = arrows(tree)
    assert done.returncode == 1
    assert f"{file}:" in done.stdout
    assert "a revision imports" in done.stdout


def test_an_import_that_the_manifest_does_not_require_is_named(tree: Path) -> None:
    """A module that imports another's contracts without requiring it is found."""
    plant(tree, "modules/users/service.py", "from modules.catalog.contracts import Catalog")
    done = arrows(tree)
    assert done.returncode == 1
    assert "modules/users/service.py:" in done.stdout
    assert (
        "users imports modules.catalog.contracts.Catalog without requiring catalog" in done.stdout
    )


def test_a_requirement_without_an_import_is_named(tree: Path) -> None:
    """A manifest that requires a module of which nothing is used is found."""
    file = tree / "modules/catalog/module.py"
    file.write_text(file.read_text().replace("Manifest(", 'Manifest(requires=("users",), ', 1))
    done = arrows(tree)
    assert done.returncode == 1
    assert "catalog requires users and imports nothing of it" in done.stdout


def test_a_module_without_a_manifest_is_named(tree: Path) -> None:
    """A module.py whose manifest cannot be read is found, not passed over."""
    (tree / "modules/catalog/module.py").write_text("")
    done = arrows(tree)
    assert done.returncode == 1
    assert "modules/catalog/module.py:1: there is no Manifest" in done.stdout


def test_main_that_knows_a_module_is_named(tree: Path) -> None:
    """main.py may import core and nothing else."""
    plant(tree, "main.py", "import modules.users.module")
    done = arrows(tree)
    assert done.returncode == 1
    assert "main imports modules.users.module" in done.stdout
