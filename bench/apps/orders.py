"""An order of one line, written by hand: token, user, price, stock, order, line, one transaction.

Once with statements, as whoever looks for speed would write it, and once with entities.
"""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import BigInteger, ForeignKey, SQLModel, insert, select, update
from sqlmodel import Field as Column
from sqlmodel.ext.asyncio.session import AsyncSession

engine = create_async_engine(os.environ["BENCH_DATABASE_URL"], pool_size=10, max_overflow=0)
KEY = OctKey.import_key(os.urandom(32))
CLAIMS = jwt.JWTClaimsRegistry(
    iss={"essential": True, "value": "bench"},
    aud={"essential": True, "value": "bench"},
    exp={"essential": True},
    sub={"essential": True},
)


class User(SQLModel, table=True):
    __tablename__ = "users_users"
    id: int | None = Column(default=None, sa_type=BigInteger, primary_key=True)
    email: str
    role: str
    is_active: bool
    epoch: int


class Product(SQLModel, table=True):
    __tablename__ = "catalog_products"
    id: int | None = Column(default=None, sa_type=BigInteger, primary_key=True)
    price_minor: int = Column(sa_type=BigInteger)
    currency: str
    stock: int = Column(sa_type=BigInteger)
    is_active: bool
    updated_at: datetime


class Order(SQLModel, table=True):
    __tablename__ = "orders_orders"
    id: int | None = Column(default=None, sa_type=BigInteger, primary_key=True)
    user_id: int = Column(sa_type=BigInteger)
    status: str
    currency: str
    total_minor: int = Column(sa_type=BigInteger)
    placed_at: datetime
    external_ref: str | None = None
    created_at: datetime
    version: int = 1


class Line(SQLModel, table=True):
    __tablename__ = "orders_lines"
    order_id: int = Column(
        sa_type=BigInteger, primary_key=True, sa_column_args=(ForeignKey("orders_orders.id"),)
    )
    position: int = Column(primary_key=True)
    product_id: int = Column(sa_type=BigInteger)
    quantity: int
    unit_price_minor: int = Column(sa_type=BigInteger)
    discount_bp: int = 0
    total_minor: int = Column(sa_type=BigInteger)


class LineIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    product_id: int = Field(ge=1, lt=2**63)
    quantity: int = Field(ge=1, le=10_000)


class OrderIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    lines: list[LineIn] = Field(min_length=1, max_length=100)


class LineOut(BaseModel):
    product_id: int
    quantity: int
    unit_price_cents: int
    discount: float
    total_cents: int


class OrderOut(BaseModel):
    id: int
    user_id: int
    status: str
    currency: str
    total_cents: int
    placed_at: datetime
    external_ref: str | None
    lines: list[LineOut]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    await engine.dispose()


async def open_session() -> AsyncIterator[AsyncSession]:
    async with AsyncSession(engine, expire_on_commit=False) as session:
        yield session


Session = Annotated[AsyncSession, Depends(open_session)]
Bearer = Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]


def subject(bearer: HTTPAuthorizationCredentials) -> tuple[int, int]:
    """User id and epoch of a valid token."""
    try:
        token = jwt.decode(bearer.credentials, KEY, ["HS256"])
        CLAIMS.validate(token.claims)
        return int(token.claims["sub"]), int(token.claims["epoch"])
    except (JoseError, ValueError) as error:
        raise HTTPException(401) from error


async def buyer(bearer: Bearer, session: Session) -> int:
    """The id of a user who may order, by statement."""
    user_id, epoch = subject(bearer)
    wanted = select(User.role, User.is_active, User.epoch).where(User.id == user_id)
    found = (await session.exec(wanted)).first()
    if found is None or found[1:] != (True, epoch):
        raise HTTPException(401)
    return user_id


async def buying_user(bearer: Bearer, session: Session) -> int:
    """The same user as an entity."""
    user_id, epoch = subject(bearer)
    user = await session.get(User, user_id)
    if user is None or not user.is_active or user.epoch != epoch:
        raise HTTPException(401)
    return user_id


