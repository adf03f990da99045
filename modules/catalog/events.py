"""What happens to the catalogue, for other modules to act on."""

from __future__ import annotations

from core.plugin import Event


class ProductChanged(
    Event, type="catalog.product_changed.v1", aggregate="product", key="product_id"
):
    """A product was added, changed or deleted; ask `Catalog` for what it is now.

    Pieces that orders take out of stock or put back are told by the orders' events.
    """

    product_id: int
