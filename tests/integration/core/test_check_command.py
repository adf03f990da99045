"""`check` as it is called: exit codes, what it prints, what it does not want to hear of."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from core.checks import linters
from core.checks import own as checks_of_modules
from core.checks.codes import CODES
from core.checks.finding import Finding
from core.checks.run import run
from core.errors import ConfigurationError
from core.settings import Settings
from tests.support.checks.cases import CASES
from tests.support.checks.modules import CHECKS
from tests.support.checks.plots import SAFE, Plot, module, routed
from tests.support.plants import Garden
from tests.support.processes import MODULES, ROOT, Installation

NO_DATABASE = "postgresql+asyncpg://shop:r4nd0mly-typed@127.0.0.1:1/nowhere"
UNSAID = """
    @router.get("")
    async def read():
        return 1

    @router.get("/{thing}")
    async def read_one(thing: int):
        return 1
"""


@pytest.fixture
def shop(tmp_path: Path) -> Installation:
    """All shipped modules, and a database that does not answer."""
    made = Installation(tmp_path / "shop", NO_DATABASE)
    (made.folder / "settings.toml").chmod(0o600)  # it holds a password
    return made


def silenced(garden: Garden, *entries: str) -> list[Finding]:
    """What is left of two T203 of module `bad`."""
    return Plot(routed(UNSAID), settings={"check": {"silence": entries}}).findings(garden)


# ── the command ──────────────────────────────────────────────────────────────────────────────────


def test_the_shipped_modules_pass(shop: Installation) -> None:
    """In a process of its own, without any database: no finding, exit code 0."""
    done = shop.run("check", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, []), done.stdout + done.stderr
    assert not (shop.folder / "var").exists()  # and nothing was written


def test_the_shipped_modules_pass_as_production(shop: Installation) -> None:
    """With settings that are fit for production there is nothing to say of them either."""
    shop.environ |= {
        "TESSERA_APP__SECRET_KEY": SAFE["app"]["secret_key"],
        "TESSERA_SERVER__TRUSTED_PROXIES": "10.0.0.1",
    }
    done = shop.run("check", "--deploy")
    assert (done.returncode, done.stdout.strip()) == (0, "nothing found"), done.stdout


def test_an_error_is_exit_code_1(shop: Installation) -> None:
    """Development's own settings are not fit for production, even where they say production."""
    shop.environ["TESSERA_APP__ENVIRONMENT"] = "production"
    shop.environ["TESSERA_APP__DEBUG"] = "true"
    done = shop.run("check", "--deploy", "--json")
    assert done.returncode == 1
    told = {(finding["code"], finding["place"]) for finding in json.loads(done.stdout)}
    assert told >= {("T901", "app.secret_key"), ("T901", "app.debug")}


def test_a_module_that_ends_processes_is_a_finding(shop: Installation, garden: Garden) -> None:
    """`check` outlives a stranger that ends whatever process loads it, and tells of it."""
    garden.plant("bad", "import os; os._exit(7)")
    shop.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(garden.folder)])
    shop.environ["TESSERA_MODULES__BAD__ENABLED"] = "true"
    done = shop.run("check", "--json")
    assert done.returncode == 1
    [finding] = json.loads(done.stdout)
    assert (finding["code"], finding["module"]) == ("T001", "bad")
    assert finding["reason"] == "its import ended the whole process (exit code 7)"


def test_a_finding_in_json_has_all_that_a_program_needs(shop: Installation) -> None:
    """The keys are the same for every finding."""
    done = shop.run("check", "--deploy", "--json")
    keys = {"code", "severity", "module", "place", "reason", "remedy"}
    findings = json.loads(done.stdout)
    assert "T901" in {finding["code"] for finding in findings}, done.stdout
    assert all(set(finding) == keys for finding in findings)


def test_warnings_do_not_fail(shop: Installation) -> None:
    """A warning is told, and the exit code is 0."""
    shop.environ |= {
        "TESSERA_APP__SECRET_KEY": SAFE["app"]["secret_key"],
        "TESSERA_SERVER__TRUSTED_PROXIES": "*",
        "TESSERA_MODULES__AUTH__ACCESS_MINUTES": "600",
    }
    done = shop.run("check", "--deploy")
    assert done.returncode == 0, done.stdout
    for word in ("T904 warning  server.trusted_proxies", "AUTH001 warning", "0 errors, 2 warnings"):
        assert word in done.stdout


