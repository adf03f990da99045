"""T0: modules, what they claim and import."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

from tests.support.checks.plots import Case, Plot, module
from tests.support.checks.tables import MAKES_TABLE, MIGRATIONS, REVISION, migrated, table, tables
from tests.support.plants import Garden, minimal, with_route

PERMITS = "\n@hookimpl\ndef permissions():\n    return [{}]\n"

SERVICE = """
    @hookimpl
    def services():
        from planted_contract import Clock
        return {{Clock: {0}}}
"""


def contract(garden: Garden) -> None:
    """A package that both modules of a case import."""
    (garden.folder / "planted_contract").mkdir()
    garden.file("planted_contract", "__init__.py", "class Clock:\n    pass\n")


def editable(points: str) -> Callable[[Garden], None]:
    """Make `planted-bad` an editable install whose pyproject.toml has these entry points."""

    def prepare(garden: Garden) -> None:
        tree = garden.folder / "tree"
        tree.mkdir()
        write_project(tree, points)
        origin = {"url": tree.as_uri(), "dir_info": {"editable": True}}
        info = garden.folder / "planted_bad-1.0.dist-info"
        (info / "direct_url.json").write_text(json.dumps(origin))

    return prepare


def told_elsewhere(garden: Garden) -> None:
    """An editable install whose entry points are in a setup.cfg."""
    editable("")(garden)
    file = garden.folder / "tree" / "pyproject.toml"
    text = file.read_text()
    file.write_text(text.replace("[project]\n", '[project]\ndynamic = ["entry-points"]\n', 1))


def beside(points: str) -> Callable[[Garden], None]:
    """A pyproject.toml of `planted-bad` beside what an earlier build has left."""
    return lambda garden: write_project(garden.folder, points)


def standing_in(name: str) -> Callable[[Garden], None]:
    """The working folder is the source tree of this distribution."""

    def prepare(garden: Garden) -> None:
        tree = garden.folder / "tree"
        tree.mkdir()
        write_project(tree, 'bad = "planted_bad.module"', name=name)
        garden.stand_in(tree)

    return prepare


def write_project(folder: Path, points: str, *, name: str = "planted-bad") -> None:
    """A pyproject.toml with these entry points."""
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\n[project.entry-points."tessera.modules"]\n{points}\n'
    )


CHECKS = """
    def look(context):
        {0}

    @hookimpl
    def checks():
        return [look]
