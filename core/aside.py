"""Work in a thread beside the main one, as a server builds its generations.

A command that loads modules does it the same way, so that one module is the same to both: one that
installs a signal handler when it is imported, say, which only the main thread may.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def aside(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a function gives or raises that works in a thread of its own. Blocks; Ctrl-C ends it."""
    context = contextvars.copy_context()
    done: Future[T] = Future()

    def work() -> None:
        try:
            done.set_result(context.run(function, *args, **kwargs))
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=work, name="tessera-aside", daemon=True).start()
    return done.result()
