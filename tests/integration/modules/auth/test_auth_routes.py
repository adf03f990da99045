"""Every route of auth, in both versions, on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.people import PASSWORD, People, Person, at_once

TOKENS = {"access_token", "refresh_token", "token_type", "expires_in"}


def test_whoever_registers_is_a_user_and_can_sign_in(here: People) -> None:
    """201 with the user, without a word of the password; then tokens, then oneself."""
    email = here.new_email()
    made = here.register(email.upper())
    assert made.status_code == 201
    assert made.json()["email"] == email
    assert made.json()["role"] == "user"
    assert set(made.json()) == {"id", "name", "email", "role", "is_active", "created_at"}
    person = here.sign_in(Person(made.json()["id"], f" {email.title()} "))
    assert here.me(person).json() == made.json()


def test_a_sign_in_gives_what_oauth2_says(here: People) -> None:
    """Four fields, 15 minutes, and a header that keeps them out of caches."""
    answer = here.login(here.somebody().email)
    assert answer.status_code == 200
    assert set(answer.json()) == TOKENS
    assert answer.json()["token_type"] == "bearer"
    assert answer.json()["expires_in"] == 15 * 60
    assert answer.headers["cache-control"] == "no-store"


def test_the_whole_form_of_an_oauth2_client_is_taken(here: People) -> None:
    """grant_type, scope and the client's fields may come along; another grant is refused."""
    form = {"username": here.somebody().email, "password": PASSWORD, "scope": "", "client_id": "c"}
    whole = form | {"grant_type": "password", "client_secret": "s"}
    assert here.call("POST", "/auth/login", data=whole).status_code == 200
    other = form | {"grant_type": "client_credentials"}
    assert here.call("POST", "/auth/login", data=other).status_code == 422


def test_a_token_of_one_version_opens_the_other(here: People) -> None:
    """There is one sign-in below both versions."""
    person, other = here.somebody(), "v2" if here.version == "v1" else "v1"
    assert People(here.client, other).me(person).status_code == 200


def test_a_taken_address_is_a_409(here: People) -> None:
    """In whatever case it comes."""
    person = here.somebody()
    again = here.register(person.email.upper())
    assert again.status_code == 409
    assert again.json()["type"] == "/problems/email-taken"


def test_of_registrations_at_once_one_gets_the_address(here: People) -> None:
    """Eight at the same time: one 201, seven 409, one user who can sign in."""
    email = here.new_email()
    answers = at_once(8, lambda i: here.register(email.upper() if i % 2 else email))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    made = next(a.json() for a in answers if a.status_code == 201)
    assert here.me(here.sign_in(Person(made["id"], email))).json() == made


BAD_REGISTRATIONS: dict[str, Any] = {
    "no name": ("name", None),
    "a blank name": ("name", "  "),
    "NUL in the name": ("name", "a\x00"),
    "no address": ("email", "nobody"),
    "an address that is too long": ("email", "a" * 1_000_000 + "@b.c"),
    "a short password": ("password", "1234567"),
    "a long password": ("password", "x" * 129),
    "a very long password": ("password", "x" * 1_000_000),
    "NUL in the password": ("password", "a\x00" * 8),
    "a number for a password": ("password", 12345678),
    "a role": ("role", "admin"),
    "an unknown field": ("x", 1),
}


@pytest.mark.parametrize("what", BAD_REGISTRATIONS)
def test_a_bad_registration_is_a_422_and_makes_nobody(here: People, what: str) -> None:
    """It says where, and the address stays free."""
    place, value = BAD_REGISTRATIONS[what]
    body = {"name": "N", "email": here.new_email(), "password": PASSWORD}
    answer = here.call("POST", "/auth/register", json=body | {place: value})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", place]
    assert PASSWORD not in answer.text
    assert here.register(body["email"]).status_code == 201


def test_lone_surrogates_are_refused(here: People) -> None:
    """A JSON body may spell what no text can hold."""
    body = rb'{"name": "n", "email": "s@b.example", "password": "\ud800\ud800\ud800\ud800"}'
    json = {"Content-Type": "application/json"}
    answer = here.call("POST", "/auth/register", content=body, headers=json)
    assert answer.status_code == 422
    assert here.register("s@b.example").status_code in (201, 409)  # the other version's run


