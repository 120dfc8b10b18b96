"""The same order once more where nothing dies: what its files have to be, byte for byte."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlmodel import Session, select

from storage import orders, pieces
from storage.artifacts import Artifacts
from storage.database import Database, migrate
from storage.domain.lifecycle import Stage
from storage.settings import StorageSettings
from storage.tables import Community, Delivery, Member, Order, Picture, PlanRow
from trainer.job import take_turn
from trainer.settings import WorkerSettings
from trainer.turn import Bench
from trainer.worker import opened


@dataclass(frozen=True, kw_only=True)
class Files:
    """What an order made: SHA-256 of every checkpoint by step, and of the delivered LoRA."""

    checkpoints: dict[int, str]
    delivered: str


async def files_of(database: Database, artifacts: Artifacts, order_id: str) -> Files:
    """Read from the artifacts themselves, not from what rows say of them."""
    rows = await database.transact(orders.checkpoints_of, order_id)
    delivery = await database.transact(_delivery, order_id)
    lora = json.loads(delivery.files_json)["lora"]
    return Files(
        checkpoints={c.step: await _sha256(artifacts, c.lora_artifact) for c in rows},
        delivered=await _sha256(artifacts, lora),
    )


async def _sha256(artifacts: Artifacts, key: str) -> str:
    return hashlib.sha256(await artifacts.read(key, 1 << 28)).hexdigest()


def _delivery(session: Session, order_id: str) -> Delivery:
    return session.exec(select(Delivery).where(Delivery.order_id == order_id, Delivery.kind == "final")).one()


@asynccontextmanager
async def calm(folder: Path, base: Path, executor_id: str) -> AsyncIterator[Bench]:
    """An installation of its own with one child that lives as long as this block."""
    settings = WorkerSettings(
        data_dir=folder, database_url=None, artifacts_url=None, work_dir=None, base_pocket=str(base),
        device="cpu", threads=1, nice=0, lease_s=1e9,
    )  # fmt: skip
    migrate(settings)
    async with opened(settings, executor_id, serves=False) as bench:
        try:
            yield bench
        finally:
            await bench.seat.leave()
            await bench.engine.close()


async def undisturbed(bench: Bench, storm: StorageSettings, database: Database, order_id: str) -> Files:
    """Carry the order out again from the same rows and pictures, with the checkpoint chosen that was chosen there."""
    here, there = bench.artifacts.folder, Artifacts(storm).folder
    if here is None or there is None:
        raise TypeError("both keep their artifacts in folders")
    shutil.copytree(there / f"orders/{order_id}/pictures", here / f"orders/{order_id}/pictures")
    rows = await database.transact(_rows, order_id)
    await bench.database.transact(_again, bench, rows)
    await _turns_while(bench, order_id, Stage.QUEUED, Stage.TRAINING)
    await bench.database.transact(_choose, bench, order_id, rows.order.chosen_step)
    await _turns_while(bench, order_id, Stage.SCALING)
    return await files_of(bench.database, bench.artifacts, order_id)


@dataclass(frozen=True, kw_only=True)
class _Rows:
    order: Order
    plan: PlanRow
    pictures: list[Picture]


def _rows(session: Session, order_id: str) -> _Rows:
    return _Rows(
        order=session.get_one(Order, order_id),
        plan=session.get_one(PlanRow, order_id),
        pictures=list(orders.pictures_of(session, order_id)),
    )


def _again(session: Session, bench: Bench, rows: _Rows) -> None:
    """The order as it was right after Start."""
    session.merge(Community(id=rows.order.community_id))
    session.merge(Member(community_id=rows.order.community_id, id=rows.order.owner_id))
    session.flush()
    fresh = {
        "stage": "queued",
        "attempt": 1,
        "finished_at": None,
        "scale_json": None,
        "choice_json": None,
        "chosen_step": None,
    }
    order = Order(**{**rows.order.model_dump(), **fresh})
    session.add(order)
    session.flush()
    session.add(PlanRow(**rows.plan.model_dump()))
    session.add_all([Picture(**p.model_dump()) for p in rows.pictures])
    session.flush()
    pieces.add_piece(session, bench.engine, order, "train")


def _choose(session: Session, bench: Bench, order_id: str, step: int) -> None:
    orders.locked_order(session, order_id).chosen_step = step
    orders.move(session, bench.engine, order_id, Stage.SCALING)


async def _turns_while(bench: Bench, order_id: str, *stages: Stage) -> None:
    for n in range(20):
        order = await bench.database.transact(lambda s: s.get_one(Order, order_id))
        if order.stage not in [s.value for s in stages]:
            break
        await take_turn(bench, f"calm-{order_id}-{order.stage}-{n}")
    if order.stage == Stage.FAILED.value:
        raise AssertionError(f"the undisturbed run failed: {order.fault_reason}")
