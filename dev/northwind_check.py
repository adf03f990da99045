"""Hold a running server against the published figures of Northwind.

    python -m dev.northwind_check URL EMAIL     the password of that admin on standard input

Reads every order through version 2, adds up, and ends with 1 when a figure is off.
"""

from __future__ import annotations

import sys
from decimal import Decimal

from demo.client import Client, DemoError
from demo.load import sales
from demo.northwind import Sales, sales_by_year

PUBLISHED = {
    "1996": (152, Decimal("208083.99")),
    "1997": (408, Decimal("617085.35")),
    "1998": (270, Decimal("440623.95")),
}
WHOLE = Sales(830, 51317, Decimal("1265793.29"))


def main() -> int:
    """Compare, and say what was found."""
    url, email = sys.argv[1:]
    try:
        with Client(url, email=email, password=sys.stdin.readline().rstrip("\r\n")) as client:
            years = sales_by_year(sales(client))
            users = sum(
                it["email"].endswith("@northwind.example") for it in client.pages("/v2/users")
            )
            products = sum(it["sku"].startswith("NW-") for it in client.pages("/v2/products"))
    except DemoError as problem:
        print(f"northwind: {problem}", file=sys.stderr)
        return 1
    whole = sum(years.values(), Sales())
    found = {year: (it.orders, it.revenue) for year, it in years.items()}
    print(f"northwind: {users} customers, {products} products, {whole}; by year {found}")
    return 0 if (users, products, whole, found) == (91, 77, WHOLE, PUBLISHED) else 1


if __name__ == "__main__":
    sys.exit(main())
