"""Why a module is out, in words that lead to the mistake."""

from __future__ import annotations

import pytest

from tests.support.apps import serving
from tests.support.plants import Garden, minimal

IN_A_LIBRARY = {
    "at its import": minimal("weak", "import json\nOPTIONS = json.loads('{')  #<"),
    "in a hook": minimal(
        "weak", "import json\n@hookimpl\ndef tables(): return json.loads('{')  #<"
    ),
    "in its lifespan": minimal(
        "weak", "import json\n@hookimpl\ndef lifespan(context): return json.loads('{')  #<"
    ),
    "where a class is made": minimal(
        "weak",
        "from pydantic import BaseModel\nclass Wish(BaseModel): name: str\nNAME = Wish.nam  #<",
    ),
}


def reason_of(url: str) -> str:
    """Why the module is out, as /readyz says it."""
    with serving(url, "weak") as client:
        reason: str = client.get("/readyz").json()["modules"]["weak"]["reason"]
    return reason


@pytest.mark.parametrize("case", IN_A_LIBRARY)
def test_what_a_library_raises_is_placed_in_the_modules_own_code(
    garden: Garden, sqlite_url: str, case: str
) -> None:
    """The reason names the module's line that called the library, not the library's."""
    source = IN_A_LIBRARY[case]
    garden.plant("weak", source)
    line = 1 + [it.endswith("#<") for it in source.splitlines()].index(True)
    assert reason_of(sqlite_url).endswith(f"planted_weak/module.py:{line}")


def test_a_service_that_is_named_by_no_class_is_told_so(garden: Garden, sqlite_url: str) -> None:
    """The mapping's key is what is wrong, and is shown."""
    garden.plant("weak", minimal("weak", "@hookimpl\ndef services(): return {'bank': print}"))
    assert "offers a service as 'bank', which is no class" in reason_of(sqlite_url)
