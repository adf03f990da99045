"""Without a mail server mail lies in a folder: for trying things out, and for seeing what goes."""

from __future__ import annotations

import time
from pathlib import Path

from tests.support.apps import serving
from tests.support.mail import parsed, part
from tests.support.people import PASSWORD
from tests.support.rows import query
from tests.support.shop import open_shop
from tests.support.tower import QUICK, wait_until_calm


def files(folder: Path) -> list[Path]:
    """What lies there."""
    return sorted(folder.iterdir()) if folder.is_dir() else []


def options(folder: Path) -> dict[str, dict[str, str]]:
    """Settings that put mail into `folder`."""
    return {"notifications": {"folder": str(folder)}}


def test_each_mail_is_a_file_named_after_its_id(sqlite_url: str, tmp_path: Path) -> None:
    """A whole message a file, which only its owner reads; nothing else is left in the folder."""
    folder = tmp_path / "deep" / "mail"
    with open_shop(sqlite_url, "notifications", events=QUICK, modules=options(folder)) as shop:
        shop.placed(shop.ann)
        wait_until_calm(sqlite_url)
    mails = {path: parsed(path.read_bytes()) for path in files(folder)}
    assert [it for it, mail in mails.items() if mail["Message-ID"] != f"<{it.stem}>"] == []
    assert {path.suffix for path in mails} == {".eml"}
    assert {path.stat().st_mode & 0o777 for path in mails} == {0o600}
    to_ann = [it for it in mails.values() if it["To"].addresses[0].addr_spec == shop.ann.email]
    assert {it["Subject"] for it in to_ann} == {"Welcome to Tessera", "Your order 1"}
    events = {str(row[0]) for row in query(sqlite_url, "SELECT id FROM core_outbox")}
    ids = {path.stem.partition(".notifications@")[0].replace("-", "") for path in mails}
    assert ids <= {event.replace("-", "") for event in events}


def test_mail_waits_for_a_folder_that_can_be_written(sqlite_url: str, tmp_path: Path) -> None:
    """While the folder cannot be written mail waits, uncounted; then it is written."""
    folder = tmp_path / "mail"
    folder.write_text("in the way")
    with open_shop(sqlite_url, "notifications", events=QUICK, modules=options(folder)):
        time.sleep(0.5)
        tried = query(sqlite_url, "SELECT attempts FROM core_deliveries")
        assert set(tried) == {(0,)}
        folder.unlink()
        wait_until_calm(sqlite_url)
    assert len(files(folder)) == len(tried)


def test_without_orders_and_catalog_whoever_registers_is_welcomed(
    sqlite_url: str, tmp_path: Path
) -> None:
    """The module needs nothing but users; without auth too an account is welcomed."""
    folder = tmp_path / "mail"
    for modules in (("users", "auth", "notifications"), ("users", "notifications")):
        chosen = {**options(folder), "auth": {"enabled": "auth" in modules}}
        with serving(sqlite_url, *modules, events=QUICK, modules=chosen) as client:
            assert client.get("/readyz").json()["modules"]["notifications"]["state"] == "enabled"
            if "auth" in modules:
                body = {"name": "Grace", "email": "grace@alone.example", "password": PASSWORD}
                assert client.post("/v2/auth/register", json=body).status_code == 201
            wait_until_calm(sqlite_url)
    [path] = files(folder)
    assert "Welcome, Grace" in part(parsed(path.read_bytes()), "plain")


def test_whoever_is_gone_by_then_gets_nothing(sqlite_url: str, tmp_path: Path) -> None:
    """A user who is deleted before the mail is written gets none, and nothing waits for it."""
    folder = tmp_path / "mail"
    with open_shop(sqlite_url, "notifications", events=QUICK, modules=options(folder)):
        wait_until_calm(sqlite_url)
    before = len(files(folder))
    with open_shop(sqlite_url, events=QUICK) as shop:
        gone = shop.people.somebody()
        shop.placed(gone)
        path = f"/v2/users/{gone.id}"
        assert shop.call("DELETE", path, shop.admin).status_code == 204
    with open_shop(sqlite_url, "notifications", events=QUICK, modules=options(folder)):
        wait_until_calm(sqlite_url)
    written = [parsed(it.read_bytes()) for it in files(folder)]
    assert len(written) > before
    assert gone.email not in {it["To"].addresses[0].addr_spec for it in written}
