"""What happens to the catalogue, for other modules to act on."""

from __future__ import annotations

from core.plugin import Event


class ProductChanged(
    Event, type="catalog.product_changed.v1", aggregate="product", key="product_id"
):
    """A product was added, changed or deleted, or its stock went up or down.

    Ask `Catalog` for what it is now; events of one product arrive in the order of its changes.
    """

    product_id: int
