"""A real mail server as a process of its own: ``python mail_server.py FOLDER [KEY CERT]``.

It says its port on stdout and keeps each message in FOLDER as JSON. FOLDER/answers.json says what
it answers instead of taking a message: {"rcpt": {address: [answers in turn]}, "data": {…}}, where
an answer is a reply such as "450 4.2.0 later", "hang", or "take and drop": it keeps the message and
breaks the connection off before it has said so. With KEY and CERT it speaks STARTTLS and lets
nobody send who has not signed in as "shop" with "open sesame".
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult

FOLDER = Path(sys.argv[1])
OK = "250 2.0.0 taken"


class Handler:
    """Takes mail, or does what the answers say."""

    def __init__(self) -> None:
        self._given: Counter[tuple[str, str]] = Counter()

    async def _answer(self, step: str, address: str) -> str | None:
        file = FOLDER / "answers.json"
        answers = json.loads(file.read_text()) if file.exists() else {}
        in_turn = answers.get(step, {}).get(address, [])
        turn = self._given[step, address]
        self._given[step, address] += 1
        answer = in_turn[turn] if turn < len(in_turn) else None
        if answer == "hang":
            await asyncio.Event().wait()
        return answer

    async def handle_RCPT(self, _: Any, __: Any, envelope: Any, address: str, ___: Any) -> str:
        if answer := await self._answer("rcpt", address):
            return answer
        envelope.rcpt_tos.append(address)
        return OK

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        answer = await self._answer("data", envelope.rcpt_tos[0])
        if answer not in (None, "take and drop"):
            return str(answer)
        self._keep(session, envelope)
        if answer:
            server.transport.abort()
        return OK

    def _keep(self, session: Any, envelope: Any) -> None:
        kept = {
            "sender": envelope.mail_from,
            "recipients": envelope.rcpt_tos,
            "message": envelope.original_content.decode("ascii"),
            "encrypted": session.ssl is not None,
        }
        name = f"{time.time_ns()}-{uuid.uuid4().hex}"
        (FOLDER / f"{name}.part").write_text(json.dumps(kept))
        (FOLDER / f"{name}.part").rename(FOLDER / f"{name}.json")


def _knows(_: Any, __: Any, ___: Any, ____: str, data: Any) -> AuthResult:
    known = (data.login, data.password) == (b"shop", b"open sesame")
    return AuthResult(success=known, handled=known)


async def main() -> None:
    """Serve until ended."""
    options: dict[str, Any] = {}
    if len(sys.argv) > 2:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[3], sys.argv[2])
        options = {"tls_context": context, "authenticator": _knows, "auth_required": True}
    handler = Handler()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, **options), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
