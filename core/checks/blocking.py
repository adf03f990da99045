"""Calls that hold the event loop: while one waits, every other request of the process waits too.

ruff's ASYNC rules see the direct ones, and `core.checks.linters` runs them where ruff is installed.
Here names are followed: through an alias, an instance, and through helpers of the same package.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from core.checks.code import Call, Code, Unit
from core.checks.context import CheckContext
from core.checks.finding import Finding

_REMEDIES = {
    r"time\.sleep": "await asyncio.sleep(…)",
    r"(requests|httpx2?|urllib3)\.(get|post|put|patch|delete|head|options|request|stream)": (
        "use httpx2.AsyncClient, one for the whole lifespan"
    ),
    r"(requests\.(S|s)ession|(httpx2?)\.Client|urllib3\.PoolManager)\(\)\."
    r"(get|post|put|patch|delete|head|options|request|send|stream)": (
        "use httpx2.AsyncClient, one for the whole lifespan"
    ),
    r"urllib\.request\.(urlopen|urlretrieve)": "use httpx2.AsyncClient",
    r"subprocess\.(run|call|check_call|check_output|getoutput|getstatusoutput)"
    r"|subprocess\.Popen\(\)\.(wait|communicate)|os\.(system|popen|wait|waitpid)": (
        "await asyncio.create_subprocess_exec(…)"
    ),
    r"socket\.(create_connection|getaddrinfo|gethostbyname|gethostbyaddr|getfqdn)": (
        "use asyncio.open_connection, or the loop's getaddrinfo"
    ),
    r"(sqlite3|psycopg|psycopg2|pymysql|MySQLdb)\.connect(\(\)\.\w+)?"
    r"|psycopg\.Connection\.connect": "take ReadSession or WriteSession",
    r"redis\.(Redis|StrictRedis|from_url)\(\)\.\w+|redis\.Redis\.from_url\(\)\.\w+": (
        "use context.redis"
    ),
    r"smtplib\.SMTP(_SSL)?(\(\)\.\w+)?|ftplib\.FTP(\(\)\.\w+)?": "await asyncio.to_thread(…)",
    r"bcrypt\.(hashpw|checkpw|kdf)|hashlib\.(scrypt|pbkdf2_hmac)"
    r"|argon2\.PasswordHasher\(\)\.(hash|verify)"
    r"|passlib\.context\.CryptContext\(\)\.(hash|verify|verify_and_update)"
    r"|passlib\.hash\.\w+\.(hash|verify)": "await asyncio.to_thread(…), or ask auth's service",
    r"(queue\.\w*Queue\(\)\.(get|put|join)|threading\.(Event|Condition|Barrier)\(\)\.wait)"
    r"|threading\.Thread\(\)\.join": "use asyncio's own Queue, Event or Condition",
    r"builtins\.input|getpass\.getpass": "ask before the loop runs",
}
_BLOCKING = [(re.compile(pattern), remedy) for pattern, remedy in _REMEDIES.items()]


def remedy_for(target: str) -> str:
    """What to write instead of a call that blocks; empty for one that is not known to block."""
    return next((remedy for pattern, remedy in _BLOCKING if pattern.fullmatch(target)), "")


def check_blocking(context: CheckContext) -> Iterator[Finding]:
    """T501 and T502: calls in ``async def`` that block, themselves or through a helper."""
    seen = _Helpers(context.code)
    for unit in context.code.units.values():
        if not unit.is_async:
            continue
        for call in unit.calls:
            place = context.at(unit.source.path, call.node.lineno)
            if remedy := remedy_for(call.target):
                reason = f"{unit.node.name} is async, and {_shown(call)} holds the event loop"
                yield context.found("T501", place, reason, remedy)
            elif way := seen.way(call):
                yield context.found("T502", place, *_through(context, unit, way))


def _through(context: CheckContext, unit: Unit, way: list[tuple[Unit, Call]]) -> tuple[str, str]:
    helpers = " → ".join(helper.node.name for helper, _ in way)
    last, call = way[-1]
    where = context.at(last.source.path, call.node.lineno)
    reason = f"{unit.node.name} is async, and {helpers} calls {_shown(call)} at {where}"
    first = way[0][0].node.name
    return reason, f"{remedy_for(call.target)}, or await asyncio.to_thread({first}, …)"


def _shown(call: Call) -> str:
    return f"{call.target.removeprefix('builtins.')}()"


class _Helpers:
    """Which plain functions of a package block, and on which way."""

    def __init__(self, code: Code) -> None:
        self._code = code
        self._ways: dict[Unit, list[tuple[Unit, Call]]] = {}

    def way(self, call: Call) -> list[tuple[Unit, Call]]:
        """From the helper that is called to the call that blocks; empty when none does."""
        unit = self._code.unit(call.target) if call.target else None
        if unit is None or unit.is_async or not unit.is_itself:
            return []
        if unit not in self._ways:
            self._ways[unit] = []  # a helper that calls itself ends here
            self._ways[unit] = self._find(unit)
        return self._ways[unit]

    def _find(self, unit: Unit) -> list[tuple[Unit, Call]]:
        for call in unit.calls:
            if remedy_for(call.target):
                return [(unit, call)]
            if further := self.way(call):
                return [(unit, call), *further]
        return []
