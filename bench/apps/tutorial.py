"""As many tutorials have it: plain functions, sync sessions, a middleware made of a function."""

import os
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from sqlmodel import BigInteger, Field, Session, SQLModel, create_engine

URL = os.environ["BENCH_DATABASE_URL"].replace("+asyncpg", "+psycopg")
# A connection for each of the 40 threads. With the ten that the other contenders have, 64 callers
# bring it to a halt: all threads wait for a connection, and those who hold one wait for a thread.
engine = create_engine(URL, pool_size=40, max_overflow=0)


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


def open_session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


app = FastAPI()


@app.middleware("http")
async def add_process_time(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    began = time.perf_counter()
    response = await call_next(request)
    response.headers["X-Process-Time"] = str(time.perf_counter() - began)
    return response


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/v1/hello")
def read() -> dict[str, str]:
    return {"module": "hello"}


@app.get("/v1/products/{product_id}")
def product(product_id: int, session: Annotated[Session, Depends(open_session)]) -> Product:
    found = session.get(Product, product_id)
    if found is None:
        raise HTTPException(404)
    return found
