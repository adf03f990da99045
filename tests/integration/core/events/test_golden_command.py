"""``tessera events golden``: as an author uses it while a module's events grow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.plants import Garden, minimal
from tests.support.processes import Installation

SOLD = """
class Sold(Event, type="shop.thing_sold.v1", aggregate="thing", key="id"):
    id: int
    {0}
"""
NEXT = """
class SoldNow(Event, type="shop.thing_sold.v2", aggregate="thing", key="id"):
    id: int
    currency: str

@upcast(Sold, SoldNow)
def lifted(old: Sold) -> SoldNow:
    return SoldNow(id=old.id, currency="USD")
"""
LISTED = "\n@hookimpl\ndef events():\n    return [{0}]\n"


class Author:
    """Writes a module `shop`, and runs commands over it."""

    def __init__(self, garden: Garden, folder: Path) -> None:
        self._garden = garden
        self.place = Installation(
            folder, f"sqlite+aiosqlite:///{folder / 'x.db'}", **{"modules.shop": {"enabled": True}}
        )
        self.place.environ["PYTHONPATH"] = str(garden.folder)
        self.golden = garden.folder / "planted_shop" / "golden"

    def writes(self, classes: str, *listed: str) -> None:
        """The module is this from now on."""
        self._garden.plant("shop", minimal("shop", classes + LISTED.format(", ".join(listed))))

    def runs(self, *words: str) -> tuple[int, str, str]:
        """Exit code, output, complaint."""
        done = self.place.run(*words)
        return done.returncode, done.stdout, done.stderr

    def keeps(self, *words: str) -> tuple[int, str, str]:
        """`events golden` of the module."""
        return self.runs("events", "golden", "--module", "shop", *words)

    def codes(self) -> list[str]:
        """What `check` finds in the module."""
        _, out, _ = self.runs("check", "--json")
        return [it["code"] for it in json.loads(out) if it["module"] == "shop"]

    def kept(self, version: int = 1) -> dict[str, Any]:
        """A golden file."""
        text = (self.golden / f"shop.thing_sold.v{version}.json").read_text()
        found: dict[str, Any] = json.loads(text)
        return found


@pytest.fixture
def author(garden: Garden, tmp_path: Path) -> Author:
    """An author at work."""
    return Author(garden, tmp_path / "place")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_events_life(author: Author) -> None:
    """New: check asks for a golden file, the command writes it. An optional field: it is added and
    the payload stays. A field that goes: refused, nothing is written. Version 2 wants its lift."""
    author.writes(SOLD.format("price: int"), "Sold")
    assert author.codes() == ["T702"]
    code, out, said = author.keeps()
    assert (code, "shop.thing_sold.v1.json is new" in out) == (0, True), said
    assert author.codes() == []
    first = author.kept()
    assert (first["aggregate"], first["key"]) == ("thing", "id")

    author.writes(SOLD.format("price: int\n    note: str = ''"), "Sold")
    assert author.codes() == ["T705"]
    code, out, _ = author.keeps()
    assert (code, "has the new fields" in out) == (0, True)
    assert author.kept()["payload"] == first["payload"]
    assert author.codes() == []

    before = author.kept()
    author.writes(SOLD.format("price: str"), "Sold")
    assert author.codes() == ["T701"]
    code, _, said = author.keeps()
    assert (code, said.count("\n")) == (1, 1)
    assert "price was" in said
    assert "note is gone" in said
    assert "make version 2 with an upcaster" in said
    assert author.kept() == before

    whole = SOLD.format("price: int\n    note: str = ''") + NEXT
    author.writes(whole, "Sold", "SoldNow")
    assert sorted(author.codes()) == ["T702", "T704"]
    author.writes(whole, "Sold", "SoldNow", "lifted")
    assert author.keeps()[0] == 0
    assert author.codes() == []
    assert set(author.kept(2)["payload"]) == {"id", "currency"}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_payload_may_be_given(author: Author, tmp_path: Path) -> None:
    """A payload from a file is kept as it is; a wrong one, and one for what is kept, is refused."""
    author.writes(SOLD.format("price: int"), "Sold")
    file = tmp_path / "payload.json"
    file.write_text('{"id": 7, "price": "much"}')
    one = ("--event", "shop.thing_sold.v1", "--payload", str(file))
    code, _, said = author.keeps(*one)
    assert (code, "price: Input should be a valid integer" in said) == (1, True)
    assert not author.golden.exists()
    file.write_text('{"id": 7, "price": 1999}')
    assert author.keeps("--payload", str(file))[0] == 2
    assert author.keeps(*one)[0] == 0
    assert author.kept()["payload"] == {"id": 7, "price": 1999}
    code, _, said = author.keeps(*one)
    assert (code, "its payload stays" in said) == (1, True)
    (author.golden / "shop.thing_sold.v1.json").write_text("{")
    code, _, said = author.keeps()
    assert (code, "it is not written over" in said) == (1, True)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--module", "nobody"), "no module 'nobody' is enabled here"),
        (("--module", "cache"), "cache has no events"),
        (("--module", "users", "--event", "users.user_gone.v1"), "no event users.user_gone.v1"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(
    author: Author, words: tuple[str, ...], told: str
) -> None:
    """A module or event that does not exist is named."""
    author.writes("")
    code, _, said = author.runs("events", "golden", *words)
    assert (code, said.count("\n")) == (1, 1)
    assert told in said
