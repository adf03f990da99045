"""Modules that break a rule, each with the words that its reason must hold."""

from __future__ import annotations

from tests.support.plants import HEAD, minimal, with_body

ROUTER = """
def make(prefix="/bad", **options):
    router = APIRouter(prefix=prefix, **options)

    @router.get("")
    async def read() -> int:
        return 1

    return router
"""

BROKEN = {
    "an import that fails": ("import no_such_package", "no_such_package"),
    "a syntax error": ("def broken(:", "SyntaxError"),
    "SystemExit at import": ("raise SystemExit(3)", "SystemExit: 3"),
    "KeyboardInterrupt at import": ("raise KeyboardInterrupt", "failed: KeyboardInterrupt"),
    "an error that cannot tell what it is": (
        "class Odd(Exception):\n    def __str__(self): raise RuntimeError\nraise Odd",
        "failed: Odd: Odd at",
    ),
    "an error whose text is none": (
        minimal(
            "bad",
            "class Odd(Exception):\n    def __str__(self): return 5\n"
            "@hookimpl\ndef tables(): raise Odd",
        ),
        "hook tables() failed: Odd: Odd at",
    ),
    "KeyboardInterrupt in a hook": (
        minimal("bad", "@hookimpl\ndef permissions(): raise KeyboardInterrupt"),
        "hook permissions() failed: KeyboardInterrupt",
    ),
    "little recursion": ("import sys\nsys.setrecursionlimit(60)\nimport gone", "'gone'"),
    "a signal handler": (
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "signal only works in main thread",
    ),
    "a manifest with a number for a version": (
        minimal("bad").replace('"1.0"', "1"),
        "version is of the type int; write a text: version='1.0'",
    ),
    "no manifest": (HEAD, "no manifest() hook"),
    "a manifest of another id": (minimal("other"), "its manifest says 'other'"),
    "a core that it was not made for": (minimal("bad", manifest="core='>=9'"), "core >=9"),
    "a misspelt hook": (
        minimal("bad", "@hookimpl\ndef router(version): return []"),
        "no hook 'router'",
    ),
    "a hook that raises": (
        minimal("bad", "@hookimpl\ndef tables(): raise RuntimeError('boom')"),
        "hook tables() failed: RuntimeError: boom",
    ),
    "a hook that exits": (
        minimal("bad", "@hookimpl\ndef permissions(): raise SystemExit"),
        "hook permissions() failed: SystemExit",
    ),
    "a hook that returns something else": (
        minimal("bad", "@hookimpl\ndef permissions(): return ['bad:do']"),
        "returned str, not a list of Permission",
    ),
    "a permission of another module": (
        minimal("bad", "@hookimpl\ndef permissions(): return [Permission('good:do')]"),
        "not named bad:<verb>",
    ),
    "a settings class that lets everything pass": (
        minimal(
            "bad",
            "from pydantic import BaseModel\nclass S(BaseModel): pass\n"
            "@hookimpl\ndef settings(): return S",
        ),
        "lets unknown keys pass",
    ),
    "extension points that are none": (
        minimal(
            "bad",
            "import types\nempty = types.ModuleType('empty')\n"
            "def price(value): ...\nempty.bad_price = price\n"
            "@hookimpl\ndef hookspecs(): return empty",
        ),
        "hookspecs() returned, empty, has nothing where extension points should be",
    ),
    "a hook of pluggy's own kind as an extension point": (
        minimal(
            "bad",
            "import types, pluggy\nplain = types.ModuleType('plain')\n"
            "@pluggy.HookspecMarker('tessera')\ndef bad_price(value): ...\n"
            "plain.bad_price = bad_price\n"
            "@hookimpl\ndef hookspecs(): return plain",
        ),
        "hookspecs() returned, plain, has bad_price where extension points should be",
    ),
    "a reason that no encoding can write": (
        minimal("bad", "@hookimpl\ndef tables(): raise OSError('no file \\udcff')"),
        "OSError: no file \\udcff",
    ),
    "a readiness check whose name is no text": (
        minimal(
            "bad",
            "async def well(): ...\n@hookimpl\ndef readiness(context): return {('a', 1): well}",
        ),
        "not a mapping {name: async callable}",
    ),
    "a settings class with a key of core's": (
        minimal(
            "bad",
            "from pydantic import BaseModel, ConfigDict\nclass S(BaseModel):\n"
            "    model_config = ConfigDict(extra='forbid')\n    enabled: bool = True\n"
            "@hookimpl\ndef settings(): return S",
        ),
        "S has a field 'enabled', which says of every module whether it lives",
    ),
    "a required module that is not there": (
        minimal("bad", manifest="requires=('nothere',)"),
        "requires 'nothere', which is not installed",
    ),
    "a route without permission": (
        minimal("bad", ROUTER + "\n@hookimpl\ndef routers(version): return [make()]"),
        "does not say who may call it",
    ),
    "a route with an unknown permission": (
        minimal(
            "bad",
            ROUTER
            + "\n@hookimpl\ndef routers(version): return [make(dependencies=[requires('a:b')])]",
        ),
        "requires the permission 'a:b', which no enabled module declares",
    ),
    "a route that is declared twice": (
        minimal(
            "bad",
            """
            def one():
                router = APIRouter(prefix="/bad", dependencies=[public])

                @router.get("/{thing}")
                async def read(thing: int) -> int:
                    return 1

                return router

            def two():
                router = APIRouter(prefix="/bad", dependencies=[public])

                @router.api_route("/{other}", methods=["GET", "PUT"])
                async def again(other: int) -> int:
                    return 2

                return router

            @hookimpl
            def routers(version): return [one(), two()]
            """,
        ),
        "two routes are GET /bad/{other}: ",
    ),
    "a permission that is declared twice": (
        minimal(
            "bad",
            "@hookimpl\ndef permissions():\n"
            "    return [Permission('bad:do', roles=('user',)), Permission('bad:do')]",
        ),
        "it declares the permission 'bad:do' twice",
    ),
    "a permission for a role that is misspelt": (
        minimal(
            "bad",
            "@hookimpl\ndef permissions(): return [Permission('bad:do', roles=('moderater',))]",
        ),
        "is for the role 'moderater', which nobody has; there are admin, moderator, user",
    ),
    "a prefix that belongs to another": (
        minimal(
            "bad",
            ROUTER
            + "\n@hookimpl\ndef routers(version): return [make('/good', dependencies=[public])]",
        ),
        "the prefix '/good' in v1 belongs to 'good' already",
    ),
    "a router without prefix": (
        minimal(
            "bad",
            ROUTER.replace('get("")', 'get("/bad")')
            + "\n@hookimpl\ndef routers(version): return [make('', dependencies=[public])]",
        ),
        "has no prefix",
    ),
    "a router with a lifespan": (
        minimal(
            "bad",
            ROUTER + "\nfrom contextlib import asynccontextmanager\n@asynccontextmanager\n"
            "async def life(app): yield\n@hookimpl\n"
            "def routers(version): return [make(dependencies=[public], lifespan=life)]",
        ),
        "has a lifespan, on_startup or on_shutdown, which FastAPI runs for an application only",
    ),
    "a router that includes one with on_startup": (
        minimal(
            "bad",
            ROUTER + "\n@hookimpl\ndef routers(version):\n"
            "    outer = make(dependencies=[public])\n"
            "    inner = APIRouter(prefix='/in', on_startup=[print], dependencies=[public])\n"
            "    inner.get('/x')(lambda: 1)\n    outer.include_router(inner)\n    return [outer]",
        ),
        "has a lifespan, on_startup or on_shutdown",
    ),
    "a service that nobody offers": (
        minimal(
            "bad",
            """
            class Missing: pass

            def make():
                router = APIRouter(prefix="/bad")

                @router.get("", dependencies=[public])
                async def read(it: Annotated[Missing, service(Missing)]) -> int:
                    return 1

                return router

            @hookimpl
            def routers(version): return [make()]
            """,
        ),
        "needs a service Missing, which no enabled module offers",
    ),
    "a lifespan that raises": (
        minimal(
            "bad",
            """
            from contextlib import asynccontextmanager

            @asynccontextmanager
            async def life():
                raise RuntimeError("no disk")
                yield

            @hookimpl
            def lifespan(context): return life()
            """,
        ),
        "it could not start: RuntimeError: no disk",
    ),
    "a service that cannot be made": (
        minimal(
            "bad",
            """
            class It: pass

            def factory(context): raise LookupError("no key")

            @hookimpl
            def services(): return {It: factory}
            """,
        ),
        "it could not start: LookupError: no key",
    ),
    "a lifespan that is cancelled from inside": (
        minimal(
            "bad",
            """
            import asyncio
            from contextlib import asynccontextmanager

            @asynccontextmanager
            async def life():
                raise asyncio.CancelledError
                yield

            @hookimpl
            def lifespan(context): return life()
            """,
        ),
        "it could not start: CancelledError",
    ),
    "a lifespan that is none": (
        minimal("bad", "@hookimpl\ndef lifespan(context): return 5"),
        "hook lifespan() returned int, not an async context manager",
    ),
    "a readiness check that is a plain function": (
        minimal(
            "bad",
            "def well(): return False\n@hookimpl\ndef readiness(context): return {'x': well}",
        ),
        "its readiness check x is a plain function",
    ),
    "readiness that is no mapping": (
        minimal("bad", "@hookimpl\ndef readiness(context): return [print]"),
        "hook readiness() returned list, not a mapping",
    ),
    "an authenticator that cannot be called": (
        minimal("bad", "@hookimpl\ndef authenticators(context): return [5]"),
        "hook authenticators() returned tuple, not a list of callables",
    ),
    "a route that no schema can be made of": (
        minimal(
            "bad",
            """
            from pydantic import BaseModel, ConfigDict

            class Odd: pass

            class Body(BaseModel):
                model_config = ConfigDict(arbitrary_types_allowed=True)
                odd: Odd
            """,
        )
        + with_body("bad"),
        "no schema can be made of its routes in v1",
    ),
    "a migration that fails": (
        minimal("bad", "@hookimpl\ndef migrations(): return 'planted_bad:nowhere'"),
        "planted_bad",
    ),
    "a table with a relationship to nowhere": (
        minimal(
            "bad",
            """
            from sqlmodel import Field, Relationship

            class Thing(table_base("bad"), table=True):
                __tablename__ = "bad_things"
                id: int | None = Field(default=None, primary_key=True)
                other: "Nowhere" = Relationship()

            @hookimpl
            def tables(): return [Thing]
            """,
        ),
        "its table Thing cannot be mapped: ",
    ),
    "a table of another module's name": (
        minimal(
            "bad",
            """
            class Thing(table_base("bad"), table=True):
                __tablename__ = "good_things"
                id: int | None = BigId()

            @hookimpl
            def tables(): return [Thing]
            """,
        ),
        "its table 'good_things' does not start with 'bad_'",
    ),
    "a request-scoped yield dependency on a session": (
        minimal(
            "bad",
            """
            async def unit(session: WriteSession):
                yield session

            def make():
                router = APIRouter(prefix="/bad")

                @router.get("", dependencies=[public])
                async def read(it: Annotated[object, Depends(unit)]) -> int:
                    return 1

                return router

            @hookimpl
            def routers(version): return [make()]
            """,
        ),
        'give it scope="function"',
    ),
}
