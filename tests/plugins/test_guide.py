"""docs/writing-a-plugin.md, followed word for word."""

from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.support.written import ROOT

GUIDE = ROOT / "docs" / "writing-a-plugin.md"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
ADDRESS = "127.0.0.1:8000"
MARK = "=== done"
SCRIPTS = {"tessera": "from core.cli import main", "pytest": "from pytest import main"}


@dataclass(frozen=True)
class File:
    """A file that the guide has its reader write."""

    path: str
    content: str


@dataclass(frozen=True)
class Command:
    """A command, and what the guide shows of its output; nothing where it shows nothing."""

    line: str
    shown: str

    def prints(self, output: str) -> bool:
        """Whether the output is what is shown; … stands for anything, spaces for any spaces."""
        pattern = re.escape(plain(self.shown)).replace("…", ".*")
        return not self.shown or re.fullmatch(pattern, plain(output), re.DOTALL) is not None


def plain(text: str) -> str:
    """The same with one space where there are several, and none at the end of a line."""
    return "\n".join(" ".join(line.split()) for line in text.splitlines()).strip()


def steps(text: str) -> Iterator[File | Command]:
    """What the guide says to do, in its order."""
    for language, title, body in BLOCK.findall(text):
        if title:
            yield File(title, body)
        elif language == "console":
            yield from commands(body)


def commands(body: str) -> Iterator[Command]:
    """The commands of one block."""
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        line, _, shown = part.partition("\n")
        yield Command(line, shown.strip())


class Reader:
    """Somebody with a shell and an empty folder who does what the guide says."""

    def __init__(self, folder: Path) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.folder = folder
        self.shell = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env=self._environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TESSERA_", "PYTEST_", "PYTHONPATH", "VIRTUAL_ENV"))
        }
        kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
        # What is needed is installed: nothing is fetched, whatever pip is told.
        kept |= {"PIP_NO_BUILD_ISOLATION": "false", "PIP_NO_INDEX": "1"}
        port = self.address.partition(":")[2]
        return {**kept, "COLUMNS": "100", "NO_COLOR": "1", "TESSERA_SERVER__PORT": port}

    def do(self, step: File | Command) -> None:
        """One step; raises AssertionError when a command fails or prints something else."""
        if isinstance(step, File):
            target = self.folder / step.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(step.content, encoding="utf-8")
        elif step.line == "tessera serve":
            self.run("tessera serve >serve.log 2>&1 & SERVER=$!")
            self._wait()
        else:
            began = time.monotonic()
            code, output = self.run(step.line.replace(ADDRESS, self.address))
            print(f"{time.monotonic() - began:6.2f} s  $ {step.line[:70]}")
            assert code == 0, f"$ {step.line}\n{output}"
            assert step.prints(output), f"$ {step.line}\n{output}\n── but the guide\n{step.shown}"
            if step.line.endswith("-m venv .venv"):
                self._share_what_is_installed()

    def run(self, line: str) -> tuple[int, str]:
        """A line in the shell: its exit code, and all that it printed."""
        assert self.shell.stdin is not None
        assert self.shell.stdout is not None
        self.shell.stdin.write(f'{{ {line}\n}} </dev/null; printf "\\n{MARK} %s\\n" $?\n')
        self.shell.stdin.flush()
        printed: list[str] = []
        for got in self.shell.stdout:
            if got.startswith(MARK):
                return int(got.removeprefix(MARK)), "".join(printed)
            printed.append(got)
        raise AssertionError(f"the shell ended at: {line}\n{''.join(printed)}")

    def _share_what_is_installed(self) -> None:
        """Let the new environment see what is installed here, as if pip had just put it there."""
        installed = sysconfig.get_path("purelib")
        [packages] = (self.folder / ".venv" / "lib").glob("python3*/site-packages")
        (packages / "_shared.pth").write_text(
            f"import site, sys; own = len(sys.path); site.addsitedir({installed!r}); "
            "sys.path[:] = [*sys.path[own:], *sys.path[:own]]\n"
        )
        for name, imported in SCRIPTS.items():
            script = self.folder / ".venv" / "bin" / name
            python = self.folder / ".venv" / "bin" / "python"
            script.write_text(f"#!{python}\nimport sys\n{imported}\nsys.exit(main())\n")
            script.chmod(script.stat().st_mode | stat.S_IXUSR)

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if httpx2.get(f"http://{self.address}/readyz", timeout=5).status_code == 200:
                    return
            except httpx2.TransportError:
                time.sleep(0.1)
        raise AssertionError((self.folder / "serve.log").read_text())

    def close(self) -> None:
        """End the server and the shell."""
        assert self.shell.stdin is not None
        self.shell.stdin.write("[ -z $SERVER ] || { kill $SERVER; wait $SERVER; }\nexit\n")
        self.shell.stdin.close()
        self.shell.wait(timeout=60)
        assert self.shell.stdout is not None
        self.shell.stdout.close()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_guide_works_word_for_word(tmp_path: Path) -> None:
    """Every file as it stands, every command in its order, every output that is shown."""
    folder = tmp_path / "tessera-reviews"
    folder.mkdir()
    reader = Reader(folder)
    try:
        for step in steps(GUIDE.read_text(encoding="utf-8")):
            reader.do(step)
    finally:
        reader.close()


def test_a_command_that_prints_something_else_is_seen(tmp_path: Path) -> None:
    """The guide cannot show an output that is not there, nor a command that fails."""
    reader = Reader(tmp_path)
    try:
        reader.do(Command("echo one two three", "one … three"))
        with pytest.raises(AssertionError, match="but the guide"):
            reader.do(Command("echo one two", "one … three"))
        with pytest.raises(AssertionError, match="no such folder"):
            reader.do(Command("echo no such folder; false", ""))
    finally:
        reader.close()