app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/token/{user_id}")
async def token(user_id: int) -> str:
    """A token for the bench."""
    return issue(user_id)


def issue(user_id: int) -> str:
    """A token for an hour."""
    claims = {
        "iss": "bench",
        "aud": "bench",
        "sub": str(user_id),
        "epoch": 0,
        "exp": int(time.time()) + 3600,
    }
    return jwt.encode({"alg": "HS256"}, claims, KEY, ["HS256"])


products, orders, lines = (
    SQLModel.metadata.tables[name] for name in ("catalog_products", "orders_orders", "orders_lines")
)


@app.post("/statements/orders", status_code=201)
async def by_statements(
    body: OrderIn, user_id: Annotated[int, Depends(buyer)], session: Session
) -> OrderOut:
    now, sold = datetime.now(UTC), []
    for wanted in sorted(body.lines, key=lambda line: line.product_id):
        taken = await session.exec(
            update(products)
            .where(
                products.c.id == wanted.product_id,
                products.c.stock >= wanted.quantity,
                products.c.is_active,
            )
            .values(stock=products.c.stock - wanted.quantity, updated_at=now)
            .returning(products.c.price_minor, products.c.currency)
        )
        row = taken.first()
        if row is None:
            raise HTTPException(409)
        sold.append((wanted, row.price_minor, row.currency))
    total = sum(price * wanted.quantity for wanted, price, _ in sold)
    head = {
        "user_id": user_id,
        "status": "created",
        "currency": sold[0][2],
        "total_minor": total,
        "placed_at": now,
        "external_ref": None,
    }
    added = insert(orders).values(**head, created_at=now, version=1).returning(orders.c.id)
    order_id = (await session.exec(added)).scalar_one()
    rows = [
        {
            "order_id": order_id,
            "position": position,
            "product_id": wanted.product_id,
            "quantity": wanted.quantity,
            "unit_price_minor": price,
            "discount_bp": 0,
            "total_minor": price * wanted.quantity,
        }
        for position, (wanted, price, _) in enumerate(sold, start=1)
    ]
    await session.exec(insert(lines), params=rows)
    await session.commit()
    return answer({**head, "id": order_id}, rows)


@app.post("/entities/orders", status_code=201)
async def by_entities(
    body: OrderIn, user_id: Annotated[int, Depends(buying_user)], session: Session
) -> OrderOut:
    now, sold = datetime.now(UTC), []
    for wanted in sorted(body.lines, key=lambda line: line.product_id):
        product = await session.get(Product, wanted.product_id, with_for_update=True)
        if product is None or not product.is_active or product.stock < wanted.quantity:
            raise HTTPException(409)
        product.stock -= wanted.quantity
        product.updated_at = now
        sold.append((wanted, product))
    order = Order(
        user_id=user_id,
        status="created",
        currency=sold[0][1].currency,
        total_minor=sum(product.price_minor * wanted.quantity for wanted, product in sold),
        placed_at=now,
        created_at=now,
    )
    session.add(order)
    await session.flush()
    assert order.id is not None
    rows = [
        Line(
            order_id=order.id,
            position=position,
            product_id=wanted.product_id,
            quantity=wanted.quantity,
            unit_price_minor=product.price_minor,
            total_minor=product.price_minor * wanted.quantity,
        )
        for position, (wanted, product) in enumerate(sold, start=1)
    ]
    session.add_all(rows)
    await session.commit()
    return answer(order.model_dump(), [row.model_dump() for row in rows])


def answer(order: dict[str, Any], rows: list[dict[str, Any]]) -> OrderOut:
    """The order as it is shown."""
    return OrderOut(
        **{name: order[name] for name in ("id", "user_id", "status", "currency", "placed_at")},
        total_cents=order["total_minor"],
        external_ref=order["external_ref"],
        lines=[
            LineOut(
                product_id=row["product_id"],
                quantity=row["quantity"],
                unit_price_cents=row["unit_price_minor"],
                discount=row["discount_bp"] / 10_000,
                total_cents=row["total_minor"],
            )
            for row in rows
        ],
    )
