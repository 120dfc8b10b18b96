"""Which orders are counted anew: nothing that was to be looked at is forgotten because something else failed."""

from __future__ import annotations

from typing import Any

import pytest

from bot import recount

Bench = Any


@pytest.mark.parametrize("failing", ["_orders_of", "look_at"])
async def test_a_vote_is_counted_although_the_database_failed_when_it_was_heard_of(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    await bench.bot()
    order_id = await bench.order()
    await bench.checkpoint(order_id, 2)
    grid = await bench.grid(order_id, 2)
    real, fails = getattr(recount, failing), [OSError("the disk is away")]

    def now_and_then(*arguments: Any) -> Any:
        if fails:
            raise fails.pop()
        return real(*arguments)

    monkeypatch.setattr(recount, "AGAIN_S", 0.1)
    monkeypatch.setattr(recount, failing, now_and_then)
    await (await bench.member("Bruno")).react(grid, "👍")

    async def failed_and_counted() -> bool:
        return bool(not fails and await bench.votes(order_id) == {2: 1})

    await bench.until(failed_and_counted)
