"""A folder to start in: settings.toml, .env and a secrets directory, as one deployment has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigurationError
from core.settings import Settings, load_settings


class Deployment:
    """Settings files in a folder of their own, which is the working folder from now on."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        monkeypatch.chdir(folder)

    def load(
        self,
        toml: str | None = "",
        *,
        env: Mapping[str, str] | None = None,
        dotenv: str = "",
        secrets: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Settings:
        """Write the files and load the settings; `toml` None leaves settings.toml away."""
        if toml is not None:
            self.write("settings.toml", toml)
        if dotenv:
            self.write(".env", dotenv)
        environ = dict(env or {})
        if secrets is not None:
            (self.folder / "secrets").mkdir(exist_ok=True)
            for name, text in secrets.items():
                self.write(f"secrets/{name}", text)
            environ.setdefault("TESSERA_APP__SECRETS_DIR", "secrets")
        return load_settings(environ=environ, **options)

    def refusal(self, toml: str | None = "", **places: Any) -> str:
        """What `load` says when it refuses; it must be one line."""
        with pytest.raises(ConfigurationError) as caught:
            self.load(toml, **places)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def write(self, name: str, text: str) -> Path:
        """A file of the deployment."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path
