"""What strangers' modules do wrong: the source of each, and what the host says of it."""

from __future__ import annotations

from tests.support.plants import HEAD, Garden, minimal, with_body, with_route

EXIT = "import os; os._exit(7)"
FOREVER = "import time; time.sleep(1e9)"
REALLY = "'tessera-rehearsal' not in __import__('os').getcwd()"

ROUTES = """
def make(prefix, *, twice=False, **options):
    router = APIRouter(prefix=prefix, **options)

    @router.get("")
    async def read() -> int:
        return 1

    if twice:
        @router.get("")
        async def again() -> int:
            return 2

    return router

@hookimpl
def routers(version): return [make({made})]
"""
LIFE = """
from contextlib import asynccontextmanager
import asyncio

@asynccontextmanager
async def life():
    {begin}
    yield

@hookimpl
def lifespan(context): return life()
"""
TABLE = """
class Thing(table_base("{id}"), table=True):
    __tablename__ = "{table}"
    id: int | None = BigId()

@hookimpl
def tables(): return [Thing]
"""
SETTINGS = """
from pydantic import BaseModel, ConfigDict

class S(BaseModel):
    model_config = ConfigDict(extra="forbid")
    points: int = 1

@hookimpl
def settings(): return S
"""
DESCRIBED = """
from pydantic import BaseModel, ConfigDict

def extra(schema):
    {work}

class Body(BaseModel):
    model_config = ConfigDict(json_schema_extra=extra)
"""
VALIDATING = """
from pydantic import BaseModel, ConfigDict, model_validator

class S(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="after")
    def check(self):
        {work}

@hookimpl
def settings(): return S
"""
SCHEME = """
class Asked:
    {scheme}

    async def __call__(self, request): return None

@hookimpl
def authenticators(context): return [Asked()]
"""
SERVICE = """
import planted_good.contracts as contracts

@hookimpl
def services(): return {contracts.Shared: lambda context: None}
"""


def hook(name: str, work: str) -> str:
    """A hook that does this."""
    return f"@hookimpl\ndef {name}:\n    {work}\n"


def routes(made: str) -> str:
    """A router made so."""
    return ROUTES.replace("{made}", made)


def life(begin: str) -> str:
    """A lifespan that begins so."""
    return LIFE.replace("{begin}", begin)


def described(module_id: str, work: str) -> str:
    """A route whose body's schema is made so."""
    return DESCRIBED.replace("{work}", work) + with_body(module_id)


