"""One trace tells of a request and of everything that followed from it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.tower import query


async def _what_follows_keeps_the_trace(bells: Any) -> None:
    async def answer(session: Any, event: Any, delivery: Any) -> None:
        if event.bell < 100:
            await bells.tower.strike(session, event.bell + 100)

    from core.plugin import on

    bells.ledger.subscriptions = bells.ledger.hookimpl(lambda: [on(bells.tower.Struck, answer)])
    await bells.swap("tower")
    for bell in range(10):
        await bells.strike(bell)  # each under a trace of its own
    await bells.swap("tower", "ledger")
    rows = "SELECT aggregate_id, headers FROM core_outbox"
    await bells.until(lambda: len(query(bells.url, rows)) == 20)
    traces = {int(which): trace for which, trace in query(bells.url, rows)}
    assert len({traces[bell] for bell in range(10)}) == 10
    assert [traces[bell + 100] for bell in range(10)] == [traces[bell] for bell in range(10)]


async def test_what_a_handler_records_keeps_the_trace_of_its_event(bells: Any) -> None:
    """Ten events with a trace each, handled together: what is recorded for each has its trace."""
    await _what_follows_keeps_the_trace(bells)


@pytest.mark.kafka
async def test_a_trace_goes_through_kafka(kafka_bells: Any) -> None:
    """The same, where the events have crossed a broker."""
    await _what_follows_keeps_the_trace(kafka_bells)