def test_list_shows_every_code(shop: Installation) -> None:
    """`--list` needs no settings that can be read."""
    (shop.folder / "settings.toml").unlink()
    done = shop.run("check", "--list")
    assert done.returncode == 0
    assert set(re.findall(r"T\d{3}", done.stdout)) == set(CODES)
    assert {it["code"] for it in json.loads(shop.run("check", "--list", "--json").stdout)} == set(
        CODES
    )


def test_an_unknown_code_is_refused_with_the_nearest(shop: Installation) -> None:
    """A misspelt silence is a wrong setting: exit code 2 and one line."""
    shop.environ["TESSERA_CHECK__SILENCE"] = "T2O3"
    done = shop.run("check")
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert '"T2O3" is no code of a check; did you mean "T203"?' in line


def test_it_is_quick() -> None:
    """All checks of the shipped modules take less than three seconds of one core."""
    settings = Settings.for_tests(modules={name: {"enabled": True} for name in MODULES})
    before = time.process_time()
    assert run(settings) == []
    assert time.process_time() - before < 3


# ── silence ──────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_silent_by_itself(garden: Garden) -> None:
    """Without a word in the settings both are told."""
    assert [finding.code for finding in silenced(garden)] == ["T203", "T203"]


@pytest.mark.parametrize("entry", ["T203", "T203:bad", "T203:bad:GET /v1/bad*"])
def test_a_code_is_silenced(garden: Garden, entry: str) -> None:
    """Everywhere, in one module, or at the places that a pattern fits."""
    assert silenced(garden, entry) == []


def test_a_place_is_silenced_alone(garden: Garden) -> None:
    """The route's name is enough, its file need not be written."""
    [left] = silenced(garden, "T203:bad:GET /v1/bad")
    assert left.place.startswith("GET /v1/bad/{thing} (planted_bad/module.py:")


@pytest.mark.parametrize("entry", ["T201", "T203:core", "T203:bad:POST *", "BAD001"])
def test_another_silence_changes_nothing(garden: Garden, entry: str) -> None:
    """Another code, another module, another place."""
    assert len(silenced(garden, entry)) == 2


@pytest.mark.parametrize("entry", ["T203:bda", "BDA001"])
def test_a_silence_for_no_module_is_refused(garden: Garden, entry: str) -> None:
    """A module that is not there is named, and the nearest that is."""
    with pytest.raises(ConfigurationError, match='no module "bda"; did you mean "bad"'):
        silenced(garden, entry)


# ── several versions ─────────────────────────────────────────────────────────────────────────────

IN_BOTH = routed(UNSAID).replace("if version == 'v1' else []", "")


def test_a_route_of_two_versions_is_told_of_once(garden: Garden) -> None:
    """One line of source, one finding, which names both paths."""
    places = [finding.place for finding in Plot(IN_BOTH).findings(garden)]
    assert [place.partition(" (")[0] for place in places] == [
        "GET /v1/bad, /v2/bad",
        "GET /v1/bad/{thing}, /v2/bad/{thing}",
    ]


def test_a_route_is_silenced_in_one_version(garden: Garden) -> None:
    """What is not to be said of v1 is still said of v2."""
    settings = {"check": {"silence": ["T203:bad:* /v1/*"]}}
    places = [finding.place for finding in Plot(IN_BOTH, settings=settings).findings(garden)]
    assert [place.partition(" (")[0] for place in places] == ["GET /v2/bad", "GET /v2/bad/{thing}"]


# ── what modules bring along ─────────────────────────────────────────────────────────────────────


def own(garden: Garden, body: str) -> list[Finding]:
    """What is found in a module with one check of its own."""
    return Plot(module(CHECKS.format(body))).findings(garden)


def test_a_module_checks_itself(garden: Garden) -> None:
    """A finding of a module's own check is told as the module's."""
    [found] = own(
        garden, "yield Finding('BAD001', context.module, str(len(context.routes)), 'mend it')"
    )
    assert found == Finding("BAD001", "bad", "0", "mend it", module="bad", severity="error")


