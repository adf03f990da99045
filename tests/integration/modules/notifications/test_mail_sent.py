"""Mail about what happened, as a real mail server takes it, on both databases."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core.events import lookout
from tests.support.databases import KINDS, database_url, empty_database
from tests.support.mail import MailServer, certificate, mail_server, part
from tests.support.people import PASSWORD
from tests.support.rows import query
from tests.support.shop import Shop, open_shop
from tests.support.tower import QUICK, wait_until_calm

__all__ = ["database_url"]
SENDER = "Tea & More <shop@tea.example>"


@dataclass
class Post:
    """A shop, the mail server that it sends through, and its database."""

    shop: Shop
    server: MailServer
    url: str

    def register(self, email: str, name: str = "Grace") -> dict[str, Any]:
        """Somebody makes an account."""
        body = {"name": name, "email": email, "password": PASSWORD}
        answer = self.shop.call("POST", "/v2/auth/register", json=body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def dead(self) -> list[tuple[int, str]]:
        """(attempts, reason) of each dead letter."""
        rows = query(
            self.url, "SELECT attempts, last_error FROM core_deliveries WHERE state = 'dead'"
        )
        return [(attempts, reason) for attempts, reason in rows]

    def dead_soon(self, seconds: float = 20) -> list[tuple[int, str]]:
        """The same once there is one."""
        deadline = time.monotonic() + seconds
        while not (found := self.dead()):
            assert time.monotonic() < deadline, "no dead letter"
            time.sleep(0.05)
        return found

    def tries(self) -> list[int]:
        """How often each waiting delivery was counted as failed."""
        return [row[0] for row in query(self.url, "SELECT attempts FROM core_deliveries")]


def settings(port: int, **more: Any) -> dict[str, Any]:
    """Settings of a shop that sends through that port."""
    mail = {"smtp_host": "127.0.0.1", "smtp_port": port, "encryption": "none", "sender": SENDER}
    return {"notifications": {**mail, **more}}


@pytest.fixture(scope="module", params=KINDS)
def post(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Post]:
    """Shared by the tests of this file: each writes to addresses of its own."""
    folder: Path = tmp_path_factory.mktemp("post")
    with (
        empty_database(request.param, folder) as url,
        mail_server(folder / "mail") as server,
        open_shop(
            url, "notifications", events=QUICK, modules=settings(server.port, timeout_seconds=1)
        ) as shop,
    ):
        yield Post(shop, server, url)


def test_whoever_registers_is_welcomed(post: Post) -> None:
    """One mail to the new address, in text and in HTML, from the sender of the settings."""
    post.register("grace@welcome.example", name="Grace")
    [taken] = post.server.soon("grace@welcome.example")
    message = taken.message
    assert taken.sender == "shop@tea.example"
    assert (message["From"], message["To"]) == (
        "Tea & More <shop@tea.example>",
        "Grace <grace@welcome.example>",
    )
    assert message["Subject"] == "Welcome to Tessera"
    for kind in ("plain", "html"):
        assert "Welcome, Grace" in part(message, kind)
        assert "grace@welcome.example" in part(message, kind)


def test_an_order_is_confirmed_with_what_was_ordered(post: Post) -> None:
    """The mail goes to whoever ordered and tells products, pieces, prices and the total."""
    tea = post.shop.product(name="Earl Grey")
    jam = post.shop.product(name="Jam", price={"amount": "2.50", "currency": "USD"})
    order = post.shop.placed(post.shop.bob, (tea, 2), (jam, 3))
    confirmations = _confirmations(post, post.shop.bob.email)
    assert confirmations[-1]["Subject"] == f"Your order {order['id']}"
    for kind in ("plain", "html"):
        text = part(confirmations[-1], kind)
        for shown in ("Earl Grey", "18.00 USD", "36.00 USD", "Jam", "7.50 USD", "43.50 USD"):
            assert shown in text


def test_what_others_wrote_is_shown_and_does_nothing(post: Post) -> None:
    """A name with HTML, quotes and letters of the world stands in the mail as it was given."""
    name = '<script>alert("x")</script> & Čapek 茶'
    post.register("strange@name.example", name=name)
    [taken] = post.server.soon("strange@name.example")
    html = part(taken.message, "html")
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert name in part(taken.message, "plain")
    [to] = taken.message["To"].addresses
    assert (to.display_name, to.addr_spec) == (name, "strange@name.example")


def test_imported_orders_are_told_to_nobody(post: Post) -> None:
    """History sends no mail; an order placed after it does."""
    customer = post.shop.people.somebody()
    post.server.soon(customer.email)
    product = post.shop.product()
    line = {"product_id": product["id"], "quantity": 1, "unit_price": "14.00", "discount": 0}
    past = {
        "external_ref": "mail-1",
        "customer_email": customer.email,
        "placed_at": "1996-07-04",
        "currency": "USD",
        "lines": [line],
    }
    answer = post.shop.call("POST", "/v2/orders/import", post.shop.admin, {"orders": [past]})
    assert answer.json()["created"] == 1
    order = post.shop.placed(customer, (product, 1))
    subjects = [it.message["Subject"] for it in post.server.soon(customer.email, 2)]
    assert subjects == ["Welcome to Tessera", f"Your order {order['id']}"]


def test_an_account_that_cannot_sign_in_is_not_welcomed(post: Post) -> None:
    """An admin's new user gets a mail with a password, and none without one."""
    for email, more in (("silent@made.example", {}), ("told@made.example", {"password": PASSWORD})):
        body = {"name": "Made", "email": email, **more}
        assert post.shop.call("POST", "/v2/users", post.shop.admin, body).status_code == 201
    post.server.soon("told@made.example")
    wait_until_calm(post.url)
    assert post.server.taken("silent@made.example") == []


