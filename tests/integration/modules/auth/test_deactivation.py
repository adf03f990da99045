"""A user who is deactivated is out at once, and stays out with all that was signed in before."""

from __future__ import annotations

from tests.support.people import People, Person, at_once


def set_active(here: People, person: Person, admin: Person, *, active: bool) -> None:
    """As an admin does it."""
    body = {"active": active}
    answer = here.call("PUT", f"/users/{person.id}/active", by=admin, json=body)
    assert answer.status_code == 200
    assert answer.json()["is_active"] is active


def test_deactivation_stops_tokens_refresh_and_sign_in(here: People) -> None:
    """From the next request on; a sign-in is refused as if the password were wrong."""
    admin, person = here.admin(), here.somebody()
    set_active(here, person, admin, active=False)
    refused = here.me(person)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert here.call("POST", "/auth/refresh", json=person.refresh).status_code == 401
    assert here.login(person.email).json()["type"] == "/problems/invalid-credentials"


def test_what_was_signed_in_before_stays_out_after_reactivation(here: People) -> None:
    """Access and refresh tokens from before are dead for good; a new sign-in works."""
    admin, person = here.admin(), here.somebody()
    set_active(here, person, admin, active=False)
    set_active(here, person, admin, active=True)
    assert here.me(person).status_code == 401
    assert here.call("POST", "/auth/refresh", json=person.refresh).status_code == 401
    assert here.me(here.sign_in(Person(person.id, person.email))).status_code == 200


def test_a_sign_in_under_way_does_not_outlive_a_deactivation(here: People) -> None:
    """Sign-ins, refreshes and the deactivation at one time: no token is worth anything after."""
    admin, person = here.admin(), here.somebody()

    def action(number: int):  # type: ignore[no-untyped-def]
        if number == 3:
            body = {"active": False}
            return here.call("PUT", f"/users/{person.id}/active", by=admin, json=body)
        if number == 4:
            return here.call("POST", "/auth/refresh", json=person.refresh)
        return here.login(person.email)

    answers = at_once(6, action)
    assert all(a.status_code < 500 for a in answers)
    for answer in answers:
        if answer.is_success and "access_token" in answer.json():
            late = Person(person.id, person.email, tokens=answer.json())
            assert here.me(late).status_code == 401
            assert here.call("POST", "/auth/refresh", json=late.refresh).status_code == 401
