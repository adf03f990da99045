"""What a module builds its tables on: a registry of its own, and 64-bit ids."""

from typing import Any

from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, event
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
"""Every constraint has a name, so that a later migration can drop it on either database."""


def table_registry(module_id: str) -> registry:
    """A registry for the tables of one module::

        class Base(SQLModel, registry=table_registry("catalog")):
            '''The ground of this module's tables.'''


        class Product(Base, table=True):
            __tablename__ = "catalog_products"
            id: int | None = BigId()

    Each module has its own, so that two modules may both have a class ``Tag``, and its tables know
    nothing of anybody else's: there is no foreign key across modules.
    """
    return registry(
        metadata=MetaData(naming_convention=NAMING_CONVENTION, info={"module": module_id})
    )


def table_base(module_id: str) -> type[SQLModel]:
    """The same as a ready base class; where mypy checks, write the class (see `table_registry`)."""

    class Base(SQLModel, registry=table_registry(module_id)):
        """The ground of one module's tables."""

    return Base


def BigId() -> Any:  # noqa: N802 - it stands where a field's type would
    """The primary key of a table: ``id: int | None = BigId()``; 64 bits, given by the database.

    SQLite counts up by itself only in a column that is called INTEGER (64 bits there), and would
    give the id of the last deleted row again: a new user would own the old one's orders. So the
    table is made with AUTOINCREMENT (in a migration: ``sqlite_autoincrement=True``).
    """
    column: Column[int] = Column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    event.listen(column, "after_parent_attach", _never_reuse_ids)
    return Field(default=None, sa_column=column)


def _never_reuse_ids(_: Column[int], parent: Any) -> None:
    if isinstance(parent, Table):
        parent.kwargs["sqlite_autoincrement"] = True
