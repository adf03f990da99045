"""``openapi``: a version's schema, for client generators and for comparing."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from core.errors import Refused
from core.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="The schemas of the API versions.")


@app.callback()
def _group() -> None:
    pass


@app.command("export")
def export(version: Annotated[str, typer.Argument(help="v1 or 1, v2 or 2.")]) -> None:
    """Print a version's OpenAPI schema. Needs no server and no database."""
    from core import preflight
    from core.aside import aside
    from core.generation import compose
    from core.logs import configure_logging
    from core.process import Resources

    settings = load_settings()
    configure_logging(settings, quiet=True)
    excluded = preflight.failures_of(settings)
    resources = Resources(settings)
    versions = aside(compose, settings, resources=resources, excluded=excluded).versions
    name = f"v{version.removeprefix('v')}"
    if name not in versions:
        raise Refused(f"there is no version {version!r}; there are {', '.join(versions)}")
    schema = dict(versions[name].openapi())
    schema["servers"] = [{"url": f"/{name}"}]
    typer.echo(json.dumps(schema, indent=2, ensure_ascii=False))
