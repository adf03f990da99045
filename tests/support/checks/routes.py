"""T1: routes and dependencies."""

from __future__ import annotations

from tests.support.checks.plots import Case, Plot, bodies, routed, routes

ROUTES = [
    routes(
        "T101",
        "one path and method twice",
        bad="""
        @router.get("/{thing}")
        async def read(thing: int) -> int:
            return 1

        @router.get("/{other}")  #<
        async def read_again(other: int) -> int:
            return 2
        """,
        good="""
        @router.get("/{thing}")
        async def read(thing: int) -> int:
            return 1

        @router.delete("/{thing}")
        async def remove(thing: int) -> int:
            return 2
        """,
    ),
    routes(
        "T102",
        "a parameter before a fixed path",
        bad="""
        @router.get("/{thing}")
        async def read(thing: str) -> int:
            return 1

        @router.get("/latest")  #<
        async def latest() -> int:
            return 2
        """,
        good="""
        @router.get("/latest")
        async def latest() -> int:
            return 2

        @router.get("/{thing}")
        async def read(thing: str) -> int:
            return 1

        @router.get("/{thing}/parts")
        async def parts(thing: str) -> int:
            return 1
        """,
    ),
    routes(
        "T102",
        "a parameter that takes text before one that takes numbers",
        bad="""
        @router.get("/{name}")
        async def by_name(name: str) -> int:
            return 1

        @router.get("/{number:int}")  #<
        async def by_number(number: int) -> int:
            return 2
        """,
        good="""
        @router.get("/{number:int}")
        async def by_number(number: int) -> int:
            return 2

        @router.get("/{name}")
        async def by_name(name: str) -> int:
            return 1
        """,
    ),
    routes(
        "T103",
        "PATCH that asks for all",
        head="""
        from typing import Literal
        from pydantic import Field

        class All(Schema):
            name: str
            note: str | None

        class Some(Schema):
            kind: Literal["thing"]
            name: str = ""
            note: Annotated[str | None, Field()] = None
        """,
        bad="""
        @router.patch("")  #<
        async def change(body: All) -> int:
            return 1
        """,
        good="""
        @router.put("")
        async def replace(body: All) -> int:
            return 1

        @router.patch("")
        async def change(body: Some) -> int:
            return 1
        """,
    ),
    routes(
        "T103",
        "PATCH that means its one field",
        head="""
        from pydantic import Field

        class State(Schema):
            state: str

        class Meant(Schema):
            state: Annotated[str, Field(json_schema_extra={"x-required": "meant"})]
        """,
        bad="""
        @router.patch("")  #<
        async def change(body: State) -> int:
            return 1
        """,
        good="""
        @router.patch("")
        async def change(body: Meant) -> int:
            return 1
        """,
    ),
    routes(
        "T103",
        "PATCH with a dataclass, in a dependency",
        head="""
        from dataclasses import dataclass

        @dataclass
        class All:
            name: str

        @dataclass
        class Some:
            name: str | None = None

        def all_of(body: All) -> str:
            return body.name

        def some_of(body: Some) -> str | None:
            return body.name
        """,
        bad="""
        @router.patch("")  #<
        async def change(name: Annotated[str, Depends(all_of)]) -> int:
            return 1
        """,
        good="""
        @router.patch("")
        async def change(name: Annotated[str | None, Depends(some_of)]) -> int:
            return 1
        """,
    ),
    routes(
        "T103",
        "PATCH with words of a body",
        head="from fastapi import Body\n",
        bad="""
        @router.patch("")  #<
        async def change(name: Annotated[str, Body()], note: Annotated[str, Body()]) -> int:
            return 1
        """,
        good="""
        @router.patch("")
        async def change(changes: dict[str, int]) -> int:
            return 1

        @router.patch("/word")
        async def change_word(name: Annotated[str, Body()] = "") -> int:
            return 1
        """,
    ),
    Case(
        "T104",
        "a shared list with a name",
        Plot(
            routed(
                """
                @router.get("")
                async def read(found: Annotated[list, Depends(filters)]) -> int:
                    return 1
                """,
                """
                from fastapi import Query

                NONE: list[str] = []

                def filters(tags: Annotated[list[str], Query()] = NONE) -> list[str]:  #<
                    return tags
                """,
            )
        ),
        Plot(
            routed(
                """
                @router.get("")
                async def read(found: Annotated[tuple, Depends(filters)]) -> int:
                    return 1
                """,
                """
                from fastapi import Query

                def filters(tags: Annotated[tuple[str, ...], Query()] = ()) -> tuple:
                    return tags
                """,
            )
        ),
    ),
    bodies(
        "T104",
        "a list that is written in the signature, which ruff sees",
        bad="""
        def gather(thing, into=[]):  #<
            into.append(thing)
            return into
        """,
        good="""
        def gather(thing, into=()):
            return (*into, thing)
        """,
    ),
    routes(
        "T105",
        "a class that is a dependency",
        head="""
        from typing import ClassVar

        class Seen:  #<
            names: list[str] = []

        class Kept:
            names: ClassVar[list[str]] = []

            def __init__(self, name: str = "") -> None:
                self.mine = [name]
        """,
        bad="""
        @router.get("")
        async def read(seen: Annotated[Seen, Depends()]) -> int:
            return 1
        """,
        good="""
        @router.get("")
        async def read(kept: Annotated[Kept, Depends()]) -> int:
            return 1
        """,
    ),
]
