"""Mermaid in the documentation becomes SVG when the site is built: it needs no script then."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

# Edge labels and notes of the other themes carry colours that say nothing.
_THEME = '%%{init: {"theme": "neutral"}}%%\n'


def fence(
    source: str, language: str, class_name: str, options: Mapping[str, Any], md: Any, **_: Any
) -> str:
    """What pymdownx.superfences puts in place of a block of Mermaid.

    Raises whatever the renderer has to say of a diagram that cannot be drawn: the build fails.
    """
    return f'<div class="{class_name}">{svg(source)}</div>'


def svg(source: str) -> str:
    """The picture of a Mermaid text, as SVG whose ids no other picture on the page has."""
    import mmdr

    name = f"diagram-{hashlib.sha256(source.encode()).hexdigest()[:8]}"
    return str(mmdr.render(_THEME + source).svg()).replace("merman", name)