# What is wrong: (source, or the body of a module with a manifest), what the reason says.
WRONG: dict[str, tuple[str, str]] = {
    "importing": ("import no_such_package", "importing planted_importing.module failed"),
    "exiting": ("raise SystemExit(3)", "SystemExit: 3"),
    "syntax": ("def broken(:", "SyntaxError"),
    "gone": (EXIT, "its import ended the whole process (exit code 7)"),
    "renamed": (minimal("other"), "its manifest says 'other', its entry point 'renamed'"),
    "old": (minimal("old", manifest="core='>=9'"), "it was made for core >=9"),
    "lonely": (minimal("lonely", manifest="requires=('nobody',)"), "requires 'nobody', which is"),
    "needy": (minimal("needy", manifest="requires=('importing',)"), "'importing', which failed"),
    "one": (minimal("one", manifest="requires=('two',)"), "in a circle: one -> two -> one"),
    "two": (minimal("two", manifest="requires=('one',)"), "in a circle: "),
    "raising": (hook("tables()", "raise OSError('boom')"), "its hook tables() failed: OSError"),
    "leaving": (hook("permissions()", EXIT), "its hook permissions() ended the whole process"),
    "blocking": (hook("services()", FOREVER), "its hook services() did not return within 3 s"),
    "looping": (hook("hookspecs()", "while True: pass"), "hookspecs() did not return within 3 s"),
    "unset": (SETTINGS, 'unknown key "modules.unset.pints"'),
    "route": (routes("'/route', twice=True, dependencies=[public]"), "two routes are GET /route"),
    "prefix": (routes("'/good', dependencies=[public]"), "the prefix '/good' in v1 belongs to"),
    "open": (routes("'/open'"), "the route GET /open does not say who may call it"),
    "table": (TABLE.format(id="table", table="good_things"), "does not start with 'table_'"),
    "permit": (
        "@hookimpl\ndef permissions(): return [Permission('good:do')]\n",
        "its permission 'good:do' is not named permit:<verb>",
    ),
    "lazy": (
        hook("permissions()", "import os; return map(lambda _: os._exit(7), [1])"),
        "its hook permissions() ended the whole process (exit code 7)",
    ),
    "mapped": (
        hook("authenticators(context)", "return map(lambda it: {}[it], 'x')"),
        "its hook authenticators() failed: KeyError: 'x'",
    ),
    "validating": (VALIDATING.format(work=FOREVER), "did not return within 3 s"),
    "scheme": (
        SCHEME.format(scheme="scheme = 'bearer'"),
        "its authenticator's scheme is str, not a mapping",
    ),
    "property": (
        SCHEME.format(scheme="scheme = property(lambda self: 1 / 0)"),
        "its hook authenticators() failed: ZeroDivisionError",
    ),
    "dozing": (described("dozing", FOREVER), "the schema of its routes did not return within 3 s"),
    "parting": (
        described("parting", EXIT),
        "the schema of its routes ended the whole process (exit code 7)",
    ),
    "quitting": (
        described("quitting", "raise SystemExit(3)"),
        "no schema can be made of its routes in v1: SystemExit: 3",
    ),
    "unheard": (
        SCHEME.format(scheme="scheme = {'type': 'http', 'since': object}"),
        "its hook authenticators() failed: TypeError",
    ),
    "role": (
        "@hookimpl\ndef permissions(): return [Permission('role:do', roles=('moderater',))]\n",
        "'moderater', which nobody has",
    ),
    "served": (SERVICE, "the service 'Shared' is already claimed by 'good'"),
    "migrating": (
        hook("migrations()", "return 'planted_migrating:migrations'"),
        "its migration failed: RuntimeError: no column",
    ),
    "nowhere": (
        hook("migrations()", "return 'planted_nowhere:migrations'"),
        "migrations 'planted_nowhere:migrations': no such folder",
    ),
    "failing": (life("raise OSError('no bank')"), "it could not start: OSError: no bank"),
    "slow": (life("await asyncio.sleep(1e9)"), "its lifespan did not start within 5 s"),
    "deaf": (
        life(
            "while True:\n        try: await asyncio.sleep(1e9)\n"
            "        except asyncio.CancelledError: pass"
        ),
        "its lifespan did not start within 5 s",
    ),
    "stuck": (life(FOREVER), "its lifespan did not return within 3 s"),
    "canceller": (
        life("for it in asyncio.all_tasks(): it.cancel()"),
        "at its start it cancelled tasks that are not its own",
    ),
    "stopper": (
        life("asyncio.get_running_loop().stop(); await asyncio.sleep(1)"),
        "at its start it stopped the event loop of all",
    ),
    "interrupter": (
        life("asyncio.get_running_loop().create_task(interrupt())")
        + "\nasync def interrupt(): raise KeyboardInterrupt\n",
        "a task that it started raised KeyboardInterrupt",
    ),
}
WHOLE = (
    "importing",
    "exiting",
    "syntax",
    "gone",
    "renamed",
    "old",
    "lonely",
    "needy",
    "one",
    "two",
)
HARMLESS = {
    "referring": "REFERENCE = {'$ref': '#/components/parameters/Page'}\n",  # as OpenAPI has it
    "silent": "import sys, logging\nsys.stderr.close()\nlogging.disable(logging.CRITICAL)\n",
    "polling": life("[asyncio.create_task(asyncio.to_thread(poll)) for _ in range(40)]")
    + "\nimport time\ndef poll():\n    while True: time.sleep(1)\n",
    "quitter": life("asyncio.get_running_loop().create_task(quit())")
    + "\nasync def quit(): raise SystemExit(5)\n",
}
CONTRACT = "class Shared: pass\n"
REVISION = """
revision, down_revision = "0001", None
def upgrade(): raise RuntimeError("no column")
def downgrade(): pass
"""


def plant_all(garden: Garden) -> None:
    """Every fault, the harmless ones, and two that are well."""
    garden.plant("good", with_route("good") + SERVICE)
    garden.file("planted_good", "contracts.py", CONTRACT)
    garden.plant("late", with_route("late"))
    garden.plant("fresh", minimal("fresh", WRONG["stuck"][0]))  # for later
    for name, (source, _) in WRONG.items():
        garden.plant(name, source if name in WHOLE else minimal(name, source))
    garden.plant("novel", minimal("novel", described("novel", "raise SystemExit(3)")))
    for name, body in HARMLESS.items():
        options = "openapi_extra={'parameters': [REFERENCE]}" if name == "referring" else ""
        garden.plant(name, with_route(name, options=options).replace(HEAD, HEAD + body, 1))
    garden.file("planted_migrating", "migrations/0001_first.py", REVISION)