def test_a_wrong_password_and_an_unknown_address_are_told_alike(here: People) -> None:
    """The same 401, so that nobody learns who is here."""
    person = here.somebody()
    wrong = here.login(person.email, "another password")
    unknown = here.login(here.new_email())
    for answer in (wrong, unknown):
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    kept = ("type", "title", "status", "detail")
    assert [wrong.json()[k] for k in kept] == [unknown.json()[k] for k in kept]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"username=a@b.c",
        b"password=x",
        b"username=&password=",
        b"username=a%00@b.c&password=secret-secret",
        b"username=a@b.c&password=secret%00secret",
        b"username=a@b.c&password=x&colour=red",
        b"username=" + b"a" * 100_000 + b"&password=x",
        b"username=a@b.c&password=" + b"x" * 100_000,
    ],
    ids=lambda content: repr(content[:24]),
)
def test_a_bad_form_is_a_422(here: People, content: bytes) -> None:
    """Missing, unknown, too long, with NUL: never a 500, never a sign-in."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert here.call("POST", "/auth/login", content=content, headers=kind).status_code == 422


@pytest.mark.parametrize(
    "content",
    [b"username=%ED%A0%80&password=%ff%fe%fd", b"username=%C3%A4@b.c&password=x", b"%=%&=&&&"],
    ids=repr,
)
def test_a_form_of_odd_bytes_is_a_4xx(here: People, content: bytes) -> None:
    """Bytes that are no text are a wrong address or a bad form."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = here.call("POST", "/auth/login", content=content, headers=kind)
    assert answer.status_code in (400, 401, 422)


def test_json_and_files_are_no_sign_in_form(here: People) -> None:
    """JSON is a 422, and so is a file in the place of a text."""
    form = {"username": "a@b.c", "password": "x"}
    assert here.call("POST", "/auth/login", json=form).status_code == 422
    files = {"username": ("name.txt", b"a@b.c"), "password": ("x.txt", b"x")}
    assert here.call("POST", "/auth/login", files=files).status_code == 422


def test_a_refresh_token_is_used_up_by_a_refresh(here: People) -> None:
    """New tokens each time, the old refresh token worth nothing."""
    person = here.somebody()
    first = here.call("POST", "/auth/refresh", json=person.refresh)
    assert first.status_code == 200
    assert set(first.json()) == TOKENS
    assert first.json()["refresh_token"] != person.tokens["refresh_token"]
    second = here.call(
        "POST", "/auth/refresh", json={"refresh_token": first.json()["refresh_token"]}
    )
    assert second.status_code == 200
    person.tokens = second.json()
    assert here.me(person).status_code == 200


def test_a_refresh_token_that_comes_twice_ends_its_sign_in(here: People) -> None:
    """Reuse revokes the whole family and no other; the refusal does not roll that back."""
    person = here.somebody()
    elsewhere = here.sign_in(Person(person.id, person.email))
    stolen = person.refresh
    for _ in range(3):
        answer = here.call("POST", "/auth/refresh", json=person.refresh)
        assert answer.status_code == 200
        person.tokens = answer.json()
    refused = here.call("POST", "/auth/refresh", json=stolen)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert here.call("POST", "/auth/refresh", json=person.refresh).status_code == 401
    assert here.call("POST", "/auth/refresh", json=elsewhere.refresh).status_code == 200


def test_of_refreshes_at_once_one_at_most_succeeds(here: People) -> None:
    """Eight at the same time with one token: one 200, and the family is over."""
    person = here.somebody()
    answers = at_once(8, lambda _: here.call("POST", "/auth/refresh", json=person.refresh))
    assert sorted(a.status_code for a in answers) == [200] + [401] * 7
    person.tokens = next(a.json() for a in answers if a.status_code == 200)
    assert here.call("POST", "/auth/refresh", json=person.refresh).status_code == 401


@pytest.mark.parametrize("token", ["x", "ä" * 20, "a" * 512, "' OR 1=1 --"])
def test_a_refresh_token_that_is_none_is_a_401(here: People, token: str) -> None:
    """Text that was never issued."""
    body = {"refresh_token": token}
    assert here.call("POST", "/auth/refresh", json=body).status_code == 401


