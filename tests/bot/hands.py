"""Hands that do a worker's part with rows and files, so that tests of the bot need no training."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

from PIL import Image
from sqlmodel import Session

from bot.order import Story
from storage import orders, turns
from storage.artifacts import Artifacts
from storage.database import Database
from storage.domain.lifecycle import Stage
from storage.domain.measurement import Measurement, ScaleChoice, ScalePoint
from storage.domain.orders import SubjectType
from storage.domain.plan import shortened
from storage.domain.recipes import PictureOf, plan_for
from storage.engine import Engine
from storage.tables import Checkpoint, Delivery, Order, Progress

STEPS = (2, 4, 6, 8, 10)


@dataclass(kw_only=True)
class Hands:
    """Writes what a worker would write."""

    database: Database
    engine: Engine
    artifacts: Artifacts
    count: int = 0

    async def begin(self, place: dict[str, str], *, name: str = "Blue cat", **fields: Any) -> str:
        """An order in training, as Start and the first turn leave it; `place` says whose and where."""
        self.count += 1
        words = {
            "interaction_id": f"{self.count}00",
            "token": "",
            "name": name,
            "subject_type": "character",
            "class_word": "cat",
            "base": "pocket",
            "links": [(f"http://x/{k}", f"{k}.png", 10) for k in range(6)],
            **place,
        }
        return await self.database.transact(self._begin, words, fields)

    def _begin(self, session: Session, words: dict[str, Any], fields: dict[str, Any]) -> str:
        order = orders.open_draft(session, **words)
        for k, picture in enumerate(orders.pictures_of(session, order.id)):
            kept = {"sha256": "0" * 64, "dhash": "0" * 16, "width": 64, "height": 64}
            orders.keep_picture(session, picture.id, artifact=f"orders/{order.id}/pictures/{k}.jpg", **kept)
        plan = plan_for(
            base="pocket",
            subject_type=SubjectType.CHARACTER,
            class_word="cat",
            trigger=order.trigger,
            seed=order.seed,
            pictures=[PictureOf(id=f"{k}", dhash=k) for k in range(6)],
        )
        orders.start(session, self.engine, order.id, shortened(plan, STEPS[-1]))
        for key, value in fields.items():
            setattr(order, key, value)
        session.flush()
        assert turns.pick(session, self.engine, "worker", ["pocket"], f"{order.id}:train:1:1") is not None
        return order.id

    async def checkpoint(self, order_id: str, step: int, *, grid: bytes | None = None, **measured: Any) -> None:
        """A checkpoint as a worker stores it: file, grid, row."""
        prefix = f"orders/{order_id}/checkpoints/{step}"
        await self.artifacts.put(f"{prefix}/grid.png", grid or picture(step))
        await self.artifacts.put(f"{prefix}/lora.safetensors", b"L" * 5000)
        row = Checkpoint(
            order_id=order_id,
            step=step,
            lora_artifact=f"{prefix}/lora.safetensors",
            lora_sha256="ab" * 32,
            lora_bytes=5000,
            grid_artifact=f"{prefix}/grid.png",
            measurement_json=measurement(**measured).to_json(),
        )
        await self.database.transact(_add, row)

    async def trained(self, order_id: str, *, steps: tuple[int, ...] = STEPS) -> None:
        """All checkpoints; the measured best is the fourth."""
        for step in steps:
            best = 0.9 if step == STEPS[3] else 0.3 + step / 100
            await self.checkpoint(order_id, step, utilities=(best, best + 0.02, best + 0.01, best))

    async def sweep(
        self, story: Story | None, order_id: str, lora: bytes | None = None, *, compact: bool = False
    ) -> None:
        """The scale is measured and the delivery's files are stored."""
        order = await self.database.transact(get_row, Order, order_id)
        folder = f"orders/{order_id}/delivery"
        files = {
            "lora": (f"{folder}/cat.safetensors", lora or b"L" * 5000),
            "sidecar": (f"{folder}/cat.json", b"{}"),
            "preview": (f"{folder}/cat.png", picture(1)),
            "strip": (f"{folder}/cat-strip.png", picture(2)),
        }
        if compact:
            files["compact"] = (f"{folder}/cat-compact.safetensors", b"C" * 900)
        for key, content in files.values():
            await self.artifacts.put(key, content)
        await self.database.transact(
            _swept, order, {role: key for role, (key, _) in files.items()}, len(lora or b"") or 5000
        )
        await self.move(story, order_id, Stage.DELIVERING)

    async def move(self, story: Story | None, order_id: str, stage: Stage) -> None:
        order = await self.database.transact(orders.move, self.engine, order_id, stage)
        if story is not None:
            await story.on_stage(order_id, stage.value, order.attempt)

    async def progress(self, order_id: str, **values: Any) -> None:
        await self.database.transact(_merge, Progress(order_id=order_id, stage="training", **values))


def picture(seed: int) -> bytes:
    """A small PNG."""
    out = io.BytesIO()
    Image.new("RGB", (70, 60), (seed * 20 % 256, 90, 140)).save(out, "PNG")
    return out.getvalue()


def measurement(**given: Any) -> Measurement:
    """A plausible measurement."""
    values: dict[str, Any] = {
        "validation_ratio": 0.9, "training_ratio": 0.8, "likeness": 0.7, "adherence": 0.95, "variety": 0.9, "leakage": 0.1,
        "memorisation": 0.3, "utility": 0.6, "utilities": (0.6, 0.62), "flags": (), "seconds": 1.0,
    }  # fmt: skip
    return Measurement(**{**values, **given})


def _add(session: Session, row: Any) -> None:
    session.add(row)


def _merge(session: Session, row: Any) -> None:
    session.merge(row)


def get_row(session: Session, table: Any, key: Any) -> Any:
    return session.get(table, key)


def _swept(session: Session, order: Order, files: dict[str, str], lora_bytes: int) -> None:
    points = tuple(
        ScalePoint(scale=s, likeness=0.5, adherence=0.9, leakage=0.1, utility=0.8 - (s - 0.9) ** 2)
        for s in (0.5, 0.75, 1.0, 1.25)
    )
    row = session.get_one(Order, order.id)
    row.scale_json = ScaleChoice(recommended=0.9, low=0.7, high=1.1, points=points).to_json()
    step = row.chosen_step or 0
    session.get_one(Checkpoint, (order.id, step)).lora_bytes = lora_bytes
    session.merge(
        Delivery(
            id=f"{order.id}:final:{step}",
            order_id=order.id,
            kind="final",
            step=step,
            files_json=json.dumps(files),
            way="attach",
        )
    )
