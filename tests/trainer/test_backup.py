"""A backup that is made in the middle of an order: restored elsewhere, the order ends as if nothing had been."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sqlmodel import Session, select

from storage import turns
from storage.backup import back_up
from storage.restore import restore
from storage.settings import StorageSettings
from storage.tables import Piece
from tests.trainer.conftest import MakeBench
from tests.trainer.ordering import Scripted
from tests.trainer.taking import an_order, stage, trained, undisturbed
from trainer.job import take_turn
from trainer.turn import Bench
from trainer.worker import opened


async def test_an_order_goes_on_from_a_backup_that_was_made_while_it_trained(
    make_bench: MakeBench, tmp_path: Path
) -> None:
    bench = await make_bench(step_s=0.5)
    order_id = await an_order(bench)
    await take_turn(bench, "first")
    busy = asyncio.create_task(take_turn(bench, "second"))
    while "running" not in str(await bench.database.transact(_states)):  # noqa: ASYNC110  # nothing announces it
        await asyncio.sleep(0.01)
    made = await asyncio.to_thread(back_up, bench.settings, tmp_path / "all.tar")
    await busy
    assert made.files > 8
    await _ends_the_same(bench, order_id, tmp_path)


async def _ends_the_same(bench: Bench, order_id: str, tmp_path: Path) -> None:
    elsewhere = StorageSettings(data_dir=tmp_path / "elsewhere")
    await asyncio.to_thread(restore, elsewhere, tmp_path / "all.tar")
    settings = Scripted(
        data_dir=elsewhere.data_dir, work_dir=tmp_path / "work-there", memory=tmp_path / "memory", device="cpu",
        threads=1, watch_s=0.05,
    )  # fmt: skip
    async with opened(settings, "there", serves=False) as there:
        assert await there.database.transact(_states) == ["running"], "it was made in the middle of a turn"
        try:
            await there.database.transact(turns.give_up, there.engine, bench.executor_id)  # as the reaper does
            assert await trained(there, order_id) == await undisturbed(there, order_id)
            assert await stage(there, order_id) == "voting"
        finally:
            await there.seat.clear()
            await there.engine.close()


def _states(session: Session) -> list[str]:
    return list(session.exec(select(Piece.state)).all())
