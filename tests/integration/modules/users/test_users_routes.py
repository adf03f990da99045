"""Every route of users, in both versions, on both databases."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.people import PASSWORD, People, Person

USER = {"id", "name", "email", "role", "is_active", "created_at"}


@pytest.fixture
def admin(here: People) -> Person:
    """An admin who is signed in."""
    return here.admin()


def listed(here: People, admin: Person, **query: Any) -> list[dict[str, Any]]:
    """A list's first page in either version."""
    answer = here.call("GET", "/users", by=admin, params={"limit": 100, **query})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    rows: list[dict[str, Any]] = body if here.version == "v1" else body["items"]
    return rows


def test_a_user_is_what_the_contract_says(here: People) -> None:
    """/users/me gives six fields, the moment in RFC 3339 with Z."""
    person = here.somebody()
    user = here.call("GET", "/users/me", by=person).json()
    assert set(user) == USER
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", user["created_at"])
    assert user | {"created_at": ""} == {
        "id": person.id,
        "name": "Somebody",
        "email": person.email,
        "role": "user",
        "is_active": True,
        "created_at": "",
    }


def test_me_is_the_same_under_users_and_auth(here: People) -> None:
    """GET /users/me and GET /auth/me answer alike."""
    person = here.somebody()
    assert here.call("GET", "/users/me", by=person).json() == here.me(person).json()


def test_a_list_has_the_shape_of_its_version(here: People, admin: Person) -> None:
    """v1 skips in a bare array; v2 follows a cursor to the last page, where it is null."""
    for _ in range(3):
        here.register()
    if here.version == "v1":
        both = here.call("GET", "/users?skip=0&limit=2", by=admin).json()
        assert [u["id"] for u in both] == sorted(u["id"] for u in both)
        assert here.call("GET", "/users?skip=1&limit=1", by=admin).json() == both[1:]
        return
    seen, cursor = [], ""
    while cursor is not None:
        page = here.call("GET", "/users", by=admin, params={"limit": 100, "cursor": cursor}).json()
        assert set(page) == {"items", "next_cursor"}
        seen += [user["id"] for user in page["items"]]
        cursor = page["next_cursor"]
    assert len(seen) >= 4
    assert seen == sorted(set(seen))


def test_a_list_is_filtered_by_role_and_activity(here: People, admin: Person) -> None:
    """role= and active= narrow the list, alone and together."""
    moderator, idle = here.moderator(admin), here.somebody()
    here.call("PUT", f"/users/{idle.id}/active", by=admin, json={"active": False})
    assert {u["role"] for u in listed(here, admin, role="moderator")} == {"moderator"}
    assert moderator.id in {u["id"] for u in listed(here, admin, role="moderator", active=True)}
    assert idle.id in {u["id"] for u in listed(here, admin, active=False)}
    assert idle.id not in {u["id"] for u in listed(here, admin, active=True)}
    assert listed(here, admin, role="moderator", active=False) == []


@pytest.mark.parametrize(
    "query", ["role=king", "active=perhaps", "limit=0", "limit=101", "limit=x", "limit=1e99"]
)
def test_a_list_refuses_what_it_does_not_know(here: People, admin: Person, query: str) -> None:
    """A wrong filter or limit is a 422 that names the parameter."""
    answer = here.call("GET", f"/users?{query}", by=admin)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["query", query.partition("=")[0]]


def test_an_admin_makes_a_user_who_can_sign_in(here: People, admin: Person) -> None:
    """POST /users gives 201 and the user; the role is user unless another is said."""
    body = {"name": " Grace ", "email": here.new_email().upper(), "password": PASSWORD}
    made = here.call("POST", "/users", by=admin, json=body | {"role": "moderator"})
    assert made.status_code == 201
    assert made.json()["name"] == "Grace"
    assert made.json()["email"] == body["email"].lower()
    assert made.json()["role"] == "moderator"
    assert here.login(body["email"]).status_code == 200
    plain = here.call("POST", "/users", by=admin, json={"name": "N", "email": here.new_email()})
    assert plain.status_code == 201
    assert plain.json()["role"] == "user"
    assert here.login(plain.json()["email"]).status_code == 401


