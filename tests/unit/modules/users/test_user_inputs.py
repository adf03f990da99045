"""What may be an e-mail address, a name and a password."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from modules.users.contracts import Email, Name, Password, normalise_email

EMAIL, NAME, PASSWORD = TypeAdapter(Email), TypeAdapter(Name), TypeAdapter(Password)
ANY_TEXT = st.text(st.characters(codec=None), max_size=300)


@pytest.mark.parametrize(
    ("given_text", "kept"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("  alfki@northwind.example\n", "alfki@northwind.example"),
        ("root@localhost", "root@localhost"),
        ("a.b+tag@mail.corp.local", "a.b+tag@mail.corp.local"),
    ],
)
def test_an_address_is_kept_trimmed_and_in_lower_case(given_text: str, kept: str) -> None:
    """Two ways to write one address are one address."""
    assert normalise_email(given_text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "a@",
        "@b",
        "a b@c.d",
        "a@b..c",
        "a@-b.c",
        "a@b@c",
        "a\x00@b.c",
        "ä@b.c",
        "a@bücher.de",
        "x" * 251 + "@b.c",
        "a@" + "b" * 64 + ".c",
        "ada@\u212a.com",
        "a@b.c\nBcc: x@y.z",
        "\ud800@b.c",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Nothing that a mail server, a log or a comparison could take for something else gets in."""
    with pytest.raises(ValueError, match="not an e-mail address"):
        normalise_email(text)


@given(st.emails())
def test_addresses_of_the_standard_are_accepted_and_keep_their_form(email: str) -> None:
    """Whatever RFC 5322 allows unquoted is accepted, and normalising twice changes nothing."""
    once = normalise_email(email)
    assert normalise_email(once) == normalise_email(email.upper()) == once == once.lower()


@given(ANY_TEXT)
def test_any_text_is_an_address_in_its_one_form_or_a_validation_error(text: str) -> None:
    """No text makes the check fail in any other way."""
    try:
        email = EMAIL.validate_python(text)
    except ValidationError:
        return
    assert email.isascii()
    assert normalise_email(email) == email


@given(ANY_TEXT)
def test_any_text_is_a_storable_name_or_a_validation_error(text: str) -> None:
    """A name that passes has something to see in it and can be stored by every database."""
    try:
        name = NAME.validate_python(text)
    except ValidationError:
        return
    assert 1 <= len(name) <= 200
    assert "\x00" not in name
    name.encode()


@given(ANY_TEXT)
def test_any_text_is_a_password_of_8_to_128_characters_or_a_validation_error(text: str) -> None:
    """A password that passes can be hashed, and is kept just as it was typed."""
    try:
        password = PASSWORD.validate_python(text)
    except ValidationError:
        return
    assert password == text
    assert 8 <= len(password) <= 128
    assert "\x00" not in password
    password.encode()
