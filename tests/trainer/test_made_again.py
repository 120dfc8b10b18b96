"""An order of the bot's is made again by its plan, without Discord: the child is told the same, and equal jobs are equal files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session

from storage import orders
from storage.captions import write_captions
from storage.doctor import admit
from storage.domain.orders import SubjectType
from storage.domain.recipes import PictureOf, plan_for
from storage.pictures import Checker, limits_for
from storage.plan_order import exported
from storage.tables import Order
from tests.builders import drawn_pictures
from tests.trainer.ordering import Scripted, script
from trainer.alone import train
from trainer.job import take_turn
from trainer.train_options import parse
from trainer.turn import Bench
from trainer.worker import opened

OWN = "a zorvex creature on a bed"


def settings(place: Path, memory: Path, migrated: Path, rules: str = "[]", threads: int = 1) -> Scripted:
    (place / ".lorasmith").mkdir(parents=True)
    memory.mkdir()
    shutil.copy(migrated, place / ".lorasmith/lorasmith.db")
    return Scripted(
        data_dir=place / ".lorasmith", device="cpu", threads=threads, lease_s=1e9, script=rules, memory=memory
    )


async def ordered(bench: Bench, folder: Path) -> str:
    """As the bot does it: a draft of a member's links, its pictures checked and kept, a caption corrected, Start."""

    def drafted(session: Session) -> Order:
        return orders.open_draft(
            session,
            interaction_id="1234567890",
            token="t",
            community_id="42",
            owner_id="7",
            channel_id="9",
            name="my cat",
            subject_type="character",
            class_word="creature",
            base="pocket",
            links=[(file.as_uri(), file.name, 1000) for file in sorted(folder.glob("*.png"))],
            trigger="zorvex",
        )

    order, checker = await bench.database.transact(drafted), Checker()
    for picture in await bench.database.transact(orders.linked, order.id):
        checked = await checker.check(folder / picture.source_name, limits_for("pocket"))
        await admit(bench.database, bench.artifacts, picture, checked, twin=None)
    await checker.close()

    def started(session: Session) -> None:
        write_captions(session, order.id, {"1.png": OWN}, "owner")
        kept = [PictureOf(id=p.id, dhash=int(p.dhash, 16)) for p in orders.kept(session, order.id)]
        plan = plan_for(
            base="pocket",
            subject_type=SubjectType.CHARACTER,
            class_word="creature",
            trigger="zorvex",
            seed=order.seed,
            pictures=kept,
        )
        orders.start(session, bench.engine, order.id, plan)

    await bench.database.transact(started)
    return order.id


def told(place: Path) -> dict[str, Any]:
    """The newest job, without where its weights lie."""
    file = max((place / ".lorasmith").glob("**/job.json"), key=lambda found: found.stat().st_mtime)
    return {name: value for name, value in json.loads(file.read_text()).items() if name != "base"}


async def test_an_order_of_the_bots_is_made_again_from_its_plan_and_its_pictures(
    tmp_path: Path, migrated_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for n, picture in enumerate(drawn_pictures(6)):
        picture.save(folder / f"{n}.png")
    left = script({"at": "train", "step": 3, "do": "depart"})
    async with opened(
        settings(tmp_path / "bot", tmp_path / "m1", migrated_file, left), "worker:1", serves=False
    ) as bench:
        try:
            await bench.seat.prove()
            order_id = await ordered(bench, folder)
            while (await bench.database.transact(orders.locked_order, order_id)).stage in ("queued", "training"):
                await take_turn(bench, "worker:1")
            text = await bench.database.transact(exported, order_id)
        finally:
            await bench.seat.leave()
            await bench.engine.close()
    was = told(tmp_path / "bot")
    (tmp_path / "plan.yaml").write_text(text)
    (folder / "1.txt").write_text(OWN)
    wish, _ = parse([str(folder), "--plan", str(tmp_path / "plan.yaml"), "--out", str(tmp_path / "again")])
    view = await train(wish, settings(tmp_path / "again", tmp_path / "m2", migrated_file, threads=2))
    assert "order of its own" not in capsys.readouterr().err
    assert view.id == order_id
    assert told(tmp_path / "again") == was
    assert (json.loads(was["fit"])["threads"], len(was["departures"])) == (1, 1)
    assert OWN in [picture["caption"] for picture in was["pictures"]]