@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/logout"])
@pytest.mark.parametrize("token", [None, "", 5, ["x"], "a\x00", "a" * 100_000])
def test_what_can_be_no_refresh_token_is_a_422(here: People, path: str, token: Any) -> None:
    """Of another type, empty, with NUL, or too long; and no field besides."""
    assert here.call("POST", path, json={"refresh_token": token}).status_code == 422
    assert here.call("POST", path, json={"refresh_token": "x", "y": 1}).status_code == 422
    assert here.call("POST", path, json={}).status_code == 422


def test_an_access_token_is_no_refresh_token(here: People) -> None:
    """And a refresh token opens nothing."""
    person = here.somebody()
    swapped = {"refresh_token": person.tokens["access_token"]}
    assert here.call("POST", "/auth/refresh", json=swapped).status_code in (401, 422)
    wrong = {"Authorization": f"Bearer {person.tokens['refresh_token']}"}
    assert here.call("GET", "/auth/me", headers=wrong).status_code == 401


def test_logout_ends_one_sign_in_as_often_as_it_is_asked(here: People) -> None:
    """204 each time, for an unknown token too; the other sign-ins go on."""
    person = here.somebody()
    elsewhere = here.sign_in(Person(person.id, person.email))
    for token in (person.refresh, person.refresh, {"refresh_token": "unknown"}):
        done = here.call("POST", "/auth/logout", json=token)
        assert (done.status_code, done.content) == (204, b"")
    assert here.call("POST", "/auth/refresh", json=person.refresh).status_code == 401
    assert here.call("POST", "/auth/refresh", json=elsewhere.refresh).status_code == 200


def test_logout_with_a_token_used_up_ends_what_came_of_it(here: People) -> None:
    """Whoever has an old token of a sign-in can end all of it."""
    person = here.somebody()
    old = person.refresh
    person.tokens = here.call("POST", "/auth/refresh", json=old).json()
    assert here.call("POST", "/auth/logout", json=old).status_code == 204
    assert here.call("POST", "/auth/refresh", json=person.refresh).status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer x",
        "bearer a.b.c",
        "BEARER ...",
        "Bearer a b c",
        "Bearer \xff\xfe",
        "Bearer " + "A" * 6000,
        "Bearer " + "." * 100,
    ],
    ids=lambda header: repr(header[:16]),
)
def test_a_bad_token_is_a_401_that_says_so(here: People, header: str) -> None:
    """The header tells the client that its token is the trouble (RFC 6750)."""
    answer = here.call("GET", "/auth/me", headers={"Authorization": header.encode("latin-1")})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert answer.json()["type"] == "/problems/invalid-token"


@pytest.mark.parametrize("header", [None, "", "Basic YTpi", "Token x", "Bearerx y"])
def test_without_a_bearer_token_one_is_asked_for(here: People, header: str | None) -> None:
    """401 with a plain WWW-Authenticate."""
    headers = {} if header is None else {"Authorization": header}
    answer = here.call("GET", "/auth/me", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_scheme_may_be_written_in_any_case(here: People) -> None:
    """RFC 9110: schemes have no case."""
    token = here.somebody().tokens["access_token"]
    for scheme in ("bearer", "BEARER", "Bearer"):
        headers = {"Authorization": f"{scheme} {token}"}
        assert here.call("GET", "/auth/me", headers=headers).status_code == 200


def test_a_public_route_is_open_whatever_token_comes(here: People) -> None:
    """Whoever has only an expired token can still sign in and refresh."""
    person = here.somebody()
    stale = {"Authorization": "Bearer stale"}
    refreshed = here.call("POST", "/auth/refresh", json=person.refresh, headers=stale)
    assert refreshed.status_code == 200


def test_the_schema_says_how_to_sign_in(here: People) -> None:
    """OAuth2's password flow, with an address beside the schema, on every route that needs it."""
    schema = here.client.get(f"/{here.version}/openapi.json").json()
    flow = schema["components"]["securitySchemes"]["auth"]["flows"]["password"]
    assert flow["tokenUrl"] == "auth/login"
    assert schema["paths"]["/auth/me"]["get"]["security"] == [{"auth": []}]
    assert "security" not in schema["paths"]["/auth/login"]["post"]
    assert {"401", "429"} <= set(schema["paths"]["/auth/login"]["post"]["responses"])
