"""Calls that hold the event loop: while one waits, every other request of the process waits too.

ruff's ASYNC rules see the direct ones, and `core.checks.linters` runs them where ruff is installed.
Here names are followed: through an alias, an instance, and through helpers of the same package.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from core.checks.code import Call, Code, Unit
from core.checks.context import CheckContext
from core.checks.finding import Finding
from core.checks.names import PATH
from core.checks.reached import Reached

_VERBS = r"(get|post|put|patch|delete|head|options|request|send|stream)"
_THREAD = "await asyncio.to_thread(…)"
_CLIENT = "use httpx2.AsyncClient, one for the whole lifespan"
_SESSION = "take ReadSession or WriteSession"

# An instance is written with brackets, by the name under which it is imported or was defined.
_REMEDIES = {
    r"time\.sleep": "await asyncio.sleep(…)",
    rf"(requests(\.api)?|httpx2?(\._api)?|urllib3)\.{_VERBS}": _CLIENT,
    rf"(requests(\.sessions)?\.[Ss]ession|httpx2?\.Client|urllib3(\.poolmanager)?\.PoolManager)\(\)"
    rf"\.{_VERBS}": _CLIENT,
    r"urllib\.request\.(urlopen|urlretrieve|(build_opener|OpenerDirector)\(\)\.open)": _CLIENT,
    r"http\.client\.HTTPS?Connection\(\)\.(request|getresponse|connect)": _CLIENT,
    r"subprocess\.(run|call|check_call|check_output|getoutput|getstatusoutput)"
    r"|subprocess\.Popen\(\)\.(wait|communicate)|os\.(system|popen|wait|waitpid)": (
        "await asyncio.create_subprocess_exec(…)"
    ),
    r"socket\.(create_connection|getaddrinfo|gethostbyname|gethostbyaddr|getfqdn)": (
        "use asyncio.open_connection, or the loop's getaddrinfo"
    ),
    r"socket\.socket\(\)\.(connect|accept|recv(from)?(_into)?|send(all|to|file)?)": (
        "use asyncio.open_connection or start_server, or the loop's sock_recv and its like"
    ),
    r"(sqlite3|psycopg|psycopg2|pymysql|MySQLdb)\.(connect(\(\)\.\w+)?|Connection\(\)\.\w+)"
    r"|psycopg\.Connection\.connect": _SESSION,
    r"sql(alchemy|model)(\.engine)?(\.base)?\.(create_engine|Engine)\(\)"
    r"\.(connect|begin|raw_connection)"
    r"|(sqlalchemy\.orm|sqlmodel(\.orm)?)(\.session)?\.Session\(\)"
    r"\.(exec|execute|get|get_one|scalars?|commit|flush|refresh|delete|rollback|merge|query)": (
        _SESSION
    ),
    r"redis(\.client)?\.((Strict)?Redis(\.from_url)?|from_url)\(\)\.(?!pipeline)\w+": (
        "use context.redis"
    ),
    r"smtplib\.SMTP(_SSL)?(\(\)\.\w+)?|ftplib\.FTP(\(\)\.\w+)?"
    r"|boto3\.(client|resource)\(\)\.\w+|pymongo\.MongoClient(\(\)\.\w+)?": _THREAD,
    r"shutil\.(copy|copy2|copyfile|copyfileobj|copytree|move|rmtree|make_archive|unpack_archive)"
    r"|zipfile\.(Py)?ZipFile\(\)\.(extract|extractall|write)"
    r"|tarfile\.(open|TarFile(\.open)?)\(\)\.(extract|extractall|add)": _THREAD,
    r"bcrypt\.(hashpw|checkpw|kdf)|hashlib\.(scrypt|pbkdf2_hmac)"
    r"|argon2(\._password_hasher)?\.PasswordHasher\(\)\.(hash|verify)"
    r"|passlib\.context\.CryptContext\(\)\.(hash|verify|verify_and_update)"
    r"|passlib\.hash\.\w+\.(hash|verify)": "await asyncio.to_thread(…), or ask auth's service",
    r"(queue\.\w*Queue\(\)\.(get|put|join)|threading\.(Event|Condition|Barrier)\(\)\.wait)"
    r"|threading\.(Thread\(\)\.join|(R?Lock|(Bounded)?Semaphore)\(\)\.acquire)": (
        "use asyncio's own Queue, Event, Condition or Lock"
    ),
    r"concurrent\.futures\.(wait|as_completed)|(.+\(\)\.submit|asyncio\.run_coroutine_threadsafe"
    r"|concurrent\.futures(\._base)?\.Future)\(\)\.(result|exception)": (
        "await asyncio.wrap_future(…)"
    ),
    r"asyncio\.run|asyncio\.get_(event|running)_loop\(\)\.run_(until_complete|forever)": "await it",
    rf"builtins\.open|{PATH}\.(open|(read|write)_(text|bytes))": _THREAD,
    r"builtins\.input|getpass\.getpass": "ask before the loop runs",
}
_QUICK_SOCKETS = {"setblocking", "SOCK_DGRAM"}
"""Where a package speaks of these, its sockets may be such as wait for nothing."""
_BLOCKING = [(re.compile(pattern), remedy) for pattern, remedy in _REMEDIES.items()]


def remedy_for(target: str) -> str:
    """What to write instead of a call that blocks; empty for one that is not known to block."""
    return next((remedy for pattern, remedy in _BLOCKING if pattern.fullmatch(target)), "")


def check_blocking(context: CheckContext) -> Iterator[Finding]:
    """T501 and T502: calls in ``async def`` that block, themselves or through a helper."""
    helpers = Helpers(context.code)
    for unit in context.code.units.values():
        if not unit.is_async:
            continue
        for call in helpers.calls(unit):
            place = context.at(unit.source.path, call.node.lineno)
            if remedy := helpers.remedy(call):
                reason = f"{unit.node.name} is async, and {_shown(call)} holds the event loop"
                yield context.found("T501", place, reason, remedy)
            elif way := helpers.way(call):
                yield context.found("T502", place, *_through(context, unit, way))


def _through(context: CheckContext, unit: Unit, way: list[tuple[Unit, Call]]) -> tuple[str, str]:
    helpers = " → ".join(_name(helper) for helper, _ in way)
    last, call = way[-1]
    where = context.at(last.source.path, call.node.lineno)
    reason = f"{unit.node.name} is async, and {helpers} calls {_shown(call)} at {where}"
    return reason, f"{remedy_for(context.code.plain(call.target))}, or {_in_a_thread(way[0][0])}"


def _in_a_thread(unit: Unit) -> str:
    """How a helper runs in one; a generator does not by being called there."""
    name = _name(unit).removesuffix(".__init__")
    if not unit.is_generator:
        return f"await asyncio.to_thread({name}, …)"
    if "contextmanager" in unit.decorator_names:
        return f"async with contextmanager_in_threadpool({name}(…))"
    return f"async for … in iterate_in_threadpool({name}(…))"


def _name(unit: Unit) -> str:
    """``read``, but ``Rates.__init__``: the last word alone would say nothing."""
    words = unit.name.split(".")
    return ".".join(words[-2:]) if words[-1].startswith("__") else words[-1]


def _shown(call: Call) -> str:
    return f"{call.target.removeprefix('builtins.')}()"


def _gives_up(call: ast.Call) -> bool:
    """Whether an ``acquire`` does not wait, or may be told not to by what only runs."""
    given: dict[str | None, ast.expr] = {it.arg: it.value for it in call.keywords}
    given |= zip(("blocking", "timeout"), call.args, strict=False)
    if None in given or any(isinstance(it, ast.Starred) for it in call.args):
        return True
    blocking, timeout = given.get("blocking"), given.get("timeout")
    if blocking is not None and not (isinstance(blocking, ast.Constant) and blocking.value):
        return True
    return isinstance(timeout, ast.Constant) and timeout.value == 0


class Helpers:
    """Which plain functions of a package block, and on which way."""

    def __init__(self, code: Code) -> None:
        self._code = code
        self._reached = Reached(code)
        self._ways: dict[Unit, list[tuple[Unit, Call]]] = {}

    def calls(self, unit: Unit) -> list[Call]:
        """What a function calls, with brackets and without."""
        return [*unit.calls, *self._reached.silent_calls(unit)]

    def remedy(self, call: Call) -> str:
        """What to write instead of a call that blocks itself; empty for any other."""
        target = self._code.plain(call.target)
        if target.endswith("().acquire"):
            waits = not (isinstance(call.node, ast.Call) and _gives_up(call.node))
        else:
            is_socket = target.startswith("socket.socket().")
            waits = not is_socket or _QUICK_SOCKETS.isdisjoint(self._code.mentioned)
        return remedy_for(target) if waits else ""

    def way(self, call: Call) -> list[tuple[Unit, Call]]:
        """From the helper that is called to the call that blocks; empty when none does."""
        for unit in self._reached.units(call.target):
            if unit.is_async:  # gives a coroutine, or is looked at for itself
                return []
            if unit not in self._ways:
                self._ways[unit] = []  # a helper that calls itself ends here
                self._ways[unit] = self._find(unit)
            if self._ways[unit]:
                return self._ways[unit]
        return []

    def _find(self, unit: Unit) -> list[tuple[Unit, Call]]:
        for call in self.calls(unit):
            if self.remedy(call):
                return [(unit, call)]
            if further := self.way(call):
                return [(unit, call), *further]
        return []
