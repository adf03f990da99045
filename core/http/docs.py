"""A version's documentation pages, with the assets that fastapi-offline ships.

FastAPI's own pages load Swagger UI and ReDoc from a public address; a production network, and a
laptop on a train, may not reach it, and a content security policy need not allow it.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from core.http.version import VersionApp

POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' blob:; "
    "style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; worker-src blob:; font-src 'self' data:; "
    "frame-ancestors 'none'"
)


def add_docs(app: VersionApp) -> Iterator[BaseRoute]:
    """The routes for the schema and the pages of a version."""

    async def schema(request: Request) -> Response:
        document = dict(app.openapi())
        document["servers"] = [{"url": request.scope["root_path"]}]
        return JSONResponse(document)

    async def swagger(request: Request) -> Response:
        root = request.scope["root_path"]
        return _page(
            get_swagger_ui_html(
                openapi_url=f"{root}/openapi.json",
                title=app.title,
                swagger_js_url=f"{root}/assets/swagger-ui-bundle.js",
                swagger_css_url=f"{root}/assets/swagger-ui.css",
                swagger_favicon_url=f"{root}/assets/favicon.png",
                swagger_ui_parameters={"persistAuthorization": True, "docExpansion": "list"},
            )
        )

    async def redoc(request: Request) -> Response:
        root = request.scope["root_path"]
        return _page(
            get_redoc_html(
                openapi_url=f"{root}/openapi.json",
                title=app.title,
                redoc_js_url=f"{root}/assets/redoc.standalone.js",
                redoc_favicon_url=f"{root}/assets/favicon.png",
                with_google_fonts=False,
            )
        )

    assets = importlib.resources.files("fastapi_offline") / "static"
    yield Route("/openapi.json", schema, methods=["GET"])
    yield Route("/docs", swagger, methods=["GET"])
    yield Route("/redoc", redoc, methods=["GET"])
    yield Mount("/assets", StaticFiles(directory=str(assets)))


def _page(page: HTMLResponse) -> Response:
    page.headers["Content-Security-Policy"] = POLICY
    return page
