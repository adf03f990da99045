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
        "T503",
        "a name that gets another value",
        bad="""
        async def save():
            return 1

        async def read(log):
            saved = save()  #<
            log("saved")
            saved = 2
            return saved
        """,
        good="""
        async def save(other=None):
            return 1

        async def read(log, fresh):
            saved = save()
            log(await saved)
            saved = save()
            saved = save(saved)
            if fresh:
                await saved
            saved = 2
            return saved

        async def read_inside(log):
            def inner():
                return saved

            saved = save()
            log(inner)
            saved = save()
            return await saved

        async def either(fresh):
            saved = save()
            if fresh:
                return await saved
            saved.close()
            saved = 2
            return saved
        """,
    ),
    bodies(
        "T503",
        "in a line of the log",
        bad="""
        import logging

        log = logging.getLogger(__name__)

        async def save():
            return 1

        async def read():
            log.info("saved %s", save())  #<
        """,
        good="""
        import logging

        log = logging.getLogger(__name__)

        class Jobs:
            def info(self, *given):
                return given

        async def save():
            return 1

        async def read(jobs: Jobs):
            log.info("saved %s with %s", await save(), save)
            return jobs.info(save())
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
    *(
        bodies(
            "T503",
            f"a name that is only asked: {asked}",
            bad=f"""
            class Service:
                async def allowed(self):
                    return False

            async def read(svc: Service, other):
                ok = svc.allowed()  #<
                {asked}
            """,
            good=f"""
            class Service:
                async def allowed(self):
                    return False

            async def read(svc: Service, other):
                ok = await svc.allowed()
                {asked}
            """,
        )
        for asked in (
            "if not ok: raise NotFound",
            "if other or ok: return 1",
            "return 1 if ok else 0",
            "return ok is None",
            "return bool(ok)",
            "return ok and other",
            "return [it for it in other if ok]",
        )
    ),
    bodies(
        "T503",
        "of two ways to a name, one of which is a coroutine",
        bad="""
        async def allowed():
            return False

        async def read(trusted):
            ok = trusted
            if not ok:
                ok = allowed()  #<
            if not ok:
                raise NotFound
        """,
        good="""
        async def allowed():
            return False

        async def awaited(trusted):
            task = None
            if not trusted:
                task = allowed()
            if task is not None and await task:
                return 1

        async def given_back(other):
            ok = allowed()
            if ok:
                return ok or other

        async def passed_on(tasks):
            task = allowed()
            if task:
                tasks.append(task)

        async def kept(box):
            task = allowed()
            if task:
                box.task = task

        async def either(other):
            task = allowed()
            return await (task or other)
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
        "a guard of a case",
        bad="""
        async def allowed():
            return False

        async def read(kind):
            match kind:
                case 1 if allowed():  #<
                    return 1
        """,
        good="""
        async def allowed():
            return False

        async def read(kind):
            may = await allowed()
            match kind:
                case 1 if may:
                    return 1
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
