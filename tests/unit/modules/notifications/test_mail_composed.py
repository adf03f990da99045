"""What a mail is made of, whatever others have called themselves."""

from __future__ import annotations

from email.headerregistry import Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.plugin import Unavailable
from modules.notifications.composing import Composer, one_line
from modules.notifications.patience import MOST, Patience
from modules.notifications.settings import NotificationsSettings, address_of
from modules.users.contracts import UserDTO
from tests.support.mail import parsed, part

HOUSE = Composer(sender=Address("Tea", "shop", "tea.example"), house="Tea")


def welcomed(name: str, subject: str = "Welcome") -> bytes:
    """The mail to somebody of that name, as it is sent."""
    user = UserDTO(7, name, "ann@a.example", "user", True, None)  # type: ignore[arg-type]
    message = HOUSE.compose(
        "welcome",
        name=name,
        email="ann@a.example",
        subject=subject,
        effect_id="1234.notifications",
        values={"user": user},
    )
    return message.as_bytes()


@given(name=st.text(max_size=200), subject=st.text(max_size=200))
def test_any_name_makes_one_sound_message(name: str, subject: str) -> None:
    """No name and no subject adds a header or a recipient, and none spoils the message."""
    name, subject = (it.encode("utf-8", "ignore").decode() for it in (name, subject))
    content = welcomed(name, subject)
    message = parsed(content)
    assert message.keys().count("To") == 1
    assert set(message.keys()) == {
        *("Message-ID", "Date", "From", "To", "Subject", "Auto-Submitted"),
        *("MIME-Version", "Content-Type"),
    }
    assert [it.addr_spec for it in message["To"].addresses] == ["ann@a.example"]
    assert message["Message-ID"] == "<1234.notifications@tea.example>"
    assert content.isascii()
    assert max(map(len, content.splitlines())) <= 998


def test_a_header_cannot_be_smuggled_in() -> None:
    """Line breaks in a name and a subject become blanks."""
    message = parsed(welcomed("Ann\r\nBcc: all@a.example", "Hello\nX-Evil: 1"))
    assert message["Subject"] == "Hello X-Evil: 1"
    assert message["To"].addresses[0].display_name == "Ann Bcc: all@a.example"
    assert (message["Bcc"], message["X-Evil"]) == (None, None)


def test_html_is_escaped_and_text_is_not() -> None:
    """The HTML part shows a name as it was typed, and the text part is no HTML."""
    message = parsed(welcomed("<b>&</b>"))
    assert "Welcome, &lt;b&gt;&amp;&lt;/b&gt;" in part(message, "html")
    assert "Welcome, <b>&</b>" in part(message, "plain")


def test_one_line() -> None:
    """Whatever cannot be printed on a line is a blank, and blanks are one."""
    assert one_line(" a\r\n\tb\x00\u2028c ") == "a b c"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("shop@tea.example", "House <shop@tea.example>"),
        ("Tea <shop@tea.example>", "Tea <shop@tea.example>"),
        ('"Tea, Co." <shop@tea.example>', '"Tea, Co." <shop@tea.example>'),
        ("Tea Ltd. <Shop@tea.example>", '"Tea Ltd." <Shop@tea.example>'),
        (r'"The \"best\" tea"<shop@tea.example>', r'"The \"best\" tea" <shop@tea.example>'),
        ("Čaj & 茶 <shop@tea.example>", "Čaj & 茶 <shop@tea.example>"),
        ("<shop@localhost>", "House <shop@localhost>"),
    ],
)
def test_a_sender_is_an_address_with_or_without_a_name(text: str, shown: str) -> None:
    """Without a name of its own the house's stands before it."""
    assert str(address_of(text, name="House")) == shown


@pytest.mark.parametrize(
    ("given_settings", "said"),
    [
        ({"smtp_host": "mail"}, "smtp_host needs a sender"),
        ({"sender": "Tea"}, "no mail address"),
        ({"username": "shop"}, "both or neither"),
        ({"password": "secret-word"}, "both or neither"),
        ({"encryption": "ssl"}, "starttls"),
        ({"smtp_port": 0}, "greater than or equal to 1"),
        ({"timeout_seconds": 0}, "greater than 0"),
        ({"smpt_host": "mail"}, "Extra inputs"),
    ],
)
def test_settings_that_do_not_fit(given_settings: dict[str, object], said: str) -> None:
    """A server without a sender, half a sign-in, no address: told, and no secret with it."""
    with pytest.raises(ValidationError) as caught:
        NotificationsSettings.model_validate(given_settings)
    assert said in str(caught.value)
    assert "secret-word" not in "".join(it["msg"] for it in caught.value.errors())


@pytest.mark.parametrize(
    "sender",
    [
        "shop@",
        "a@b, c@d",
        "a@b.example,",
        "a@b c",
        "a@b;",
        "a @b.example",
        "x y@b.example",
        '"x y"@b.example',
        "Shop <shop@shop.example> extra",
        "Shop <shop@shop.example",
        "Shop, Inc. <shop@shop.example>",
        "boss@shop.example <shop@shop.example>",
        "Shop: shop@shop.example;",
        "Shop (the best) <shop@shop.example>",
        "shop@shop.example (Shop)",
        "shop@shop..example",
        "shop@-",
        "shop@[127.0.0.1]",
        "shop@shöp.example",
        "Shop\n<shop@shop.example>",
        "  ",
    ],
)
def test_a_sender_that_would_be_read_otherwise_is_refused(sender: str) -> None:
    """What is not just one address, or not as it stands there, is told when the settings load."""
    with pytest.raises(ValidationError, match="no mail address, or not just one"):
        NotificationsSettings.model_validate({"sender": sender})


@given(
    st.text(
        st.one_of(
            st.sampled_from('shop@.example<>"\\,;:()[] \n'),
            st.characters(exclude_categories=["Cs"]),
        )
    )
)
def test_whatever_is_given_is_a_sender_or_told(sender: str) -> None:
    """No text stumbles over Python's parser; what is taken reads the same once more."""
    try:
        taken = address_of(sender)
    except ValueError:
        return
    assert taken.addr_spec in sender
    assert address_of(str(taken)) == taken


@pytest.mark.parametrize(("encryption", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
def test_the_port_follows_the_encryption(encryption: str, port: int) -> None:
    """Left out, the port is the usual one; given, it is that."""
    assert NotificationsSettings.model_validate({"encryption": encryption}).port == port
    given_one = NotificationsSettings.model_validate({"encryption": encryption, "smtp_port": 2525})
    assert given_one.port == 2525


def test_what_failed_is_left_alone_for_twice_as_long_each_time() -> None:
    """1, 2, 4 seconds and at most 5; after a success it begins anew."""
    now = 0.0
    patience = Patience(first=1, longest=5, clock=lambda: now)

    def waits() -> float:
        nonlocal now
        told = patience.put_off("a", "the server is away")
        began = now
        while True:
            try:
                patience.check("a")
            except Unavailable as error:
                assert error.for_operators == "the server is away"
                now += 0.5
            else:
                assert told == now - began
                return now - began

    assert [waits() for _ in range(5)] == [1, 2, 4, 5, 5]
    patience.forget("a")
    assert waits() == 1
    patience.check("b")


def test_patience_remembers_only_so_much() -> None:
    """However many messages are put off, the memory stays bounded, and the oldest goes first."""
    patience = Patience(first=100, longest=100, clock=lambda: 0.0)
    for number in range(MOST + 1):
        patience.put_off(str(number), "away")
    patience.check("0")
    with pytest.raises(Unavailable):
        patience.check("1")
