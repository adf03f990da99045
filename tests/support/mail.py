"""Mail for tests: a server to send it to, and what it was sent."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PROGRAM = Path(__file__).with_name("mail_server.py")


@dataclass
class Taken:
    """A message as the server took it."""

    sender: str
    recipients: list[str]
    encrypted: bool
    message: EmailMessage

    @property
    def id(self) -> str:
        """Its Message-ID."""
        return str(self.message["Message-ID"])


class MailServer:
    """A mail server, a process of its own; it can be ended and begun again on its port."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port

    def answer(self, step: str, address: str, *answers: str) -> None:
        """What it says to the next attempts at ``rcpt`` or ``data`` for that address."""
        file = self.folder / "answers.json"
        known: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        known.setdefault(step, {})[address] = answers
        file.write_text(json.dumps(known))

    def taken(self, recipient: str = "") -> list[Taken]:
        """The messages to that address, or all, in their order."""
        found = [json.loads(it.read_text()) for it in sorted(self.folder.glob("[0-9]*.json"))]
        return [
            Taken(it["sender"], it["recipients"], it["encrypted"], parsed(it["message"].encode()))
            for it in found
            if not recipient or recipient in it["recipients"]
        ]

    def soon(self, recipient: str, count: int = 1, *, seconds: float = 20) -> list[Taken]:
        """Its messages once there are so many."""
        deadline = time.monotonic() + seconds
        while len(found := self.taken(recipient)) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} to {recipient}"
            time.sleep(0.05)
        return found


@contextmanager
def mail_server(folder: Path, *secured: Path) -> Iterator[MailServer]:
    """A running one; `secured` are the files of its key and its certificate."""
    folder.mkdir(exist_ok=True)
    command: Sequence[str] = [sys.executable, str(PROGRAM), str(folder), *map(str, secured)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield MailServer(folder, int(process.stdout.readline()))
    finally:
        process.terminate()
        process.wait(timeout=10)
        process.stdout.close()


def parsed(content: bytes) -> EmailMessage:
    """A message of these bytes, which must be one without faults."""
    message = message_from_bytes(content, policy=default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def part(message: EmailMessage, kind: str) -> str:
    """The text of its ``plain`` or ``html`` part."""
    found = message.get_body((kind,))
    assert found is not None
    return str(found.get_content())


def certificate(folder: Path, host: str = "localhost") -> tuple[Path, Path]:
    """A fresh key and a certificate for `host` that vouches for itself; their files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    files = folder / "key.pem", folder / "certificate.pem"
    files[0].write_bytes(private)
    files[1].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    return files
