"""The revisions of one module: where they lie, and Alembic's view of them."""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import MetaData

from core.db.tables import NAMING_CONVENTION
from core.discovery import where_in
from core.errors import ModuleFailure, Refused, text_of

if TYPE_CHECKING:
    from sqlmodel import SQLModel

ENVIRONMENT = Path(__file__).with_name("alembic")


@dataclass(frozen=True, slots=True)
class ModuleMigrations:
    """What one module brings to the database: ``location`` is ``"package:folder"``, or None."""

    module: str
    location: str | None
    tables: Sequence[type[SQLModel]] = ()

    @property
    def version_table(self) -> str:
        """Where the module's revision is kept: a table of its own, for the reasons in ADR 0002."""
        return f"{self.module}_alembic_version"

    def owns(self, table: str | None) -> bool:
        """Whether a table is this module's, by its name; the table of revisions is Alembic's."""
        return bool(table and table.startswith(f"{self.module}_")) and table != self.version_table

    def metadata(self) -> MetaData:
        """The tables that the module declares, and no others that its registry may hold."""
        metadata = MetaData(naming_convention=NAMING_CONVENTION)
        for table in self.tables:
            sqlalchemy.inspect(table).local_table.to_metadata(metadata)
        return metadata

    def folder(self) -> Path:
        """The folder of the revisions on disk. Raises ModuleFailure when there is none."""
        package, _, folder = (self.location or "").partition(":")
        remedy = f'migrations() of {self.module} gives "package:folder", a folder on disk'
        if not package or not folder:
            raise ModuleFailure(f"migrations {self.location!r} name no folder", remedy=remedy)
        try:
            found = importlib.resources.files(package) / folder
        except NotADirectoryError as error:  # an editable install of a namespace package
            raise ModuleFailure(
                f"migrations {self.location!r}: {package} is no package with an __init__.py",
                remedy=f"add an __init__.py to the folder of {package}",
            ) from error
        except (ImportError, TypeError) as error:
            raise ModuleFailure(
                f"migrations {self.location!r}: {text_of(error)}", remedy=remedy
            ) from error
        if not isinstance(found, Path):
            raise ModuleFailure(
                f"migrations {self.location!r} lie in an archive",
                remedy="Alembic reads files: install the package unzipped",
            )
        if not found.is_dir():
            raise ModuleFailure(f"migrations {self.location!r}: no such folder", remedy=remedy)
        return found

    def source(self) -> Path:
        """The folder of the package that its revisions lie in: where the module's own code is."""
        found = self.folder()
        depth = len(Path((self.location or "").partition(":")[2]).parts)
        return [found, *found.parents][depth]

    def config(self, **attributes: Any) -> Config:
        """An Alembic configuration for this module alone; `attributes` reach env.py."""
        config = Config()
        for option, value in {
            "script_location": str(ENVIRONMENT),
            "version_locations": str(self.folder()) if self.location else "",
            "path_separator": "newline",
            "file_template": "%(rev)s_%(slug)s",
        }.items():
            config.set_main_option(option, value.replace("%", "%%"))
        config.attributes.update(
            attributes,
            version_table=self.version_table,
            metadata=self.metadata,  # made when asked for: a start with nothing to do needs none
            include_name=self._include_name,
            include_object=self._include_object,
        )
        return config

    def script(self) -> ScriptDirectory:
        """The revisions as Alembic reads them. Raises ModuleFailure when they cannot be read."""
        script = ScriptDirectory.from_config(self.config())
        try:
            heads = script.get_heads()
        except (Exception, SystemExit) as error:  # a revision is code and may raise anything
            raise ModuleFailure(
                f"a revision cannot be read: {type(error).__name__}: {text_of(error)}"
                f"{where_in(self.source(), error)}",
                remedy=f"mend the files in {self.location}",
            ) from error
        if len(heads) > 1:
            raise ModuleFailure(
                f"two revisions are the last one: {', '.join(sorted(heads))}",
                remedy="let one follow the other",
            )
        return script

    def pending(self, current: str | None) -> list[str]:
        """The revisions after `current`, in order. Raises ModuleFailure when it is not known."""
        script = self.script()
        try:
            found = list(script.iterate_revisions("heads", current or "base"))
        except (CommandError, RevisionError) as error:
            raise ModuleFailure(
                f"the database is at revision {current!r}, which this version does not have",
                remedy="install the version that made it, or a newer one",
            ) from error
        return [revision.revision for revision in reversed(found)]

    def refuse_target(self, target: str, *, current: str | None) -> None:
        """Raise Refused unless a downgrade from `current` can go to `target`.

        A `current` that this version does not have is ModuleFailure, as in `pending`.
        """
        self.pending(current)
        script = self.script()
        if current is None and target != "base":
            raise Refused(f"module {self.module!r} is at no revision: nothing to go back to")
        try:
            list(script.iterate_revisions(current, target, select_for_downgrade=True))
        except (CommandError, RevisionError):
            known = [r.revision for r in reversed(list(script.walk_revisions()))]
            raise Refused(
                f"module {self.module!r} cannot go back from {current} to {target!r}; "
                f"its revisions: base, {', '.join(known)}"
            ) from None

    def is_base(self, target: str, *, current: str | None) -> bool:
        """Whether a downgrade from `current` to `target` takes the first revision back, too."""
        script = self.script()
        steps, every = (
            list(script.iterate_revisions(current, it, select_for_downgrade=True))
            for it in (target, "base")
        )
        return len(steps) == len(every)

    def _include_name(self, name: str | None, kind: str, parents: Any) -> bool:
        if kind == "schema":
            return name is None
        return kind != "table" or self.owns(name)

    def _include_object(
        self, obj: Any, name: str | None, kind: str, reflected: bool, compare_to: Any
    ) -> bool:
        return kind != "table" or self.owns(name)
