"""What is deleted when: pictures of ended orders, resume states, what the operator's retention no longer keeps."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from storage import orders, retention
from storage.artifacts import Artifacts
from storage.database import Database
from storage.domain.errors import Fault, OrderRefused
from storage.domain.lifecycle import Stage
from storage.domain.measurement import Measurement
from storage.engine import Engine
from storage.settings import StorageSettings
from storage.tables import Checkpoint, Order, now
from tests.storage.making import draft, started

FILES = (
    "pictures/0.jpg",
    "state/50/state.safetensors",
    "checkpoints/50/lora.safetensors",
    "checkpoints/100/lora.safetensors",
    "delivery/lora.safetensors",
)


@pytest.fixture
def artifacts(settings: StorageSettings) -> Artifacts:
    return Artifacts(settings)


async def fill(artifacts: Artifacts, order: Order) -> None:
    for name in FILES:
        await artifacts.put(f"orders/{order.id}/{name}", b"x")


async def left(artifacts: Artifacts, order: Order) -> list[str]:
    home = f"orders/{order.id}"
    return [key.removeprefix(f"{home}/") for key in await artifacts.list(home)]


async def tidy(database: Database, artifacts: Artifacts, settings: StorageSettings) -> int:
    return await retention.tidy(database, artifacts, settings, grace_s=0)


def backdate(database: Database, order: Order, days: float) -> None:
    with database.session() as session:
        row = session.get_one(Order, order.id)
        assert row.finished_at is not None
        row.finished_at -= timedelta(days=days)
        if row.expires_at is not None:
            row.expires_at -= timedelta(days=days)


async def test_open_orders_lose_nothing_and_cancelled_ones_lose_their_pictures(
    database: Database, artifacts: Artifacts, settings: StorageSettings, client: Engine
) -> None:
    with database.session() as session:
        running = started(session, client, "1")
        cancelled = started(session, client, "2", owner="bob")
        orders.cancel(session, client, cancelled.id)
        waiting = draft(session, "3")
    for order in (running, cancelled, waiting):
        await fill(artifacts, order)
    assert await retention.tidy(database, artifacts, settings) == 0, "a download may still be under way"
    assert await tidy(database, artifacts, settings) == 1
    assert await tidy(database, artifacts, settings) == 0
    assert len(await left(artifacts, running)) == len(await left(artifacts, waiting)) == len(FILES)
    assert await left(artifacts, cancelled) == sorted(f for f in FILES if not f.startswith(("pictures", "state")))
    with database.session() as session:
        assert orders.kept(session, cancelled.id) == []
        assert {p.source_url for p in orders.pictures_of(session, cancelled.id)} == {""}
    backdate(database, cancelled, 31)
    assert await tidy(database, artifacts, settings) == 1
    assert await left(artifacts, cancelled) == []


async def test_expired_drafts_lose_their_pictures(
    database: Database, artifacts: Artifacts, settings: StorageSettings
) -> None:
    with database.session() as session:
        order = draft(session)
        order.expires_at = now()
        session.flush()
        orders.expire_drafts(session, now())
    await fill(artifacts, order)
    assert await tidy(database, artifacts, settings) == 1
    assert "pictures/0.jpg" not in await left(artifacts, order)


async def test_a_failed_orders_pictures_wait_for_retry_and_then_go(
    database: Database, artifacts: Artifacts, settings: StorageSettings, client: Engine
) -> None:
    with database.session() as session:
        order = started(session, client)
        orders.fail(session, client, order.id, Fault.MACHINE, "x")
    await fill(artifacts, order)
    with database.session() as session:
        assert orders.expire_failed(session, now(), settings.retry_days) == []
        assert orders.can_retry(session.get_one(Order, order.id))
    assert await tidy(database, artifacts, settings) == 0
    backdate(database, order, 8)
    with database.session() as session:
        assert orders.expire_failed(session, now(), settings.retry_days) == [order.id]
    assert await tidy(database, artifacts, settings) == 1
    assert "pictures/0.jpg" not in await left(artifacts, order)
    assert "checkpoints/50/lora.safetensors" in await left(artifacts, order)
    with pytest.raises(OrderRefused, match="too_late"), database.session() as session:
        orders.retry(session, client, order.id)
    backdate(database, order, 31)
    assert await tidy(database, artifacts, settings) == 1
    assert await left(artifacts, order) == []


def test_the_operator_says_how_long_a_failed_order_can_be_tried_again(database: Database, client: Engine) -> None:
    with database.session() as session:
        order = started(session, client)
        orders.fail(session, client, order.id, Fault.MACHINE, "x")
        assert orders.expire_failed(session, now() + timedelta(days=2), 3.0) == []
        assert orders.expire_failed(session, now() + timedelta(days=4), 3.0) == [order.id]


async def test_a_failure_that_a_retry_cannot_help_keeps_no_pictures(
    database: Database, artifacts: Artifacts, settings: StorageSettings, client: Engine
) -> None:
    with database.session() as session:
        order = started(session, client)
        orders.fail(session, client, order.id, Fault.PROGRAM, "every checkpoint is broken", can_retry=False)
        assert not orders.can_retry(order)
        with pytest.raises(OrderRefused, match="too_late"):
            orders.retry(session, client, order.id)
        assert orders.expire_failed(session, now(), 7.0) == []
    await fill(artifacts, order)
    assert await tidy(database, artifacts, settings) == 1
    assert "pictures/0.jpg" not in await left(artifacts, order)
    backdate(database, order, 8)
    with database.session() as session:
        assert orders.expire_failed(session, now(), 7.0) == [order.id]


async def test_a_delivered_order_keeps_its_checkpoints_until_the_retention_and_its_delivery_for_good(
    database: Database, artifacts: Artifacts, settings: StorageSettings, client: Engine
) -> None:
    with database.session() as session:
        order = started(session, client)
        for stage in (Stage.TRAINING, Stage.VOTING, Stage.SCALING, Stage.DELIVERING, Stage.DELIVERED):
            orders.move(session, client, order.id, stage)
        order.chosen_step = 50
        for step in (50, 100):
            session.add(
                Checkpoint(
                    order_id=order.id,
                    step=step,
                    lora_artifact="a",
                    lora_sha256="s",
                    lora_bytes=1,
                    grid_artifact="g",
                    measurement_json="",
                )
            )
    await fill(artifacts, order)
    assert await tidy(database, artifacts, settings) == 1
    assert await left(artifacts, order) == sorted(f for f in FILES if not f.startswith("state"))
    assert await tidy(database, artifacts, settings) == 0
    backdate(database, order, 31)
    kept_for_ever = settings.model_copy(update={"retention_days": None})
    assert await tidy(database, artifacts, kept_for_ever) == 0
    assert await tidy(database, artifacts, settings) == 1
    assert await left(artifacts, order) == ["checkpoints/50/lora.safetensors", "delivery/lora.safetensors"]
    assert await tidy(database, artifacts, settings) == 0


async def test_the_ceiling_and_a_full_disk_say_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = StorageSettings(data_dir=tmp_path, disk_ceiling_gb=0.000001)
    artifacts = Artifacts(settings)
    assert not await retention.is_full(artifacts, settings)
    await artifacts.put("a", b"0" * 1000)
    assert await retention.is_full(artifacts, settings)
    unlimited = StorageSettings(data_dir=tmp_path)
    assert not await retention.is_full(artifacts, unlimited)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(10, 9, 1))
    assert await retention.is_full(artifacts, unlimited)


def measured(utility: float) -> str:
    return Measurement(
        validation_ratio=None,
        training_ratio=None,
        likeness=None,
        adherence=None,
        variety=None,
        leakage=None,
        memorisation=None,
        utility=utility,
        utilities=(utility,),
        flags=(),
        seconds=1.0,
    ).to_json()


async def test_of_a_delivered_order_the_chosen_the_best_and_the_last_checkpoints_stay_where_the_operator_says_so(
    database: Database, artifacts: Artifacts, settings: StorageSettings, client: Engine
) -> None:
    utilities = {50: 0.1, 100: 0.8, 150: 0.2, 200: 0.3}
    with database.session() as session:
        order = started(session, client)
        for step, utility in utilities.items():
            session.add(
                Checkpoint(
                    order_id=order.id,
                    step=step,
                    lora_artifact=f"orders/{order.id}/checkpoints/{step}/lora.safetensors",
                    lora_sha256="0",
                    lora_bytes=1,
                    grid_artifact="",
                    previews_json="[]",
                    measurement_json=measured(utility),
                )
            )
        order.chosen_step, order.stage, order.finished_at = 50, Stage.DELIVERED.value, now()
    for step in utilities:
        await artifacts.put(f"orders/{order.id}/checkpoints/{step}/lora.safetensors", b"x")
    keeping = settings.model_copy(update={"keep_best": 1, "keep_last": 1})
    assert await tidy(database, artifacts, keeping) == 1
    kept = {int(key.split("/")[1]) for key in await left(artifacts, order)}
    assert kept == {50, 100, 200}
