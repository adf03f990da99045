"""T503: coroutines of what a session, the context or a dependency gives."""

from __future__ import annotations

import re

from tests.support.checks.plots import bodies

GIVEN = [
    *(
        bodies(
            "T503",
            f"a session, opened or given: {call}",
            bad=f"""
            from sqlalchemy import delete

            async def purge(context: Context, mine: WriteSession, thing):
                async with context.read() as seen, context.write() as session:
                    await session.flush()
                    {call}  #<
            """,
            good=f"""
            from functools import wraps
            from sqlalchemy import delete
            from typing_extensions import deprecated

            async def later():
                return 1

            @wraps(later)
            def now():
                return later().close()

            @deprecated("say now()")
            def before():
                return now()

            async def purge(context: Context, mine: WriteSession, thing):
                async with context.read() as seen, context.write() as session:
                    session.add(thing)
                    mine.expunge(thing)
                    await {call}
                    now()
                    before()
            """,
        )
        for call in (
            "mine.execute(delete(thing))",
            "session.execute(delete(thing))",
            "session.exec(delete(thing))",
            "seen.get(int, thing)",
        )
    ),
    *(
        bodies(
            "T503",
            f"what the context gives: {call}",
            bad=f"""
            from typing import Protocol

            class Things(Protocol):
                async def drop(self) -> None: ...

            async def remove(context: Context, made):
                {call}  #<
            """,
            good=f"""
            from typing import Any, Protocol

            class Things(Protocol):
                def drop(self) -> None: ...

                async def clear(self) -> None: ...

            class Own:
                async def call(self, given) -> None: ...
                async def invalidate(self, tag) -> None: ...

            class Drops:
                def drop(self) -> None: ...

            async def remove(context: Context, made: Any):
                {re.sub("context.(redis|cache)", "await Own()", call)}
                await context.service(Things).clear()
                things: Drops | Things = context.service(made)
                things.drop()
                other: Any = Drops()
                other.drop()
            """,
        )
        for call in (
            "context.service(Things).drop()",
            "things = context.service(Things); things.drop()",
            "things: Things = context.service(made); things.drop()",
            "things: Things = getattr(made, 'it'); things.drop()",
            "(context.find(Things)).drop()",
            "context.redis.call(made)",
            "context.cache.invalidate(made)",
        )
    ),
    *(
        bodies(
            "T503",
            f"what a dependency gives: {given}",
            bad=f"""
            from collections.abc import AsyncIterator, Iterator
            from fastapi import Depends

            class Things:
                async def drop(self): ...

            def make() -> Things:
                return Things()

            def made():
                return Things()

            async def fetch() -> Things | None:
                return Things()

            async def opened() -> AsyncIterator[Things]:
                yield Things()

            async def remove(name: str, things={given}, *, last=1):
                things.drop()  #<
            """,
            good=f"""
            from collections.abc import AsyncIterator, Iterator
            from fastapi import Depends

            class Things:
                async def drop(self): ...

            class Others:
                def drop(self): ...

            def make() -> Others:
                return Others()

            def made():
                return Things() if make() else Others()

            async def fetch() -> Others:
                return Others()

            async def opened() -> AsyncIterator[Others]:
                yield Others()

            async def remove(things={given.replace("(Things)", "(Others)")}, name=Depends(Things)):
                things.drop()
                await name.drop()

            async def typed(things: Others = Depends(Things)):
                things.drop()
            """,
        )
        for given in (
            "Depends(make)",
            "Depends(made)",
            "Depends(Things)",
            "Depends(fetch)",
            "Depends(opened)",
        )
    ),
]
