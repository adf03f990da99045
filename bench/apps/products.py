"""A product by its id, written by hand in three ways: the entity, its columns, and tuned."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy import bindparam
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import BigInteger, Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

# As many connections as Tessera has; those beyond it (the default would be ten) are made and closed
# again for each request that wants one, which would make this contender slower.
engine = create_async_engine(os.environ["BENCH_DATABASE_URL"], pool_size=10, max_overflow=0)
reading = engine.execution_options(isolation_level="AUTOCOMMIT")


class Product(SQLModel, table=True):
    """Of the table only what the answer needs."""

    __tablename__ = "catalog_products"

    id: int | None = Field(default=None, sa_type=BigInteger, primary_key=True)
    sku: str
    name: str
    category: str | None
    price_minor: int = Field(sa_type=BigInteger)
    currency: str
    stock: int = Field(sa_type=BigInteger)
    is_active: bool


class ProductOut(SQLModel):
    """The answer."""

    id: int
    sku: str
    name: str
    category: str | None
    price_minor: int
    currency: str
    stock: int
    is_active: bool


COLUMNS = tuple(getattr(Product, name) for name in ProductOut.model_fields)
KEPT = select(*COLUMNS).where(Product.id == bindparam("product_id"))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    await engine.dispose()


async def open_session() -> AsyncIterator[AsyncSession]:
    async with AsyncSession(engine, expire_on_commit=False) as session:
        yield session


Session = Annotated[AsyncSession, Depends(open_session)]
app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/entity/products/{product_id}", response_model=ProductOut)
async def entity(product_id: int, session: Session) -> Product:
    product = await session.get(Product, product_id)
    if product is None:
        raise HTTPException(404)
    return product


@app.get("/columns/products/{product_id}")
async def columns(product_id: int, session: Session) -> ProductOut:
    row = (await session.exec(select(*COLUMNS).where(Product.id == product_id))).first()
    if row is None:
        raise HTTPException(404)
    return ProductOut.model_validate(row._mapping)


@app.get("/tuned/products/{product_id}")
async def tuned(product_id: int) -> ProductOut:
    """No session, no transaction, and a statement that is put together once."""
    async with reading.connect() as connection:
        row = (await connection.execute(KEPT, {"product_id": product_id})).first()
    if row is None:
        raise HTTPException(404)
    return ProductOut.model_validate(row._mapping)