@pytest.mark.parametrize(
    "body",
    [
        "raise RuntimeError('boom')",
        "yield 'text'",
        "return None",
        "yield Finding('T1', '', '', '')",
        "yield Finding('BAD001', 'here', 'why', 'what', severity='fatal')",
    ],
)
def test_a_broken_check_is_a_finding(garden: Garden, body: str) -> None:
    """Whatever a module's check does, the others go on and it is named."""
    [found] = own(garden, body)
    assert (found.code, found.place, found.module) == ("T009", "bad: look", "bad")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("import os; os._exit(0)", "it ended the whole process (exit code 0)"),
        ("import time; time.sleep(1e9)", "it did not return within 1 s"),
    ],
)
def test_a_check_that_ends_or_hangs_is_a_finding(
    body: str, reason: str, garden: Garden, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module's check that ends its process, or never returns, ends no `check` with success."""
    monkeypatch.setattr(checks_of_modules, "CHECK_SECONDS", 1.0)
    [found] = own(garden, body)
    assert (found.code, found.reason) == ("T009", reason)


def test_a_broken_hook_is_a_finding(garden: Garden) -> None:
    """The hook itself may raise too."""
    plot = Plot(module("@hookimpl\ndef checks():\n    raise SystemExit(3)"))
    [found] = plot.findings(garden)
    assert (found.code, found.place) == ("T009", "bad: checks()")


def test_tokens_that_live_long_are_told_only_of_production() -> None:
    """auth's own check looks at its own settings, and only with --deploy."""
    modules: dict[str, Any] = {"users": {"enabled": True}}
    modules["auth"] = {"enabled": True, "access_minutes": 61}
    settings = Settings.for_tests(**SAFE, modules=modules)
    assert run(settings) == []
    assert [finding.code for finding in run(settings, deploy=True)] == ["AUTH001"]


# ── other tools, other places ────────────────────────────────────────────────────────────────────


def test_without_ruff_the_rest_is_found(garden: Garden, monkeypatch: pytest.MonkeyPatch) -> None:
    """In production ruff is not there; a direct blocking call is found all the same."""
    monkeypatch.setattr(linters, "ruff", lambda: None)
    plot = Plot(module("import time\nasync def read():\n    time.sleep(1)  #<"))
    [found] = plot.findings(garden)
    assert (found.code, [found.place]) == ("T501", plot.marked())


@pytest.mark.parametrize(
    ("head", "run", "remedy"),
    [
        ("def rate():", "rate()", "await asyncio.to_thread(rate, …)"),
        ("def rate():", "list(rate())", "async for … in iterate_in_threadpool(rate(…))"),
        (
            "@contextmanager\ndef rate():",
            "with rate(): pass",
            "async with contextmanager_in_threadpool(rate(…))",
        ),
    ],
)
def test_a_helper_in_a_thread_is_advised_as_it_would_run(
    garden: Garden, head: str, run: str, remedy: str
) -> None:
    """A generator that is only made in a thread runs on the loop all the same."""
    body = "yield" if run != "rate()" else "return"
    source = f"from contextlib import contextmanager\nimport time\n{head}\n    time.sleep(1)\n"
    source += f"    {body}\n\nasync def read():\n    {run}\n"
    [found] = Plot(module(source)).findings(garden)
    assert (found.code, found.remedy) == ("T502", f"await asyncio.sleep(…), or {remedy}")


def test_a_failed_module_is_read_all_the_same(garden: Garden) -> None:
    """What is wrong in the source of a module is told beside the reason why it is out."""
    body = "import time\nasync def read():\n    time.sleep(1)"
    source = module(body, manifest="requires=('nowhere',)")
    assert [finding.code for finding in Plot(source).findings(garden)] == ["T001", "T501"]


def test_a_disabled_module_is_left_alone(garden: Garden) -> None:
    """Nobody asked for it."""
    garden.plant("bad", module("raise RuntimeError"))
    assert run(Settings.for_tests(modules={"bad": {"enabled": False}})) == []


# ── the page ─────────────────────────────────────────────────────────────────────────────────────


def test_every_code_is_documented_as_it_is() -> None:
    """docs/checks.md has each code with its severity and title, and none that is not there."""
    text = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (T\d{3}) \| (\w+) \| (.+?) \| ", text, re.MULTILINE)
    assert rows == [(code.code, code.severity, code.title) for code in CODES.values()]
    for code in CODES.values():
        assert f"### {code.code[:2]}: {code.family}" in text


def test_every_case_is_of_a_code() -> None:
    """A case of a code that is gone proves nothing."""
    assert all(case.code in CODES for case in CASES)
