"""Extension points: what an owner offers, what others add, and what their faults do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.apps import serving
from tests.support.plants import Garden, minimal


def plant_owner(
    garden: Garden, on_error: str, *, point: str = "shop_price", seconds: float = 5.0
) -> None:
    """A module `shop` whose price others may change."""
    garden.plant(
        "shop",
        minimal(
            "shop",
            f"""
            from planted_shop import points

            class Shop:
                def __init__(self, context):
                    self.extensions = context.extensions(points.{point})

                async def price(self):
                    price = 100
                    for extension in self.extensions:
                        changed = await extension(price)
                        price = price if changed is None else changed
                    return price

            def make():
                router = APIRouter(prefix="/shop", dependencies=[public])

                @router.get("")
                async def read(shop: Annotated[Shop, service(Shop)]) -> int:
                    return await shop.price()

                return router

            @hookimpl
            def hookspecs(): return points

            @hookimpl
            def services(): return {{Shop: Shop}}

            @hookimpl
            def routers(version): return [make()]
            """,
        ),
    )
    garden.file(
        "planted_shop",
        "points.py",
        f"""
        from core.plugin import extension_point

        @extension_point(on_error="{on_error}", seconds={seconds})
        def {point}(context):
            '''An async callable (price) -> price.'''
        """,
    )


def guest(body: str, *, name: str = "guest", hook: str = "shop_price") -> str:
    return minimal(
        name,
        f"""
        async def change(price):
            {body}

        @hookimpl
        def {hook}(context): return change
        """,
        manifest="requires=('shop',)",
    )


def test_extensions_are_called_in_order(garden: Garden, sqlite_url: str) -> None:
    """Every enabled module's implementation takes part, in the order of the settings."""
    plant_owner(garden, "fail")
    garden.plant("minus", guest("return price - 10", name="minus"))
    garden.plant("half", guest("return price // 2", name="half"))
    with serving(sqlite_url, "shop", "minus", "half") as client:
        assert client.get("/v1/shop").json() == 45
    with serving(sqlite_url, "shop", "half", "minus") as client:
        assert client.get("/v1/shop").json() == 40
    with serving(sqlite_url, "shop") as client:
        assert client.get("/v1/shop").json() == 100


@pytest.mark.parametrize(
    "error",
    [
        "RuntimeError",
        "SystemExit",
        "__import__('asyncio').CancelledError",
        "type('Panic', (BaseException,), {})",
    ],
)
@pytest.mark.parametrize(("on_error", "status"), [("fail", 500), ("skip", 200)])
def test_a_failing_extension_does_what_the_point_says(
    error: str, on_error: str, status: int, garden: Garden, sqlite_url: str
) -> None:
    """An implementation that raises fails the work by name, or is left out, as declared."""
    plant_owner(garden, on_error)
    garden.plant("guest", guest(f"raise {error}('secret inside')"))
    with serving(sqlite_url, "shop", "guest") as client:
        answer = client.get("/v1/shop")
        assert answer.status_code == status
        assert "secret" not in answer.text
        document: Any = answer.json()
        if status == 500:
            assert document["type"] == "/problems/extension-failed"
            assert document["detail"] == "guest failed in shop_price."
        else:
            assert document == 100


@pytest.mark.parametrize(("on_error", "status"), [("fail", 500), ("skip", 200)])
def test_an_extension_that_hangs_has_failed(
    on_error: str, status: int, garden: Garden, sqlite_url: str
) -> None:
    """An implementation that takes longer than its point allows is treated as one that raised."""
    plant_owner(garden, on_error, seconds=0.2)
    garden.plant("guest", guest("import asyncio; await asyncio.sleep(60)"))
    with serving(sqlite_url, "shop", "guest") as client:
        assert client.get("/v1/shop").status_code == status


@pytest.mark.parametrize("on_error", ["fail", "skip"])
def test_a_problem_is_an_answer(on_error: str, garden: Garden, sqlite_url: str) -> None:
    """A Problem that an extension raises reaches the caller whatever the policy."""
    plant_owner(garden, on_error)
    garden.plant("guest", guest("raise Conflict('not today')"))
    with serving(sqlite_url, "shop", "guest") as client:
        answer = client.get("/v1/shop")
        assert (answer.status_code, answer.json()["detail"]) == (409, "not today")


def test_a_misspelt_extension_names_the_nearest(garden: Garden, sqlite_url: str) -> None:
    """An implementation of a hook that no module offers fails its module and names the nearest."""
    plant_owner(garden, "fail")
    garden.plant("guest", guest("return price", hook="shop_prize"))
    with serving(sqlite_url, "shop", "guest") as client:
        failed = client.get("/readyz").json()["modules"]["guest"]
        assert failed["reason"] == "there is no hook 'shop_prize'"
        assert failed["remedy"] == "did you mean 'shop_price'?"


def test_a_hook_of_an_absent_optional_module_is_left_alone(garden: Garden, sqlite_url: str) -> None:
    """A module may extend one that it only wishes for; without it the hook is not called."""
    source = guest("return price").replace("requires=('shop',)", "optional=('shop',)")
    garden.plant("guest", source)
    with serving(sqlite_url, "guest") as client:
        assert client.get("/readyz").json()["modules"]["guest"] == {"state": "enabled"}


def test_a_point_without_the_owners_name_is_refused(garden: Garden, sqlite_url: str) -> None:
    """An extension point must begin with its module's id, so that two never collide."""
    plant_owner(garden, "fail", point="price")
    with serving(sqlite_url, "shop") as client:
        reason = client.get("/readyz").json()["modules"]["shop"]["reason"]
        assert "does not begin with 'shop_'" in reason


def test_a_service_is_replaced_only_when_that_is_said(garden: Garden, sqlite_url: str) -> None:
    """A module that requires the owner may replace its service; without saying so it is a clash."""
    garden.plant(
        "bank",
        minimal(
            "bank",
            """
            class Rates:
                def __init__(self, context): self.who = "bank"

            def make():
                router = APIRouter(prefix="/bank", dependencies=[public])

                @router.get("")
                async def read(rates: Annotated[Rates, service(Rates)]) -> str:
                    return rates.who

                return router

            @hookimpl
            def services(): return {Rates: Rates}

            @hookimpl
            def routers(version): return [make()]
            """,
        ),
    )
    replacement = """
    from planted_bank.module import Rates

    class Other:
        def __init__(self, context): self.who = "other"

    @hookimpl
    def services(): return {Rates: MAKE}
    """
    requires = "requires=('bank',)"
    garden.plant(
        "other",
        minimal("other", replacement.replace("MAKE", "replacing(Other)"), manifest=requires),
    )
    garden.plant("thief", minimal("thief", replacement.replace("MAKE", "Other"), manifest=requires))
    with serving(sqlite_url, "bank", "other") as client:
        assert client.get("/v1/bank").json() == "other"
    with serving(sqlite_url, "bank", "thief") as client:
        assert client.get("/v1/bank").json() == "bank"
        reason = client.get("/readyz").json()["modules"]["thief"]["reason"]
        assert reason == "the service 'Rates' is already claimed by 'bank'"
