"""Every hook has a test and a documented signature; the check itself is tested with violations."""

from __future__ import annotations

import importlib.metadata
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from core import hookspecs
from core.extensions import extension_point, points_of

ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTION = "tessera-modulith"
Hooks = Mapping[str, Callable[..., Any]]


def all_hooks() -> Hooks:
    """Core's hooks, and the extension points of the modules that this distribution ships."""
    hooks: dict[str, Callable[..., Any]] = {it: getattr(hookspecs, it) for it in hookspecs.HOOKS}
    for entry in importlib.metadata.distribution(DISTRIBUTION).entry_points:
        if entry.group != "tessera.modules":
            continue
        module = entry.load()
        if hasattr(module, "hookspecs"):
            hooks.update(points_of(module.hookspecs(), module=entry.name))
    return hooks


def all_tests() -> str:
    """All tests and what supports them, without this file, which plants what is missing."""
    files = [it for it in (ROOT / "tests").rglob("*.py") if it != Path(__file__).resolve()]
    return "\n".join(it.read_text(encoding="utf-8") for it in files)


def faults(hooks: Hooks, *, docs: str, tests: str) -> Iterator[str]:
    """What is missing, one line a fault."""
    sections = dict(_sections(docs))
    for name, hook in hooks.items():
        if not inspect.getdoc(hook):
            yield f"{name} has no docstring"
        if not _is_implemented(name, tests):
            yield f"no test implements {name}"
        signature = f"{name}({', '.join(inspect.signature(hook).parameters)})"
        section = sections.get(signature)
        if section is None:
            yield f"docs/hooks.md has no section `{signature}`"
        elif f"@hookimpl\ndef {name}(" not in section or "returns" not in section.lower():
            yield f"the section of {name} lacks an example, or what it returns"
    documented = {signature.partition("(")[0] for signature in sections}
    yield from (f"docs/hooks.md tells of {name}, which is none" for name in documented - set(hooks))


def _sections(docs: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^### ", docs, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        yield title.strip("` "), body


def _is_implemented(name: str, tests: str) -> bool:
    """After the marker; an extension point also as a parameter of what writes a module."""
    literal = rf"@hookimpl(\\n|\s)+def {name}\("
    return bool(re.search(literal, tests)) or ("_" in name and f'"{name}"' in tests)


def test_every_hook_has_a_test_and_a_documented_signature() -> None:
    """Core's hooks and built-in extension points are implemented in a test and documented."""
    docs = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
    hooks = all_hooks()
    assert {"manifest", "checks", "orders_pricing", "orders_veto", "orders_placed"} <= set(hooks)
    assert list(faults(hooks, docs=docs, tests=all_tests())) == []


def test_hooks_are_all_listed() -> None:
    """`HOOKS` names every hook that core specifies, so that none escapes this check."""
    specified = {
        name
        for name, it in vars(hookspecs).items()
        if inspect.isfunction(it) and hasattr(it, f"{hookspecs.NAMESPACE}_spec")
    }
    assert specified == set(hookspecs.HOOKS)


@extension_point(on_error="skip")
def planted_hook(context: Any, *, extra: int) -> None:
    """A hook that nobody has tested or written of."""


DOCS = """
### `planted_hook(context, extra)`

Returns nothing.

```python
@hookimpl
def planted_hook(context): ...
```
"""
TESTS = "@hookimpl\ndef planted_hook(context): ..."


@pytest.mark.parametrize(
    ("docs", "tests", "fault"),
    [
        (DOCS, "def planted_hook(context): ...", "no test implements planted_hook"),
        ("", TESTS, "docs/hooks.md has no section `planted_hook(context, extra)`"),
        (DOCS.replace(", extra", ""), TESTS, "has no section `planted_hook(context, extra)`"),
        (DOCS.replace("Returns nothing.", ""), TESTS, "lacks an example, or what it returns"),
        (DOCS.replace("@hookimpl", ""), TESTS, "lacks an example, or what it returns"),
        (f"{DOCS}### `gone_hook()`\n", TESTS, "docs/hooks.md tells of gone_hook, which is none"),
    ],
)
def test_a_planted_hook_is_found(docs: str, tests: str, fault: str) -> None:
    """A hook without test, section, signature, example or meaning is named; so is a stale one."""
    found = list(faults({"planted_hook": planted_hook}, docs=docs, tests=tests))
    assert len(found) == 1
    assert fault in found[0]


def test_a_hook_that_has_it_all_passes() -> None:
    """With a test and a documented signature there is nothing to find."""
    assert not list(faults({"planted_hook": planted_hook}, docs=DOCS, tests=TESTS))
