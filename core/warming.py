"""The slow first work of a version: its schema, and its middleware.

Making a schema runs code of modules (``json_schema_extra``, ``__get_pydantic_json_schema__``, a
serializer of a default). FastAPI makes it of all routes at once, where nobody can tell whose code
it is that hangs, ends the process or raises. So a stranger's routes are tried by themselves first,
each as a step of its module; a seventh of a start with fifty plugins.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from core.belongings import kept
from core.discovery import summarise
from core.errors import ModuleFailure, by_a_person
from core.http.version import VersionApp
from core.lives import StartFailure
from core.steps import step

DOING = "the schema of its routes"


def warm(version: VersionApp, *, strangers: Collection[str]) -> None:
    """Make a version's schema and its middleware. Blocks.

    `strangers` are the modules that did not come with core. Raises StartFailure for the module
    whose routes no schema can be made of.
    """
    modules = [*dict.fromkeys(table.module for table in version.tables.values())]
    for module in modules:
        if module in strangers:
            with _blaming(module, version):
                version.openapi_of(module)
    try:
        version.openapi()
    except BaseException as error:
        if by_a_person(error):
            raise
        _find_culprit(version, modules)
        raise
    version.middleware_stack = version.build_middleware_stack()


def _find_culprit(version: VersionApp, modules: Sequence[str]) -> None:
    """Raises StartFailure: of modules that get on alone, the first with which the rest do not."""
    for count, module in enumerate(modules, start=1):
        with _blaming(module, version):
            version.openapi_of(*modules[:count])


@contextmanager
def _blaming(module: str, version: VersionApp) -> Iterator[None]:
    try:
        with step(module, DOING), kept(module):
            yield
    except BaseException as error:
        if by_a_person(error):
            raise
        failure = ModuleFailure(
            f"no schema can be made of its routes in {version.version_name}: {summarise(error)}",
            remedy="give the route a response_model, parameters that pydantic can describe, and "
            "openapi_extra that is valid OpenAPI",
        )
        failure.__cause__ = error
        raise StartFailure({module: failure}) from error