def test_an_address_is_taken_in_whatever_case(here: People, admin: Person) -> None:
    """POST, PATCH and PUT of an address that somebody has are a 409, and change nothing."""
    person, other = here.somebody(), here.somebody()
    taken = {"name": "X", "email": f" {other.email.upper()} "}
    for method, path in (("POST", "/users"), ("PATCH", f"/users/{person.id}")):
        answer = here.call(method, path, by=admin, json=taken)
        assert answer.status_code == 409
        assert answer.json()["type"] == "/problems/email-taken"
    assert here.call("PUT", f"/users/{person.id}", by=person, json=taken).status_code == 409
    assert here.me(person).json()["name"] == "Somebody"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/users"),
        ("POST", "/users"),
        ("DELETE", "/users/{other}"),
        ("PUT", "/users/{other}/role"),
        ("PUT", "/users/{other}/active"),
        ("PUT", "/users/{self}/role"),
        ("PUT", "/users/{self}/active"),
        ("DELETE", "/users/{self}"),
        ("GET", "/users/{other}"),
        ("PATCH", "/users/{other}"),
        ("PUT", "/users/{other}"),
    ],
)
def test_only_a_manager_gets_at_others(here: People, method: str, path: str) -> None:
    """Without users:manage these are a 403, to a moderator too; without a token a 401."""
    admin = here.admin()
    other = here.somebody()
    body = {"name": "Changed", "email": here.new_email()}
    bodies = {"role": {"role": "admin"}, "active": {"active": True}}
    json = bodies.get(path.rpartition("/")[2], body) if method in ("POST", "PUT", "PATCH") else None
    for person in (here.somebody(), here.moderator(admin)):
        place = path.format(self=person.id, other=other.id)
        answer = here.call(method, place, by=person, json=json)
        assert answer.status_code == 403, answer.text
        assert here.call(method, place, json=json).status_code == 401
    seen = here.call("GET", f"/users/{other.id}", by=admin).json()
    assert (seen["name"], seen["email"], seen["role"]) == ("Somebody", other.email, "user")


def test_whoever_may_not_see_others_does_not_learn_which_ids_exist(here: People) -> None:
    """An id that nobody has is a 403 too, to whoever may not see others."""
    assert here.call("GET", "/users/999999999", by=here.somebody()).status_code == 403


def test_an_unknown_user_is_a_404_to_a_manager(here: People, admin: Person) -> None:
    """Every route with an id says that there is no such user."""
    nobody = "/users/999999999"
    both = {"name": "N", "email": here.new_email()}
    for method, path, body in (
        ("GET", nobody, None),
        ("PATCH", nobody, {"name": "N"}),
        ("PATCH", nobody, {}),
        ("PUT", nobody, both),
        ("DELETE", nobody, None),
        ("PUT", f"{nobody}/role", {"role": "user"}),
        ("PUT", f"{nobody}/active", {"active": False}),
    ):
        assert here.call(method, path, by=admin, json=body).status_code == 404, (method, path)


@pytest.mark.parametrize("number", ["0", "-1", str(2**63), "9" * 400, "x", "1.5", "%00", "1e3"])
def test_an_id_that_cannot_be_is_a_422(here: People, admin: Person, number: str) -> None:
    """Ids are whole numbers of 63 bits above 0."""
    answer = here.call("GET", f"/users/{number}", by=admin)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_user_changes_only_what_it_sends(here: People) -> None:
    """PATCH sets name, or email, or both; an empty body changes nothing."""
    person = here.somebody()
    path, email = f"/users/{person.id}", here.new_email()
    named = here.call("PATCH", path, by=person, json={"name": "Ada"})
    assert named.status_code == 200
    assert (named.json()["name"], named.json()["email"]) == ("Ada", person.email)
    moved = here.call("PATCH", path, by=person, json={"email": email.upper()}).json()
    assert (moved["name"], moved["email"]) == ("Ada", email)
    assert here.call("PATCH", path, by=person, json={}).json() == moved
    assert here.login(email).status_code == 200
    assert here.login(person.email).status_code == 401


def test_a_user_keeps_its_own_address_in_another_case(here: People) -> None:
    """Sending one's own address again is no conflict."""
    person = here.somebody()
    body = {"name": "Same", "email": person.email.upper()}
    assert here.call("PUT", f"/users/{person.id}", by=person, json=body).status_code == 200


def test_put_replaces_all_that_a_user_may_set(here: People, admin: Person) -> None:
    """PUT needs name and email, from oneself and from a manager."""
    person = here.somebody()
    path, email = f"/users/{person.id}", here.new_email()
    for by in (person, admin):
        body = {"name": f"By {by.id}", "email": email}
        changed = here.call("PUT", path, by=by, json=body)
        assert changed.status_code == 200
        assert (changed.json()["name"], changed.json()["email"]) == (body["name"], email)
    for missing in ({"name": "N"}, {"email": email}, {}):
        assert here.call("PUT", path, by=person, json=missing).status_code == 422


BAD_FIELDS: dict[str, Any] = {
    "name is null": {"name": None},
    "name is blank": {"name": " \t "},
    "name is a number": {"name": 5},
    "name is too long": {"name": "n" * 201},
    "name holds NUL": {"name": "a\x00b"},
    "email is null": {"email": None},
    "email is no address": {"email": "nobody"},
    "email holds NUL": {"email": "a\x00@b.c"},
    "email is too long": {"email": "a" * 100_000 + "@b.c"},
    "a field is unknown": {"nick": "n"},
    "a role is smuggled in": {"role": "admin"},
    "activity is smuggled in": {"is_active": True},
    "an id is smuggled in": {"id": 1},
}


