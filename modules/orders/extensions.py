"""Where other modules take part in placing an order; docs/extension-points.md shows how.

An implementation is called inside the order's transaction: what it writes is kept with the order,
or not at all. When the stock was taken and the prices are known, before the total is fixed, first
every `orders_pricing` in the order of the settings, then every `orders_veto`; when the order is
written and has its id, every `orders_placed`.
"""

from __future__ import annotations

from core.plugin import Context, extension_point
from modules.orders.contracts import NoteOrder, PriceLines, VetoOrder


@extension_point(on_error="fail")
def orders_pricing(context: Context) -> PriceLines:  # type: ignore[empty-body]
    """An async callable ``(session, draft) -> lines`` that changes what the lines cost.

    It may change the unit price and the discount of a line, within what a price and a discount can
    be; product, quantity, number and order of the lines are not its to change. One that fails, or
    does so, fails the order with 500: nobody is to pay a price that was half worked out.
    """


@extension_point(on_error="skip")
def orders_veto(context: Context) -> VetoOrder:  # type: ignore[empty-body]
    """An async callable ``(session, draft) -> reason | None``; a reason refuses the order with 409.

    One that fails is logged and left out, with all that it wrote: a broken rule of a stranger must
    not end the sales. A rule that must hold even then catches its own errors and returns a reason.
    """


@extension_point(on_error="fail")
def orders_placed(context: Context) -> NoteOrder:  # type: ignore[empty-body]
    """An async callable ``(session, order)`` that writes down what belongs to the order.

    For what must be kept with the order or not at all; whatever may follow later subscribes to
    `OrderCreated`. One that fails fails the order with 500.
    """