def test_a_server_that_puts_a_mail_off_is_asked_again(post: Post) -> None:
    """4xx for a recipient or a content: the mail waits, is not counted as failed, and then goes."""
    post.server.answer("rcpt", "later@off.example", "450 4.2.0 greylisted", "451 4.3.0 soon")
    post.server.answer("data", "full@off.example", "452 4.3.1 no room just now")
    post.register("later@off.example")
    post.register("full@off.example")
    time.sleep(0.3)
    assert set(post.tries()) <= {0}
    assert len(post.server.soon("later@off.example")) == 1
    assert len(post.server.soon("full@off.example")) == 1
    wait_until_calm(post.url)


def test_a_recipient_who_is_put_off_does_not_stall_the_others(
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """While other mail goes, /readyz has no word of one that is put off again and again; until
    then it might be the server: the log says what that said."""
    monkeypatch.setattr(lookout, "FRESH_SECONDS", 0.05)
    events = {**QUICK, "stall_seconds": 1}
    with (
        mail_server(tmp_path / "mail") as server,
        open_shop(
            database_url, "notifications", events=events, modules=settings(server.port)
        ) as shop,
    ):
        post = Post(shop, server, database_url)
        wait_until_calm(database_url)
        server.answer("rcpt", "later@off.example", *["450 4.2.0 greylisted"] * 9)
        post.register("later@off.example")
        assert _events_of(shop, "stalled")["stalled"].keys() == {"notifications"}
        said = capsys.readouterr().err
        assert "delivery waits" in said
        assert "450 4.2.0 greylisted" in said
        for email in ("one@off.example", "two@off.example"):
            post.register(email)
            server.soon(email)
        _events_of(shop, "ok")
        for _ in range(25):
            assert _events_of(shop) == {"status": "ok"}
            time.sleep(0.1)
        assert post.tries() == [0]


def _events_of(shop: Shop, status: str = "") -> dict[str, Any]:
    """What /readyz says of events, once it is that."""
    deadline = time.monotonic() + 20
    while True:
        found: dict[str, Any] = shop.call("GET", "/readyz").json()["events"]
        if status in ("", found["status"]):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_a_server_that_says_nothing_is_given_up(post: Post) -> None:
    """A server that goes silent over a mail is left after the time limit; others go meanwhile."""
    post.server.answer("rcpt", "slow@silence.example", "hang", "hang")
    post.register("slow@silence.example")
    post.register("quick@silence.example")
    assert len(post.server.soon("quick@silence.example")) == 1
    assert post.server.taken("slow@silence.example") == []
    assert len(post.server.soon("slow@silence.example")) == 1
    wait_until_calm(post.url)


def test_a_mail_that_is_sent_twice_has_one_id(post: Post) -> None:
    """A server that took a mail and could not say so gets it again, with the same Message-ID."""
    post.server.answer("data", "twice@sent.example", "take and drop")
    post.register("twice@sent.example")
    first, second = post.server.soon("twice@sent.example", 2)
    assert first.id == second.id
    assert first.id.endswith(".notifications@tea.example>")
    wait_until_calm(post.url)
    assert len(post.server.taken("twice@sent.example")) == 2


def test_a_mail_that_is_refused_for_good_is_a_dead_letter(post: Post) -> None:
    """5xx for the recipient: five tries, then it is dead with what the server said; others go."""
    post.server.answer("rcpt", "gone@dead.example", *["550 5.1.1 nobody of that name"] * 5)
    post.register("gone@dead.example")
    post.register("alive@dead.example")
    post.server.soon("alive@dead.example")
    [(attempts, reason)] = post.dead_soon()
    assert attempts == 5
    assert reason.startswith("MailRefused: ")
    assert "550 5.1.1 nobody of that name" in reason
    assert post.server.taken("gone@dead.example") == []


def _confirmations(post: Post, email: str) -> list[Any]:
    deadline = time.monotonic() + 20
    while True:
        mails = [it.message for it in post.server.taken(email)]
        if found := [it for it in mails if it["Subject"].startswith("Your order")]:
            return found
        assert time.monotonic() < deadline, "no confirmation"
        time.sleep(0.05)


def test_encrypted_and_signed_in(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With STARTTLS and a password the mail travels encrypted, to a server that wants both."""
    key, cert = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    with mail_server(tmp_path / "mail", key, cert) as server:
        chosen = settings(
            server.port,
            smtp_host="localhost",
            encryption="starttls",
            username="shop",
            password="open sesame",
        )
        with open_shop(sqlite_url, "notifications", events=QUICK, modules=chosen) as shop:
            [taken] = server.soon(shop.ann.email)
    assert taken.encrypted


@pytest.mark.parametrize("secured", [True, False], ids=["wrong password", "no encryption"])
def test_what_a_server_has_against_all_mail_waits(
    secured: bool, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong password, or a server without the encryption asked for: all mail waits, unsent."""
    key, cert = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    files = (key, cert) if secured else ()
    with mail_server(tmp_path / "mail", *files) as server:
        chosen = settings(
            server.port,
            smtp_host="localhost",
            encryption="starttls",
            username="shop",
            password="wrong",
        )
        with open_shop(sqlite_url, "notifications", events=QUICK, modules=chosen) as shop:
            time.sleep(1.5)
            post = Post(shop, server, sqlite_url)
            assert set(post.tries()) == {0}
    assert server.taken() == []


def test_mail_waits_while_the_server_is_away(sqlite_url: str, tmp_path: Path) -> None:
    """Orders go on while nobody listens at the port; what was to be told is told afterwards."""
    with mail_server(tmp_path / "before") as server:
        port = server.port
    with open_shop(sqlite_url, "notifications", events=QUICK, modules=settings(port)) as shop:
        shop.placed(shop.ann)
        time.sleep(0.5)
        assert set(Post(shop, server, sqlite_url).tries()) == {0}
    with mail_server(tmp_path / "after") as server:
        modules = settings(server.port)
        with open_shop(sqlite_url, "notifications", events=QUICK, modules=modules):
            subjects = {it.message["Subject"] for it in server.soon(shop.ann.email, 2)}
    assert subjects == {"Welcome to Tessera", "Your order 1"}
