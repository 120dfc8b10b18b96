"""What the bot logs of an order bears the order's id, so that a collector finds all of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from bot import announcer, sharing
from bot.announcer import Announcer
from bot.intake import Intake
from bot.parts import Parts
from bot.settings import BotSettings
from bot.shown import Shown
from storage import logs, shares
from storage.domain.errors import OrderFault, OrderRefused
from storage.tables import Order, Share, now

ORDER = "abcd2345"


class Away:
    """A database, store and client of which every call fails but those that are answered."""

    def __init__(self, settings: BotSettings, answers: dict[object, object]) -> None:
        self.settings, self.answers = settings, answers
        self.database = self.artifacts = self.discord = self

    def is_ready(self) -> bool:
        return True

    def get_guild(self, _: int) -> object:
        return self

    async def transact(self, what: Callable[..., object], *_: object, **__: object) -> object:
        if what in self.answers:
            return self.answers[what]
        raise OrderRefused(OrderFault.TOO_LATE)

    async def delete(self, _: str) -> None:
        raise ConnectionError


def parts(folder: Path, answers: dict[object, object]) -> Parts:
    settings = BotSettings(token="t", data_dir=folder, look_s=0.01, _env_file=None)
    settings = settings.model_copy(update={"hub_namespace": "lora"})  # without a look for the hub's token
    return cast(Parts, Away(settings, answers))


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, Any]]]:
    """The lines as a collector reads them."""
    caplog.set_level("INFO")
    monkeypatch.setattr(caplog.handler, "formatter", logs.Lines("bot"))
    return lambda: [json.loads(line) for line in caplog.text.splitlines() if '"from": "bot.' in line]


async def test_an_order_that_cannot_be_shown_is_logged_with_its_id(
    tmp_path: Path, said: Callable[[], list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: Shown) -> None:
        raise ConnectionError

    it = Shown(order=Order(id=ORDER, community_id="7", stage="queued"), removed=False, mention=False)
    shows = Announcer(parts(tmp_path, {announcer.look: [it]}))
    monkeypatch.setattr(shows.threads, "show", away)
    await shows._look()
    await asyncio.gather(*shows._working.values())
    assert [line["order"] for line in said()] == [ORDER]


async def test_a_draft_whose_pictures_are_not_finished_is_logged_with_its_id(
    tmp_path: Path, said: Callable[[], list[dict[str, Any]]]
) -> None:
    takes = Intake(parts(tmp_path, {}), cast(Any, None), cast(Any, None))
    takes.settle(ORDER)
    await asyncio.gather(*takes._working.values(), return_exceptions=True)
    await asyncio.sleep(0)
    assert [(line["level"], line.get("order")) for line in said()] == [("info", ORDER), ("error", ORDER)]


async def test_an_order_that_is_not_shared_yet_is_logged_with_its_id(
    tmp_path: Path, said: Callable[[], list[dict[str, Any]]]
) -> None:
    row = Share(order_id=ORDER, repository="lora/x", next_at=now() - timedelta(seconds=1))
    loop = asyncio.create_task(sharing.run(parts(tmp_path, {shares.due: [row], shares.failed: None})))
    while not said():  # noqa: ASYNC110  # nothing announces it
        await asyncio.sleep(0.005)
    loop.cancel()
    assert said()[0]["order"] == ORDER
