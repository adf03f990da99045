"""T503 and T504: coroutines that nobody awaits."""

from __future__ import annotations

from tests.support.checks.plots import bodies

AWAITS = [
    bodies(
        "T503",
        "a function of the package",
        bad="""
        async def save():
            return 1

        async def read():
            save()  #<
        """,
        good="""
        import asyncio

        async def save():
            return 1

        async def read():
            await save()
            task = asyncio.create_task(save())
            await asyncio.gather(task, save())
            return save()
        """,
    ),
    bodies(
        "T503",
        "a method of the session",
        bad="""
        async def remove(session: WritableSession, thing):
            session.add(thing)
            session.delete(thing)  #<
        """,
        good="""
        async def remove(session: WritableSession, thing):
            session.add(thing)
            await session.delete(thing)
        """,
    ),
    bodies(
        "T503",
        "a service behind an annotation",
        bad="""
        from typing import Protocol

        class Things(Protocol):
            async def drop(self) -> None: ...

        Service = Annotated[Things, service(Things)]

        async def remove(things: Service):
            things.drop()  #<
        """,
        good="""
        from typing import Protocol

        class Things(Protocol):
            def drop(self) -> None: ...

        Service = Annotated[Things, service(Things)]

        async def remove(things: Service):
            things.drop()
        """,
    ),
    bodies(
        "T504",
        "an if",
        bad="""
        async def allowed():
            return False

        async def read():
            if not allowed():  #<
                return 1
        """,
        good="""
        async def allowed():
            return False

        async def read():
            if not await allowed():
                return 1
        """,
    ),
    bodies(
        "T503",
        "a name that nobody uses",
        bad="""
        async def save():
            return 1

        async def read():
            saved = save()  #<
            return 1
        """,
        good="""
        async def save():
            return 1

        async def read():
            saved = save()
            return await saved

        async def read_inside():
            saved = save()

            async def inner():
                return await saved

            return await inner()

        class Keeper:
            async def keep(self):
                global saved
                saved = save()
                self.saved = save()
        """,
    ),
    bodies(
        "T503",
        "one of two values, one of two ways",
        bad="""
        async def save():
            return 1

        async def read(fresh):
            first, second = await save(), [save() if fresh else None]  #<
            return first
        """,
        good="""
        async def save():
            return 1

        async def read(fresh):
            first, second = await save(), [save() if fresh else None]
            return first, second
        """,
    ),
    bodies(
        "T503",
        "in text",
        bad="""
        async def save():
            return 1

        async def read():
            return f"{save()} saved"  #<
        """,
        good="""
        async def save():
            return 1

        async def read():
            return f"{await save()} {save.__name__} saved"
        """,
    ),
    bodies(
        "T504",
        "every one of many",
        bad="""
        async def save():
            return 1

        async def read(things):
            return all(save() for thing in things)  #<
        """,
        good="""
        async def save():
            return 1

        async def read(things):
            return all([await save() for thing in things])
        """,
    ),
]
