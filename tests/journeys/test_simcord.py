"""The bot's part of the main journey on a second, independent simulation of Discord: what one author misread, another may not.

simcord runs in this process and has no attachments' server, so the trip begins where Start has left it; everything after
that is the bot's real client with its real wiring. It does not know `enforce_nonce` and keeps no uploaded bytes.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

simcord = pytest.importorskip("simcord")

from bot.absence import Absence  # noqa: E402
from bot.client import LorasmithClient  # noqa: E402
from bot.clock import _Clock  # noqa: E402
from bot.order import Story  # noqa: E402
from bot.parts import Parts  # noqa: E402
from bot.settings import BotSettings  # noqa: E402
from bot.shown import look_at  # noqa: E402
from storage import orders  # noqa: E402
from storage.artifacts import Artifacts  # noqa: E402
from storage.database import Database, migrate  # noqa: E402
from storage.domain.lifecycle import Stage  # noqa: E402
from storage.engine import Engine  # noqa: E402
from storage.tables import Order  # noqa: E402
from tests.bot.hands import Hands, get_row  # noqa: E402


class Trip(Hands):
    """The bot's client on simcord; its loops are turned by hand, because simcord waits for a bot to come to rest."""

    parts: Parts
    story: Story
    client: LorasmithClient

    async def show(self, order_id: str) -> None:
        it = await self.database.transact(look_at, order_id)
        await self.story.announcer.threads.show(it)

    async def row(self, order_id: str) -> Order:
        found: Order = await self.database.transact(get_row, Order, order_id)
        return found


@pytest.fixture
async def trip(tmp_path: Path) -> AsyncIterator[Trip]:
    settings = BotSettings(token="x", data_dir=tmp_path, look_s=0.01, status_s=0.01, recount_s=0.01, _env_file=None)
    await asyncio.to_thread(migrate, settings)
    database = Database(settings)
    made = Trip(database=database, engine=Engine(settings, database, "bot"), artifacts=Artifacts(settings))
    made.client = LorasmithClient(settings)
    made.parts = Parts(
        settings=settings, database=database, engine=made.engine, artifacts=made.artifacts, discord=made.client
    )
    made.story = Story(made.parts)
    made.story.register(made.client.presses)
    made.client.attach(made.parts, made.story, Absence(made.parts))
    yield made
    await made.engine.close()
    database.close()
    shutil.rmtree(tmp_path, ignore_errors=True)


def files_of(message: Any) -> list[str]:
    return [a.filename for a in message.attachments]


async def test_grids_votes_finish_choice_and_card_work_on_a_second_simulation(trip: Trip) -> None:
    async with simcord.run(trip.client) as env:
        guild = env.create_guild()
        channel = guild.create_text_channel("lora")
        ada, bruno, chidi = (guild.add_member(env.create_user(n)) for n in ("ada", "bruno", "chidi"))
        place = {"community_id": str(guild.id), "owner_id": str(ada.id), "channel_id": str(channel.id)}
        order_id = await trip.begin(place)
        await trip.trained(order_id)
        await trip.show(order_id)
        thread = channel.threads[0]
        grids = {f: m for m in thread.history() for f in files_of(m)}
        assert sorted(grids) == sorted(f"{order_id}-{step}.png" for step in (2, 4, 6, 8, 10))

        await trip.move(trip.story, order_id, Stage.VOTING)
        await trip.show(order_id)
        sheet = next(m for m in thread.history() if files_of(m) == [f"{order_id}-sheet.png"])
        await bruno.react(grids[f"{order_id}-4.png"], "👍")
        await bruno.react(sheet, "2️⃣")
        await chidi.react(sheet, "2️⃣")
        await chidi.react(grids[f"{order_id}-8.png"], "👍")
        await chidi.unreact(grids[f"{order_id}-8.png"], "👍")
        await trip.story.recounts.count(order_id)
        votes = {c.step: c.votes for c in await trip.database.transact(orders.checkpoints_of, order_id)}
        assert votes == {2: 0, 4: 2, 6: 0, 8: 0, 10: 0}

        refused = await bruno.click(sheet, custom_id=f"finish:{order_id}")
        assert refused.acknowledged
        assert refused.ephemeral
        await _Clock(trip.parts, trip.story.recounts)._close_ballots()
        assert (await trip.row(order_id)).stage == "voting"
        await ada.click(sheet, custom_id=f"finish:{order_id}")
        await _Clock(trip.parts, trip.story.recounts)._close_ballots()
        order = await trip.row(order_id)
        assert (order.stage, order.chosen_step, order.chosen_because) == ("scaling", 4, "votes")

        await trip.sweep(trip.story, order_id)
        await trip.show(order_id)
        card = thread.last_message
        assert "is ready" in card.content
        assert [f for f in files_of(card) if f.endswith(".safetensors")]
        assert (await trip.row(order_id)).stage == "delivered"
        taken = await ada.click(grids[f"{order_id}-2.png"], custom_id=f"take:{order_id}:2")
        assert taken.ephemeral
