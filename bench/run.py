"""Measure Tessera against what one would write by hand: `make bench`.

    bench/run.py [--only NAME] [--seconds 4] [--rounds 3] [--json]

Needs wrk and taskset, two cores, and PostgreSQL (TESSERA_TEST_POSTGRES_URL, or what dev/services
starts). Writes bench/RESULTS.md when everything was measured. Exits with 1 when a figure falls
short or the rig is wrong, with 2 when it cannot measure.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "RESULTS.md"
sys.path.insert(0, str(ROOT))

from bench import events, rates, report, starts, swap, throughput  # noqa: E402
from bench.figure import Figure, Options  # noqa: E402
from bench.machine import CORES, LOAD_CORE, RigError, needed  # noqa: E402

FIGURES: dict[str, Callable[[Options], Figure]] = {
    "empty": rates.empty_endpoint,
    "modules": rates.hundred_modules,
    "product": rates.product_by_id,
    "order": rates.order_of_one_line,
    "event": events.order_with_its_event,
    "reach": events.reach,
    "kafka": throughput.through_kafka,
    "start": starts.start_up,
    "plugins": starts.fifty_plugins,
    "memory": starts.memory,
    "swap": swap.swaps,
}


def arguments() -> argparse.Namespace:
    """The command line, read."""
    parser = argparse.ArgumentParser("bench/run.py", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--only", action="append", choices=[*FIGURES], metavar="NAME", help=", ".join(FIGURES)
    )
    parser.add_argument("--seconds", type=float, default=4, help="length of one run of the load")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender's turn is")
    parser.add_argument("--json", action="store_true", help="all that was measured, as JSON")
    return parser.parse_args()


def measure(names: list[str], options: Options) -> dict[str, Figure]:
    """The figures by name. Raises RigError."""
    if len(CORES) < 2:
        raise RigError("server and load need a core each, and there is only one")
    for program, package in (("wrk", "wrk"), ("taskset", "util-linux")):
        needed(program, package)
    os.sched_setaffinity(0, {LOAD_CORE})  # waiting for a start must not slow it down
    figures: dict[str, Figure] = {}
    for name in names:
        print(f"bench: {name} …", file=sys.stderr, flush=True)
        figures[name] = FIGURES[name](options)
    return figures


def main() -> int:
    """Measure, print, and write the results down."""
    asked = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no contender outlives the run
    options = Options(seconds=asked.seconds, rounds=asked.rounds)
    try:
        figures = measure(asked.only or [*FIGURES], options)
    except RigError as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 2
    page = report.markdown(figures, options)
    print(json.dumps(report.as_json(figures, options), indent=1) if asked.json else page)
    if not all(rates.rig_is_right(figure) for figure in figures.values()):
        print(
            "bench: the rig is wrong: plain FastAPI is not 0.2 to 0.3 of bare ASGI", file=sys.stderr
        )
        return 1
    if not asked.only:
        RESULTS.write_text(page, encoding="utf-8")
    return 0 if all(v.holds for figure in figures.values() for v in figure.verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
