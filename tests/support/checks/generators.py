"""T502: generators, which hold the event loop where they are iterated, and not where made."""

from __future__ import annotations

from tests.support.checks.plots import bodies

GENERATING = """
            import asyncio
            import itertools
            import time
            from contextlib import AsyncExitStack, ExitStack, contextmanager
            from fastapi.concurrency import contextmanager_in_threadpool, iterate_in_threadpool
            from fastapi.responses import StreamingResponse

            def rows(*given):
                time.sleep(1)
                yield "x"

            def passed_on():
                return rows()

            def outer():
                yield from rows()

            class Rows:
                def __iter__(self):
                    time.sleep(1)
                    yield "x"

                def each(self):
                    time.sleep(1)
                    yield "x"

            @contextmanager
            def lock():
                time.sleep(1)
                yield "x"
"""

GENERATORS = [
    *(
        bodies(
            "T502",
            f"a generator that runs: {run}",
            bad=f"""{GENERATING}
            async def read(things, stack: ExitStack):
                made = rows()
                {run}  #<
            """,
            good=f"""{GENERATING}
            def sync(things, stack: ExitStack):
                made = rows()
                {run}

            async def streamed(things):
                return StreamingResponse(rows(things))

            async def read(things):
                async for row in iterate_in_threadpool(rows()):
                    things.append(row)
                made = rows()
                await asyncio.to_thread(next, made)
                await asyncio.to_thread(list, Rows())
                await asyncio.to_thread(list, enumerate(passed_on()))
                await asyncio.to_thread(sync, things, ExitStack())
                async with contextmanager_in_threadpool(lock()):
                    return made, outer(), Rows().each(), itertools.chain(rows()), lock()
            """,
        )
        for run in (
            "for row in rows(): things.append(row)",
            "for row in made: things.append(row)",
            "for row in Rows(): things.append(row)",
            "for at, row in enumerate(Rows().each()): things.append(row)",
            "return list(rows())",
            "return list(outer())",
            "return list(passed_on())",
            "return sum(len(row) for row in rows())",
            "return [row for row in itertools.chain(rows(), things)]",
            "return {row: 1 for row in rows()}",
            "return next(made)",
            "return made.send(None)",
            "one, two = rows()",
            "return [*rows()]",
            'return ",".join(rows())',
            'return "x" in rows()',
            "with lock() as held: return list(held)",
            "stack.enter_context(lock())",
        )
    ),
    bodies(
        "T601",
        "a generator that a route in a thread iterates",
        bad="""
        import time

        def rows():
            time.sleep(1)
            yield 1

        def read(session: SyncWriteSession, thing):
            session.get(thing, 1)
            return list(rows())  #<
        """,
        good="""
        import time

        def rows():
            time.sleep(1)
            yield 1

        def read(session: SyncWriteSession, thing):
            session.get(thing, 1)
            return rows()
        """,
    ),
]