@pytest.mark.parametrize("what", BAD_FIELDS)
def test_a_bad_field_is_a_422_and_changes_nothing(here: People, what: str) -> None:
    """PATCH and PUT refuse it and say where."""
    person = here.somebody()
    before = here.me(person).json()
    whole = {"name": "N", "email": here.new_email()}
    for method, body in (("PATCH", BAD_FIELDS[what]), ("PUT", whole | BAD_FIELDS[what])):
        answer = here.call(method, f"/users/{person.id}", by=person, json=body)
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["loc"] == ["body", next(iter(BAD_FIELDS[what]))]
    assert here.me(person).json() == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{'name': 'n'}",
        rb'{"name": "\ud800"}',
        b'{"name": "\xff"}',
        b"[" * 100_000,
        b'{"name": NaN}',
    ],
    ids=lambda content: repr(content[:12]),
)
def test_a_broken_body_is_a_problem_and_changes_nothing(here: People, content: bytes) -> None:
    """Whatever bytes come, the answer is a documented 4xx."""
    person = here.somebody()
    json = {"Content-Type": "application/json"}
    answer = here.call("PATCH", f"/users/{person.id}", by=person, content=content, headers=json)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert here.me(person).json()["name"] == "Somebody"


@pytest.mark.parametrize("password", ["short", "x" * 129, "nul\x00nul\x00nul", 12345678])
def test_a_bad_password_makes_no_user(here: People, admin: Person, password: Any) -> None:
    """8 to 128 characters without NUL, or a 422 and no user."""
    email = here.new_email()
    body = {"name": "N", "email": email, "password": password}
    assert here.call("POST", "/users", by=admin, json=body).status_code == 422
    body["password"] = PASSWORD
    assert here.call("POST", "/users", by=admin, json=body).status_code == 201


def test_a_role_holds_from_the_next_request_on(here: People, admin: Person) -> None:
    """Promoted and demoted with one and the same token."""
    person = here.somebody()
    assert here.call("GET", "/users", by=person).status_code == 403
    for role, status in (("admin", 200), ("moderator", 403), ("user", 403)):
        changed = here.call("PUT", f"/users/{person.id}/role", by=admin, json={"role": role})
        assert changed.status_code == 200
        assert changed.json()["role"] == role
        assert here.call("GET", "/users", by=person).status_code == status
    for wrong in ({"role": "king"}, {"role": None}, {}, {"role": "user", "x": 1}):
        path = f"/users/{person.id}/role"
        assert here.call("PUT", path, by=admin, json=wrong).status_code == 422


def test_activity_is_a_truth_value(here: People, admin: Person) -> None:
    """PUT …/active needs {active}."""
    path = f"/users/{here.somebody().id}/active"
    for wrong in ({"active": None}, {"active": "perhaps"}, {}, {"active": True, "x": 1}):
        assert here.call("PUT", path, by=admin, json=wrong).status_code == 422


def test_a_deleted_user_is_gone_with_its_credentials(here: People, admin: Person) -> None:
    """204 without a body; then its tokens, its refresh and its password are worth nothing."""
    person = here.somebody()
    gone = here.call("DELETE", f"/users/{person.id}", by=admin)
    assert (gone.status_code, gone.content) == (204, b"")
    assert here.call("DELETE", f"/users/{person.id}", by=admin).status_code == 404
    assert here.me(person).status_code == 401
    assert here.call("POST", "/auth/refresh", json=person.refresh).status_code == 401
    assert here.login(person.email).status_code == 401


def test_the_id_of_a_deleted_user_is_given_to_nobody_else(here: People, admin: Person) -> None:
    """Otherwise a new user would own the old one's orders and tokens."""
    person = here.somebody()
    here.call("DELETE", f"/users/{person.id}", by=admin)
    again = here.register(person.email)
    assert again.status_code == 201
    assert again.json()["id"] > person.id
    assert here.me(person).status_code == 401


def test_a_fixed_path_is_not_taken_for_an_id(here: People) -> None:
    """/users/me is served although /users/{id} would take it."""
    assert here.call("GET", "/users/me", by=here.somebody()).status_code == 200
    assert here.call("GET", "/users/me").status_code == 401


def test_a_wrong_method_says_which_are_right(here: People, admin: Person) -> None:
    """405 with Allow."""
    answer = here.call("POST", f"/users/{admin.id}", by=admin, json={})
    assert answer.status_code == 405
    assert set(answer.headers["allow"].replace(" ", "").split(",")) >= {
        "GET",
        "PATCH",
        "PUT",
        "DELETE",
    }