"""

GOOD = with_route("good")
OTHERS_CONTRACT = {"good": minimal("good")}


def inside_of_good(garden: Garden) -> None:
    """Give module `good` something to import."""
    garden.file("planted_good", "contracts.py", "class Clock:\n    pass\n")
    garden.file("planted_good", "service.py", "class Clock:\n    pass\n")


def importing(line: str, *, requires: str = "") -> Plot:
    """Module `bad` with an import, beside module `good`."""
    source = module(line, manifest=f"requires=({requires!r},)" if requires else "")
    return Plot(source, others=OTHERS_CONTRACT, prepare=inside_of_good)


TYPE_CHECKING = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
BY_NAME = "from importlib import import_module as load\n\ndef later():\n    return "

MODULES = [
    Case(
        "T001",
        "a requirement that is not met",
        Plot(minimal("bad", manifest="requires=('nowhere',)")),
        Plot(minimal("bad", manifest="optional=('nowhere',)")),
        at="planted_bad.module",
    ),
    Case(
        "T002",
        "two classes, one table",
        Plot(
            module(
                table("things")
                + table("things", base="other").replace("class Thing", "class Other")
                + tables("Thing", "Other")
                + MIGRATIONS
            ),
            files={"migrations/0001_things.py": REVISION.format(MAKES_TABLE)},
        ),
        migrated(MAKES_TABLE),
        at="bad_things",
    ),
    Case(
        "T003",
        "a permission that is declared twice with other roles",
        Plot(module(PERMITS.format("Permission('bad:do', roles=('user',)), Permission('bad:do')"))),
        Plot(module(PERMITS.format("Permission('bad:do'), Permission('bad:do-not')"))),
        at="bad:do",
    ),
    Case(
        "T004",
        "a prefix that is another's",
        Plot(with_route("bad", prefix="good/sub"), others={"good": GOOD}),
        Plot(with_route("bad", prefix="goods"), others={"good": GOOD}),
        at="planted_bad.module",
    ),
    Case(
        "T005",
        "an import that the manifest keeps quiet about",
        importing("from planted_good.contracts import Clock  #<"),
        importing("from planted_good.contracts import Clock", requires="good"),
    ),
    Case(
        "T006",
        "another module's service",
        importing("from planted_good.service import Clock  #<", requires="good"),
        importing("from planted_good import contracts", requires="good"),
    ),
    Case(
        "T005",
        "an import in a function",
        importing("def later():\n    from planted_good.contracts import Clock  #<"),
        importing("def later():\n    from planted_good.contracts import Clock", requires="good"),
    ),
    Case(
        "T005",
        "an import for types only",
        importing(f"{TYPE_CHECKING}    from planted_good.contracts import Clock  #<"),
        importing(f"{TYPE_CHECKING}    from planted_good.contracts import Clock", requires="good"),
    ),
    Case(
        "T005",
        "an import by name",
        importing(f'{BY_NAME}load("planted_good.contracts")  #<'),
        importing(f'{BY_NAME}print("planted_good.contracts")'),
    ),
    Case(
        "T006",
        "another module's service, by a name that is written elsewhere",
        importing(f'NAME = "planted_good.service"\n{BY_NAME}load(NAME)  #<', requires="good"),
        importing(f'NAME = "planted_good.contracts"\n{BY_NAME}load(NAME)', requires="good"),
    ),
    Case(
        "T007",
        "core's inside",
        Plot(module("from core.http.edge import HSTS  #<")),
        Plot(
            module("from core import plugin\nimport coreless as core_of_ours"),
            files={},
            prepare=lambda garden: garden.file("coreless", "__init__.py", ""),
        ),
    ),
    Case(
        "T008",
        "an entry point that is new in pyproject.toml",
        Plot(minimal("bad"), prepare=editable('bad = "planted_bad.module"\nnew = "x.module"')),
        Plot(minimal("bad"), prepare=editable('bad = "planted_bad.module"')),
        at="tree/pyproject.toml",
    ),
    Case(
        "T008",
        "no entry points in pyproject.toml, which are told elsewhere",
        Plot(minimal("bad"), prepare=editable("")),
        Plot(minimal("bad"), prepare=told_elsewhere),
        at="tree/pyproject.toml",
    ),
    Case(
        "T008",
        "an entry point that has moved, in a tree that was built in place",
        Plot(minimal("bad"), prepare=beside('bad = "planted_bad.other"')),
        Plot(minimal("bad"), prepare=beside('bad = "planted_bad.module"')),
        at="pyproject.toml",
    ),
    Case(
        "T008",
        "a plugin that was never installed, in the folder that one stands in",
        Plot(prepare=standing_in("planted-new")),
        Plot(minimal("bad"), prepare=standing_in("planted-bad")),
        at="tree/pyproject.toml",
    ),
    Case(
        "T009",
        "a check that raises",
        Plot(module(CHECKS.format("raise SystemExit('boom')"))),
        Plot(module(CHECKS.format("return []"))),
        at="bad: look",
    ),
    Case(
        "T009",
        "a check with a code of somebody else",
        Plot(module(CHECKS.format("yield Finding('T201', 'here', 'why', 'what')"))),
        Plot(module(CHECKS.format("yield from ()"))),
        at="bad: look",
    ),
    Case(
        "T010",
        "a service that another offers",
        Plot(
            module(SERVICE.format("lambda context: Clock()")),
            others={"good": minimal("good", dedent(SERVICE.format("lambda context: Clock()")))},
            prepare=contract,
        ),
        Plot(
            module(
                SERVICE.format("replacing(lambda context: Clock())"), manifest="requires=('good',)"
            ),
            others={"good": minimal("good", dedent(SERVICE.format("lambda context: Clock()")))},
            prepare=contract,
        ),
        at="planted_bad.module",
    ),
]
