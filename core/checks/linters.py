"""What ruff sees already, asked of ruff: blocking calls in async code, mutable defaults."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.checks.context import CheckContext
from core.checks.finding import Finding

RULES: Mapping[str, str] = {"ASYNC2": "T501", "B006": "T104"}
"""ruff's rules and the codes under which their findings are told."""

_REMEDIES = {
    "T501": "use what asyncio or the library offers for it, or await asyncio.to_thread(…)",
    "T104": "use a tuple, or None",
}
SECONDS = 20


def ruff() -> str | None:
    """ruff's program, beside this Python or on the path; None when it is not installed."""
    beside = Path(sys.executable).with_name("ruff")
    return str(beside) if beside.is_file() else shutil.which("ruff")


def check_with_ruff(contexts: Sequence[CheckContext]) -> Iterator[Finding]:
    """What ruff finds in the modules' files; a ``noqa`` in them counts."""
    program = ruff()
    owners = {str(s.path): context for context in contexts for s in context.sources}
    if program is None or not owners:
        return
    for found in _run(program, list(owners)):
        context = owners.get(found["filename"])
        code = next((c for rule, c in RULES.items() if str(found["code"]).startswith(rule)), None)
        if context is not None and code is not None:
            place = context.at(found["filename"], found["location"]["row"])
            reason = f"{found['message']} (ruff {found['code']})"
            yield context.found(code, place, reason, _REMEDIES[code])


def _run(program: str, files: list[str]) -> list[dict[str, Any]]:
    """ruff's findings; whatever else it may say is no reason to fail a check of modules."""
    command = [program, "check", "--isolated", "--no-cache", "--exit-zero", "--quiet"]
    command += ["--output-format", "json", "--select", ",".join(RULES), "--", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    try:
        found = json.loads(done.stdout)
    except ValueError:
        return []
    return found if isinstance(found, list) else []
