"""Whom a mail is from and to, as those read it who get it: the bytes, parsed again."""

from __future__ import annotations

from email import message_from_bytes
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.utils import getaddresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.notifications.composing import Composer, one_line
from modules.users.contracts import UserDTO
from tests.support.mail import parsed

SHOP, ANN = "shop@tea.example", "ann@a.example"
# Whatever means something in a header, among what does not.
SPECIAL = ["evil@evil.example", ", ", "<", ">", "(", ")", '"', "\\", ":", ";", ".", " ", "=?", "?="]
HARMLESS = ["Ann ", "x" * 70, "é" * 30, "茶", "=?utf-8?q?x?="]
NAMES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    st.lists(st.sampled_from(SPECIAL + HARMLESS), max_size=30).map(lambda it: "".join(it)[:200]),
)


def sent(name: str, house: str = "Tea") -> bytes:
    """A mail to somebody of that name, from a house of that name."""
    sender = Address(one_line(house), addr_spec=SHOP)
    user = UserDTO(7, name, ANN, "user", True, None)  # type: ignore[arg-type]
    message = Composer(sender=sender, house=house).compose(
        "welcome", name=name, email=ANN, subject="Hello", effect_id="1", values={"user": user}
    )
    return message.as_bytes()


def read(content: bytes, header: str) -> list[tuple[str, str]]:
    """The (name, address) pairs that a reader of today finds."""
    return [(it.display_name, it.addr_spec) for it in parsed(content)[header].addresses]


def read_as_ever(content: bytes, header: str) -> list[tuple[str, str]]:
    """The same by the older parser, which is another program."""
    pairs = getaddresses([message_from_bytes(content)[header]])
    return [(str(make_header(decode_header(name))), address) for name, address in pairs]


def without_blanks(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Python 3.11 reads a blank between encoded words, where RFC 2047 says that there is none."""
    return [(name.replace(" ", ""), address) for name, address in pairs]


@given(name=NAMES, house=NAMES)
def test_every_reader_finds_one_address_and_the_name(name: str, house: str) -> None:
    """Whatever somebody or the house is called, From and To hold that name and one address."""
    content = sent(name, house)
    for header, named, address in (("From", house, SHOP), ("To", name, ANN)):
        expected = [(one_line(named), address)]
        assert read_as_ever(content, header) == expected
        assert without_blanks(read(content, header)) == without_blanks(expected)
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    "name",
    [
        "boss@evil.example, " + "x " * 40 + "x",
        "Boss <boss@evil.example>, " + "x" * 60,
        "Doe, John Alexander Maximilian Christopher Bartholomew Montgomery Fitzgerald the Third",
        'Smith & Partners Ltd. (Trading as "The Best Law Firm in the Whole World"), London, Paris',
        "x" * 76 + '"',
        '"' * 200,
    ],
)
def test_a_long_name_in_ascii_is_read_exactly(name: str) -> None:
    """A name that needs quotes and fills the line is one name still, to both readers."""
    content = sent(name, name)
    for header, address in (("From", SHOP), ("To", ANN)):
        assert read(content, header) == read_as_ever(content, header) == [(name, address)]


def test_a_house_of_any_length_keeps_lines_below_998() -> None:
    """A name that would make a line too long for servers is encoded, in words of RFC 2047."""
    house = "Smith, Jones & Partners, " * 60 + "Limited"
    content = sent("Ann", house)
    assert read_as_ever(content, "From") == [(house, SHOP)]
    head = content.partition(b"\r\nTo: ")[0].split(b"\r\n")
    assert max(map(len, head)) <= 78


def test_a_name_that_looks_encoded_is_shown_as_it_is() -> None:
    """What reads like an encoded word is not decoded."""
    assert read(sent("=?utf-8?q?Boss?="), "To") == [("=?utf-8?q?Boss?=", ANN)]
