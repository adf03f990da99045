"""What the cache does, in every process, when what it may hold has changed somewhere."""

from __future__ import annotations

from core.plugin import Delivery
from modules.catalog.contracts import PRODUCT_TAG
from modules.catalog.events import ProductChanged


async def product_changed(event: ProductChanged, delivery: Delivery) -> None:
    """Forget the product here, and in Redis too.

    Whoever changed it tells Redis as well, but it may not have come to it yet, or not any more: a
    read in between would bring the old value back.
    """
    await delivery.context.cache.invalidate(PRODUCT_TAG.format(product_id=event.product_id))
