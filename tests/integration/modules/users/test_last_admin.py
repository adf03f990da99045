"""An active admin always remains."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from httpx2 import Response

from tests.support.people import People, Person, at_once, people

TAKE_AWAY = {
    "demoted": ("PUT", "/role", {"role": "moderator"}),
    "deactivated": ("PUT", "/active", {"active": False}),
    "deleted": ("DELETE", "", None),
}


@pytest.fixture
def alone(database_url: str) -> Iterator[People]:
    """A deployment without anybody."""
    with people(database_url) as some:
        yield some


def take_away(here: People, admin: Person, *, how: str, by: Person) -> Response:
    """Make an admin none."""
    method, path, body = TAKE_AWAY[how]
    return here.call(method, f"/users/{admin.id}{path}", by=by, json=body)


def test_the_last_active_admin_can_be_taken_away_in_no_way(alone: People) -> None:
    """409 and nothing changed; an admin who is deactivated does not count; with another it goes."""
    only, second = alone.admin(), alone.admin()
    assert take_away(alone, second, how="deactivated", by=only).status_code == 200
    for how in TAKE_AWAY:
        refused = take_away(alone, only, how=how, by=only)
        assert refused.status_code == 409, how
        assert refused.json()["type"] == "/problems/last-admin"
    me = alone.me(only).json()
    assert (me["role"], me["is_active"]) == ("admin", True)
    third = alone.admin()
    assert take_away(alone, only, how="demoted", by=third).status_code == 200


def test_an_admin_may_be_made_admin_and_active_again(alone: People) -> None:
    """What changes nothing is no conflict."""
    only = alone.admin()
    for path, body in (("/role", {"role": "admin"}), ("/active", {"active": True})):
        assert alone.call("PUT", f"/users/{only.id}{path}", by=only, json=body).status_code == 200


@pytest.mark.parametrize("how", TAKE_AWAY)
def test_two_admins_who_take_each_other_away_do_not_both_succeed(alone: People, how: str) -> None:
    """At the same time, ten times over: one active admin is left each time."""
    survivor = alone.admin()
    for _ in range(10):
        pair = (survivor, alone.admin())
        answers = at_once(
            2, lambda i, pair=pair: take_away(alone, pair[i], how=how, by=pair[1 - i])
        )
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses[0] in (200, 204)
        assert statuses[1] in (401, 403, 409)  # too late, by what it has become meanwhile
        left = [admin for admin in pair if alone.call("GET", "/users", by=admin).status_code == 200]
        assert len(left) == 1
        survivor = left[0]
