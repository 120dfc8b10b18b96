"""Delivered orders on the operator's model hub: after the delivery, once, and never in its way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants
from pydantic import ValidationError
from sqlmodel import Session, select

from bot import settings as bot_settings
from bot.removal import mark_removed
from bot.settings import BotSettings
from storage import shares
from storage.domain.lifecycle import Stage
from storage.lora_file import About, metadata_for, write_lora
from storage.tables import Share
from tests.storage.hub_store import TOKEN, Store, serving

Bench = Any
pytestmark = pytest.mark.filterwarnings(
    r"ignore:Use 'content=<...>' to upload raw:DeprecationWarning"
)  # huggingface_hub's own


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", constants.HF_HUB_DISABLE_XET)
    monkeypatch.setattr(shares, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with serving(Store()) as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        yield running


def lora(folder: Path, order_id: str) -> bytes:
    tensors = {"lora_unet_a.lora_down.weight": np.ones((4, 8), np.float32)}
    about = About(
        title="cat", architecture="pocket", base="pocket", trigger="zorvex", class_word="cat", subject="character", rank=4,
        alpha=4.0, conv=False, width=64, height=64, pictures=7, step=8, steps=10, batch=8, learning_rate=5e-4, seed=5,
        precision="no", created_at=datetime(2025, 1, 2, tzinfo=UTC), order=order_id,
    )  # fmt: skip
    write_lora(folder / "a.safetensors", tensors, metadata_for(about, tensors))
    return (folder / "a.safetensors").read_bytes()


async def delivered(bench: Bench, running: Any, folder: Path, **fields: Any) -> str:
    order_id: str = await bench.order(**fields)
    await bench.trained(order_id)
    await bench.vote(running, order_id)
    await bench.due(order_id)
    await bench.stage(order_id, Stage.SCALING)
    await bench.swept(running, order_id, lora(folder, order_id))
    await bench.stage(order_id, Stage.DELIVERED)
    return order_id


def the_row(session: Session, order_id: str) -> Share | None:
    return session.exec(select(Share).where(Share.order_id == order_id)).first()


async def shared(bench: Bench, order_id: str) -> Share:
    async def told() -> Share | None:
        row = await bench.database.transact(the_row, order_id)
        return row if row is not None and row.told else None

    found: Share = await bench.until(told)
    return found


async def test_a_delivered_order_is_put_there_in_private_and_the_card_shows_the_link(
    bench: Bench, store: Store, tmp_path: Path
) -> None:
    running = await bench.bot(hub_namespace="ann")
    order_id = await delivered(bench, running, tmp_path)
    row = await shared(bench, order_id)
    made = store.repositories[row.repository]
    assert row.repository == f"ann/blue-cat-{order_id}"
    assert made.private
    assert made.commits == 1
    assert {"README.md", "cat.safetensors", "cat.json", "grids/step-8.png"} <= set(made.files)
    card = await bench.said(order_id, f"{store.url}/ann/blue-cat-{order_id}")
    assert "is ready" in card.content
    assert len(card.files) == 4, "the files stay on the card"
    assert b"Blue cat" in made.files["README.md"]


async def test_a_hub_that_fails_holds_up_no_delivery_and_is_tried_again_without_doubles(
    bench: Bench, store: Store, tmp_path: Path
) -> None:
    store.refuse = {"commit": 500}
    running = await bench.bot(hub_namespace="ann")
    order_id = await delivered(bench, running, tmp_path)
    assert "is ready" in (await bench.said(order_id, "is ready")).content

    async def failed() -> bool:
        row = await bench.database.transact(the_row, order_id)
        return row is not None and row.tries > 0

    await bench.until(failed)
    await running.kill()
    store.refuse = {}
    await bench.bot(hub_namespace="ann")
    row = await shared(bench, order_id)
    assert list(store.repositories) == [row.repository]
    assert store.repositories[row.repository].commits == 1
    assert store.asked.count("put") == len(set(store.blobs)), "nothing was sent twice"


async def test_a_removed_order_is_taken_from_the_hub_again(bench: Bench, store: Store, tmp_path: Path) -> None:
    running = await bench.bot(hub_namespace="ann")
    order_id = await delivered(bench, running, tmp_path)
    await shared(bench, order_id)
    await bench.database.transact(mark_removed, order_id, "moderator:1", "asked for")
    await bench.until(lambda: not store.repositories)


async def test_nothing_is_shared_unless_the_operator_says_so(bench: Bench, store: Store, tmp_path: Path) -> None:
    running = await bench.bot()
    order_id = await delivered(bench, running, tmp_path)
    assert await bench.database.transact(the_row, order_id) is None
    assert store.asked == []


def test_a_setting_that_cannot_work_is_refused_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert BotSettings(token="t", hub_namespace="ann").hub_public is False
    with pytest.raises(ValidationError, match="of letters, digits and -"):
        BotSettings(token="t", hub_namespace="ann/cat")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ValidationError, match="set HF_TOKEN"):
        BotSettings(token="t", hub_namespace="ann")
    monkeypatch.setattr(bot_settings.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ValidationError, match=r"install lorasmith\[hub\]"):
        BotSettings(token="t", hub_namespace="ann")
