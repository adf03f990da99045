"""The process in which modules are tried: it has imported core once, and forks for each trial.

A trial is a rehearsal of some modules in a fork, which may die or fall silent; its last step names
the module at fault. Modules are tried in a few batches side by side; when one fails, or sleeps for
a while, its other modules are tried alone, so that where several hang (more than `AT_ONCE` have to
take turns) it takes little more than the time of one. What a module starts
in it may outlive it and hold its pipe open: a trial ends with its own process, in a session that is
ended with it.

It is a new process (``python -m core.trials`` reads a pickled `Question`) or, of a process that
has loaded core and nothing else, a fork; it writes its answer as JSON.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import pickle
import selectors
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from fastapi import APIRouter

from core import discovery, plugin, steps
from core.copies import Copy
from core.discovery import Found
from core.patience import Patience
from core.rehearsal import Meddled, rehearse
from core.steps import Step

if TYPE_CHECKING:
    from core.settings import Settings

FOR_MODULES = plugin
"""What every module imports: imported here, it is core's time and not the first module's."""
BATCHES = 8
"""How many the modules are divided into: each costs a fork, and the pages that it touches."""
DOUBT = 0.25
"""Where it has slept for this part of a step's time the others of a batch are tried alone."""
AT_ONCE = 16
"""Trials side by side; one that hangs costs no processor time, or is soon ended."""
Batch = Sequence[str]
DONE = b"\tdone"
INTERRUPTED = 130
"""The exit code of a fork in which a module raised what a person raises with Ctrl-C."""
MEDDLED = 131
"""That of a fork in which a module ended what all run on; its last words are the reason."""
ALARM_STEPS = 50
"""After so many steps' time the kernel ends a fork whose watcher is gone."""
LEAST_SECONDS = 150.0
"""The least of that: many modules have many steps, though each may be short."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which modules to try, under which settings, and how long a step may say nothing."""

    settings: Settings
    names: Sequence[str]
    step_seconds: float

    @property
    def alarm_seconds(self) -> float:
        """How long a fork may live, whoever watches it."""
        return max(LEAST_SECONDS, ALARM_STEPS * self.step_seconds)


@dataclass(slots=True)
class Answer:
    """The modules that passed, and those that did not with the reason."""

    passed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


