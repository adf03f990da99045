"""FastAPI and SQLModel as the tutorials have it: BENCH_ROUTES routes, tables made at the start."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query
from pydantic import create_model
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

engine = create_async_engine(os.environ["BENCH_DATABASE_URL"], pool_size=10)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    yield
    await engine.dispose()


async def open_session() -> AsyncIterator[AsyncSession]:
    async with AsyncSession(engine, expire_on_commit=False) as session:
        yield session


Session = Annotated[AsyncSession, Depends(open_session)]
app = FastAPI(lifespan=lifespan)


class ItemBase(SQLModel):
    """What each kind of row has."""

    sku: str = Field(max_length=64, index=True)
    name: str = Field(max_length=200)
    category: str | None = Field(default=None, max_length=100)
    price_minor: int = 0
    currency: str = Field(default="USD", max_length=3)
    stock: int = 0
    is_active: bool = True


class PatchBase(SQLModel):
    """What can be changed of it."""

    name: str | None = None
    category: str | None = None
    price_minor: int | None = None
    stock: int | None = None


def resource(number: int) -> APIRouter:
    """A table of its own, its schemas, and five routes."""
    row: Any = create_model(
        f"Item{number}",
        __base__=ItemBase,
        __cls_kwargs__={"table": True},
        id=(int | None, Field(default=None, primary_key=True)),
        created_at=(datetime, Field(default_factory=lambda: datetime.now(UTC))),
    )
    by_id = SQLModel.metadata.tables[f"item{number}"].c.id
    out: Any = create_model(f"Out{number}", __base__=ItemBase, id=(int, ...))
    create: Any = create_model(f"Create{number}", __base__=ItemBase)
    patch: Any = create_model(f"Patch{number}", __base__=PatchBase)
    router = APIRouter(prefix=f"/items{number}", tags=[f"items{number}"])

    @router.get("", response_model=list[out])
    async def find(
        session: Session, skip: int = 0, limit: Annotated[int, Query(le=100)] = 20
    ) -> Any:
        return (await session.exec(select(row).order_by(by_id).offset(skip).limit(limit))).all()

    @router.get("/{item_id}", response_model=out)
    async def read(item_id: int, session: Session) -> Any:
        found = await session.get(row, item_id)
        if found is None:
            raise HTTPException(404)
        return found

    @router.post("", status_code=201, response_model=out)
    async def add(body: create, session: Session) -> Any:
        new = row.model_validate(body)
        session.add(new)
        await session.commit()
        return new

    @router.patch("/{item_id}", response_model=out)
    async def change(item_id: int, body: patch, session: Session) -> Any:
        found = await session.get(row, item_id)
        if found is None:
            raise HTTPException(404)
        found.sqlmodel_update(body.model_dump(exclude_unset=True))
        session.add(found)
        await session.commit()
        return found

    @router.delete("/{item_id}", status_code=204)
    async def remove(item_id: int, session: Session) -> None:
        found = await session.get(row, item_id)
        if found is None:
            raise HTTPException(404)
        await session.delete(found)
        await session.commit()

    return router


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


for number in range(round(int(os.environ["BENCH_ROUTES"]) / 5)):
    app.include_router(resource(number), prefix="/v1")
