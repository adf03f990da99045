"""T503 and T504: coroutines handed over where a function is wanted, or passed on by a function."""

from __future__ import annotations

from tests.support.checks.plots import bodies

SAVES = """
        import asyncio
        import functools
        from fastapi import BackgroundTasks, Response
        from starlette.background import BackgroundTask

        async def save(number=1):
            return number
"""
HANDED = [
    *(
        bodies(
            "T503",
            f"handed over where a function is wanted: {slip}",
            bad=f"""{SAVES}
        class Worker:
            tasks: BackgroundTasks

            async def work(self):
                self.tasks.add_task(save)

        async def read(tasks: BackgroundTasks, worker: Worker):
            {slip}  #<
            """,
            good=f"""{SAVES}
        class Jobs:
            def add_task(self, work):
                return asyncio.create_task(work)

        def make():
            return functools.partial(save, 2)

        def run(loop):
            loop.run_until_complete(save())
            asyncio.run(save())

        async def read(tasks: BackgroundTasks, jobs: Jobs, group, nursery):
            tasks.add_task(save)
            tasks.add_task(save, 2)
            tasks.add_task(func=save)
            tasks.add_task(make())
            tasks.add_task(functools.partial(save, 2))
            tasks.add_task(jobs.add_task, save())
            jobs.add_task(save())
            kept = asyncio.create_task(save())
            async with asyncio.TaskGroup() as tasks_of_this:
                tasks_of_this.create_task(save())
            group.create_task(save())
            nursery.start_soon(save)
            return Response(background=BackgroundTask(save, 2)), kept
            """,
        )
        for slip in (
            "tasks.add_task(save())",
            "tasks.add_task(save(2), 3)",
            "tasks.add_task(func=save())",
            "worker.tasks.add_task(save())",
            "return Response(background=BackgroundTask(save()))",
        )
    ),
    *(
        bodies(
            "T503",
            f"a plain function where a coroutine function is wanted: {slip}",
            bad=f"""{SAVES}
        class Service:
            def keep(self):
                return self.save()

            async def save(self):
                return 1

        def lazy():
            return save(2)

        async def read(tasks: BackgroundTasks, svc: Service, things):
            {slip}  #<
            """,
            good=f"""{SAVES}
        class Service:
            def keep(self):
                return asyncio.run(self.save())

            async def save(self):
                return 1

        class Jobs:
            def add_task(self, work):
                return asyncio.create_task(work())

        def lazy():
            return save(2)

        def eager():
            return asyncio.run(save(2))

        async def later():
            return await lazy()

        async def read(tasks: BackgroundTasks, jobs: Jobs, svc: Service, things):
            tasks.add_task(lambda: asyncio.run(save()))
            tasks.add_task(lambda save: save(), print)
            tasks.add_task(lambda: things.append(1))
            tasks.add_task(lambda: save)
            tasks.add_task(eager)
            tasks.add_task(later)
            tasks.add_task(svc.save)
            tasks.add_task(svc.keep)
            jobs.add_task(lambda: save())
            jobs.add_task(lazy)
            """,
        )
        for slip in (
            "tasks.add_task(lambda: save())",
            "tasks.add_task(lambda number: save(number), 2)",
            "tasks.add_task(func=lambda: svc.save())",
            "for it in things: tasks.add_task(lambda it=it: save(it))",
            "return Response(background=BackgroundTask(lambda: lazy()))",
            "tasks.add_task(lazy)",
            "tasks.add_task(svc.keep)",
        )
    ),
    *(
        bodies(
            code,
            f"passed on by a plain function: {slip}",
            bad=f"""{SAVES}
        class Service:
            def keep(self):
                return self.save()

            async def save(self):
                return 1

        def lazy(number=1):
            if number > 2:
                return save(2)
            return save(number)

        def lazier():
            return lazy()

        async def read(tasks: BackgroundTasks, svc: Service):
            {slip}  #<
            """,
            good=f"""{SAVES}
        class Service:
            def keep(self):
                return asyncio.create_task(self.save())

            async def save(self):
                return 1

        def lazy(number=1):
            if number > 2:
                return None
            return save(number)

        def lazier():
            if lazy is not None:
                return save()

        def passed_on():
            return save()

        def round_about():
            return about_round()

        def about_round():
            return round_about()

        def partly():
            return functools.partial(save, 2)

        def each(number):
            yield number
            return save()

        async def awaited():
            await passed_on()
            kept = asyncio.create_task(passed_on())
            each(1)
            round_about()
            partly()
            return await kept, passed_on()

        def run():
            asyncio.run(passed_on())

        async def read(tasks: BackgroundTasks, svc: Service):
            {slip}
            """,
        )
        for code, slip in (
            ("T503", "lazy()"),
            ("T503", "lazier()"),
            ("T503", "svc.keep()"),
            ("T503", "tasks.add_task(lazy())"),
            ("T503", "nobody = lazier()"),
            ("T504", "return not lazy()"),
        )
    ),
]
