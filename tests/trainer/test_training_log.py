"""The log of a training is kept with its order: bounded, and through kills and resumes without doubles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlmodel import Session

from storage import orders, turns
from storage.domain.signs import SignKind
from storage.domain.training_log import Entry
from storage.page import order_page
from storage.result import result_of
from storage.tables import PlanRow
from storage.view import collect, log_of
from storage.watching import signs_of
from tests.trainer.conftest import MakeBench
from tests.trainer.ordering import order_of, script
from trainer import settings
from trainer.events import Logged
from trainer.job import take_turn
from trainer.records import note
from trainer.settings import WorkerSettings
from trainer.turn import Bench


async def log_after_training(bench: Bench, interaction: str) -> tuple[Entry, ...]:
    order_id = await order_of(bench.database, bench.engine, bench.artifacts, interaction)
    for n in range(12):
        await take_turn(bench, f"{interaction}-{n}")
    return await bench.database.transact(log_of, order_id)


async def test_a_killed_and_resumed_training_has_every_entry_once(make_bench: MakeBench) -> None:
    calm = await log_after_training(await make_bench(), "1")
    kills = script({"at": "train", "step": 5, "do": "kill"}, {"at": "checkpointed", "step": 8, "do": "kill"})
    assert [entry.step for entry in calm] == [2, 4, 6, 8, 10]
    bench = await make_bench(script=kills)
    order_id = await order_of(bench.database, bench.engine, bench.artifacts, "2")
    for n in range(12):
        await take_turn(bench, f"killed-{n}")
    disturbed = await bench.database.transact(log_of, order_id)
    assert [entry.step for entry in disturbed] == [2, 4, 6, 8, 10]
    assert [entry.loss_ratio for entry in disturbed] == [entry.loss_ratio for entry in calm]
    assert len({entry.loss for entry in disturbed}) == 5


async def test_a_long_training_keeps_no_more_than_a_thousand_entries(bench: Bench) -> None:
    order_id = await order_of(bench.database, bench.engine, bench.artifacts, "1")

    def lengthened(session: Session) -> None:
        row = session.get_one(PlanRow, order_id)
        row.plan_json = replace(orders.plan_of(session, order_id), steps=40_000).to_json()

    await bench.database.transact(lengthened)
    taken = await bench.database.transact(turns.pick, bench.engine, "x", ("pocket",), "k")
    assert taken is not None
    said = [
        Logged(step=s, loss=0.1, loss_ratio=1.0, learning_rate=1e-4, steps_per_s=1.0, memory_mib=1)
        for s in range(10, 40_001, 10)
    ]
    await bench.database.transact(note, taken, None, said)
    kept = await bench.database.transact(log_of, order_id)
    assert len(kept) == 1000
    assert [kept[0].step, kept[-1].step] == [40, 40_000]


def test_a_folder_for_tensorboard_without_its_library_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = WorkerSettings(data_dir=tmp_path, logs_dir=tmp_path / "logs")
    assert given.logs_of("4k7m2p9x") == str(tmp_path / "logs/4k7m2p9x")
    assert WorkerSettings(data_dir=tmp_path).logs_of("4k7m2p9x") == ""
    monkeypatch.setattr(settings, "writes_tensorboard", lambda: False)
    with pytest.raises(ValidationError, match=r"install lorasmith\[logs\]"):
        WorkerSettings(data_dir=tmp_path, logs_dir=tmp_path / "logs")


async def test_a_sign_is_kept_once_as_it_was_first_seen_and_goes_to_page_and_result(bench: Bench) -> None:
    order_id = await order_of(bench.database, bench.engine, bench.artifacts, "1")
    taken = await bench.database.transact(turns.pick, bench.engine, "x", ("pocket",), "k")
    assert taken is not None

    def said(ratios: dict[int, float]) -> list[Logged]:
        return [
            Logged(step=s, loss=0.1, loss_ratio=r, learning_rate=1e-4, steps_per_s=1.0, memory_mib=1)
            for s, r in ratios.items()
        ]

    await bench.database.transact(note, taken, None, said({1: 0.9, 2: 0.9, 3: 0.9, 4: 1.4}))
    assert await bench.database.transact(signs_of, order_id) == ()
    await bench.database.transact(note, taken, None, said({5: 1.4}))
    await bench.database.transact(note, taken, None, said({4: 0.9, 5: 0.9, 6: 1.4, 7: 1.4}))
    (sign,) = await bench.database.transact(signs_of, order_id)
    assert (sign.kind, sign.step) == (SignKind.JUMPING, 5)
    view = await bench.database.transact(collect, order_id)
    assert view.signs == (sign,)
    assert result_of(view, {})["signs"] == [{"kind": "jumping", "step": 5, "value": sign.value}]
    assert "Step 5: its error jumps up again" in order_page(view)