class Trial:
    """One fork at work, seen from its parent."""

    def __init__(self, question: Question, names: Batch, found: Mapping[str, Found]) -> None:
        self.names = names
        self.passed = self.silent = self._wavered = False
        self._module = self._doing = ""
        self._rest = b""
        self._code: int | None = None
        self._seconds = question.step_seconds
        self._scratch = tempfile.TemporaryDirectory(
            prefix="tessera-rehearsal-", ignore_cleanup_errors=True
        )
        self.pipe, theirs = os.pipe()
        os.set_blocking(self.pipe, False)
        self.pid = os.fork()
        if not self.pid:
            os.close(self.pipe)
            try_here = partial(
                rehearse, question.settings, names, found=found, folder=Path(self._scratch.name)
            )
            _rehearse(try_here, names, theirs, question.alarm_seconds)
        os.close(theirs)
        self._patience = self._patient()

    def read(self) -> bool:
        """Take what it says; False when it has ended."""
        said = os.read(self.pipe, 65536)
        *lines, self._rest = (self._rest + said).split(b"\n")
        for line in lines:
            self.passed = self.passed or line == DONE
            self._module, _, self._doing = line.decode().partition("\t")
        if lines:
            self._patience = self._patient()
        return bool(said) and not self.passed

    def gone(self) -> bool:
        """Whether its process has ended, though another that it started may hold the pipe."""
        if self._code is None and (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
            self._code = os.waitstatus_to_exitcode(ended[1])
            with contextlib.suppress(BlockingIOError):
                self.read()  # its last words
        return self._code is not None

    def hangs(self) -> bool:
        """Whether it has said nothing for too long."""
        self.silent = self._patience.ends(started=bool(self._module))
        return self.silent

    def wavers(self) -> bool:
        """Whether a module of several sleeps for some time; told once.

        Not where it computes: it may import much, which all beside it would do again.
        """
        if self._wavered or len(self.names) == 1 or not self._module:
            return False
        self._wavered = self._patience.slept >= self._seconds * DOUBT
        return self._wavered

    def others(self) -> list[str]:
        """Its modules without the one that it is at."""
        return [name for name in self.names if name != self._module]

    def end(self) -> tuple[str, str] | None:
        """Clear it away with all that it started; (module, reason) when one is at fault."""
        code = self._ended()
        os.close(self.pipe)
        self._scratch.cleanup()
        if self.passed or not self._module:
            return None
        if self.silent:
            return self._module, f"{self._doing} did not return within {self._seconds:g} s"
        if code == MEDDLED:
            return self._module, self._doing
        ending = f"signal {-code}" if code < 0 else f"exit code {code}"
        if code == INTERRUPTED:
            return self._module, f"{self._doing} raised KeyboardInterrupt"
        return self._module, f"{self._doing} ended the whole process ({ending})"

    def _ended(self) -> int:
        """End its process, where it has not ended, and those in its session; its exit code."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # there are none
            os.killpg(self.pid, signal.SIGKILL)
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)  # it may not have come to its session yet
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code

    def _patient(self) -> Patience:
        return Patience(self.pid, seconds=self._seconds)


def _rehearse(try_here: Callable[[], None], names: Batch, pipe: int, alarm: float) -> NoReturn:
    """The fork: never returns, and leaves without what modules have registered for the end."""

    mine = os.getpid()

    def say(line: bytes) -> None:
        if os.getpid() == mine:  # not what a module has forked
            os.write(pipe, line)

    def tell(step: Step | None) -> None:
        if isinstance(sys.exc_info()[1], KeyboardInterrupt):  # on its way out of the step told last
            os._exit(INTERRUPTED)
        say(f"{step.module}\t{step.doing}\n".encode() if step else b"\t\n")

    try:
        os.setsid()
        signal.setitimer(signal.ITIMER_REAL, alarm)
        with contextlib.suppress(BaseException), steps.listening(tell):
            _rehearse_or_tell(try_here, names, say)
        say(DONE + b"\n")
    finally:
        os._exit(0)


def _rehearse_or_tell(
    try_here: Callable[[], None], names: Batch, say: Callable[[bytes], None]
) -> None:
    """One module that meddles with what others run on is named; among several it is not known."""
    try:
        try_here()
    except Meddled as how:
        say(f"{names[0]}\tat its start {how}\n".encode() if len(names) == 1 else b"\t\n")
        os._exit(MEDDLED)


def answer(question: Question) -> Answer:
    """Try every module, in batches side by side, and alone where a batch failed. Blocks."""
    return _Trials(question, _ready()).run()


def _ready() -> Mapping[str, Found]:
    """Do once what each fork would do again; what is installed."""
    _make_a_first_route()
    installed = discovery.find()
    gc.freeze()  # a collection in a fork would copy the pages of all that is shared
    return installed


def _make_a_first_route() -> None:
    """The first of a process costs as much as the next fifty: FastAPI imports for it."""
    APIRouter().add_api_route("/{number}", _first, methods=["GET"])


def _first(number: int) -> int:
    return number


class _Trials:
    """All trials of one question: of batches, and of modules alone where their batch failed.

    Alone already where the batch has slept for a while: where two of its modules hang, their times
    pass side by side, and where none does, some forks were made in vain.
    """

    def __init__(self, question: Question, installed: Mapping[str, Found]) -> None:
        self._question = question
        self._installed = installed
        self._answer = Answer()
        self._passed: set[str] = set()
        self._waiting = [batch for i in range(BATCHES) if (batch := question.names[i::BATCHES])]
        self._alone: set[str] = set()
        self._running: dict[int, Trial] = {}
        self._looked = time.monotonic()

    def run(self) -> Answer:
        """Until every module has passed, or is at fault."""
        try:
            with selectors.DefaultSelector() as selector:
                while self._waiting or self._running:
                    self._begin(selector)
                    for trial in self._ended(selector):
                        if self._running.get(trial.pipe) is trial:  # not dropped a moment ago
                            self._end(trial, selector)
                    for trial in self._running.values():
                        if trial.wavers():
                            self._try_alone(trial.others())
        finally:
            for trial in self._running.values():  # Ctrl-C does not reach their sessions
                trial.end()
        self._answer.passed = sorted(self._passed - {*self._answer.failed})
        return self._answer

    def _begin(self, selector: selectors.BaseSelector) -> None:
        while self._waiting and len(self._running) < AT_ONCE:
            trial = Trial(self._question, self._waiting.pop(0), self._installed)
            self._running[trial.pipe] = trial
            selector.register(trial.pipe, selectors.EVENT_READ)

    def _ended(self, selector: selectors.BaseSelector) -> list[Trial]:
        """Listen for a moment: the trials that have ended in it, and those that are seen to hang.

        However many end, the others are looked at in time: else no hang would be told among many.
        """
        look = self._looked + Patience.TICK
        left, ended = Patience.TICK, list[Trial]()
        while left and not ended:
            left = max(0.0, look - time.monotonic())
            heard = [self._running[int(key.fd)] for key, _ in selector.select(left)]
            ended = [trial for trial in heard if not trial.read()]
        if (now := time.monotonic()) < look:
            return ended
        self._looked = now
        others = [trial for trial in self._running.values() if trial not in ended]
        return ended + [trial for trial in others if trial.gone() or trial.hangs()]

    def _end(self, trial: Trial, selector: selectors.BaseSelector) -> None:
        """Take what a trial that has ended tells of its modules."""
        fault = self._clear(trial, selector)
        if fault is not None:
            self._answer.failed.setdefault(*fault)
            self._waiting = [names for names in self._waiting if [*names] != [fault[0]]]
        if not trial.passed:
            self._try_alone(trial.names if len(trial.names) > 1 else ())
            return
        self._passed.update(trial.names)
        self._waiting = [names for names in self._waiting if not {*names} <= {*trial.names}]
        for other in [t for t in self._running.values() if {*t.names} < {*trial.names}]:
            self._clear(other, selector)

    def _clear(self, trial: Trial, selector: selectors.BaseSelector) -> tuple[str, str] | None:
        selector.unregister(trial.pipe)
        del self._running[trial.pipe]
        return trial.end()

    def _try_alone(self, names: Iterable[str]) -> None:
        """Each once, at the next opportunity."""
        fresh = [n for n in names if n not in self._answer.failed and n not in self._alone]
        self._alone.update(fresh)
        self._waiting += [[name] for name in fresh]


def main() -> None:
    """Answer the question on standard input."""
    told = os.dup(1)
    question: Question = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own parent
    _answer_into(told, question)


def _answer_into(told: int, question: Question) -> None:
    """Write the answer as JSON, with a standard input and output that modules may use."""
    os.dup2(2, 1)  # what a module prints is not the answer
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.path[:] = map(os.path.abspath, sys.path)  # a rehearsal works in another folder
    found = answer(question)
    with os.fdopen(told, "w") as file:
        json.dump({"passed": found.passed, "failed": found.failed}, file)


def answer_in_copy(question: Question, told: int) -> Copy:
    """A copy of this process that writes the answer into the file `told`. Raises OSError."""
    _make_a_first_route()  # which both will need
    return Copy(partial(_answer_into, told, question), keeping=told)


if __name__ == "__main__":
    from core.trials import main as run  # the pickled Question is this module's by its real name

    run()
