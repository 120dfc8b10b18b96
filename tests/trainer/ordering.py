"""What the supervisor's tests build: orders with stored pictures, a bench with the scripted child, and turns taken from it."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from dataclasses import replace
from pathlib import Path

from PIL import Image
from sqlmodel import Session

from storage import orders
from storage.artifacts import Artifacts
from storage.database import Database
from storage.domain.orders import SubjectType
from storage.domain.plan import Plan, shortened
from storage.domain.recipes import PictureOf, plan_for
from storage.pieces import Enqueues
from storage.tables import Order
from trainer.child import Launch
from trainer.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, str(Path(__file__).with_name("scripted_child.py")))
STEPS = 10
"""Checkpoints at 2, 4, 6, 8 and 10."""


FIRST, LAST = 2, 4
"""The checkpoints of a tiny plan."""


def tiny(plan: Plan) -> Plan:
    """Four steps, two checkpoints, three prompts, two sampler steps: seconds for the real child on a tiny base."""
    rows = [p for p in plan.prompts if p.with_trigger][:2] + [p for p in plan.prompts if not p.with_trigger][:1]
    return replace(
        plan,
        steps=LAST,
        checkpoint_steps=(FIRST, LAST),
        warmup_steps=1,
        batch_size=2,
        rank=2,
        resolution=32,
        targets="attention",
        prompts=tuple(rows),
        preview_steps=2,
        guidance=2.0,
    )


class Scripted(WorkerSettings):
    """A worker whose child is the scripted one."""

    script: str = "[]"
    memory: Path = Path()
    step_s: float = 0.002
    ready: str = '{"device": "cpu"}'
    """What it says that it computes on."""
    seen: str = '{"pictures": {}, "whole": "[]", "captions": {}}'
    """What the look at the pictures finds."""

    def launch(self) -> Launch:
        """As the worker's, with another program."""
        environment = {
            "SCRIPT": self.script,
            "SCRIPT_MEMORY": str(self.memory),
            "STEP_S": str(self.step_s),
            "SCRIPT_SEEN": self.seen,
            "SCRIPT_READY": self.ready,
            "PYTHONPATH": str(ROOT),
        }
        return replace(super().launch(), program=PROGRAM, environment=environment, nice=0)


def script(*rules: dict[str, object]) -> str:
    """Misbehaviour of the scripted child."""
    return json.dumps(list(rules))


def a_plan(order: Order, picture_ids: list[str], steps: int = STEPS) -> Plan:
    """The recipe of an order's base with few steps and evenly spaced checkpoints."""
    plan = plan_for(
        base=order.base,
        subject_type=SubjectType.OBJECT,
        class_word="toy",
        trigger=order.trigger,
        seed=order.seed,
        pictures=[PictureOf(id=id_, dhash=n) for n, id_ in enumerate(picture_ids)],
    )
    return replace(shortened(plan, steps), checkpoint_steps=tuple(range(2, steps + 1, 2)), early_stop=False)


async def order_of(
    database: Database,
    engine: Enqueues,
    artifacts: Artifacts,
    interaction: str = "1",
    *,
    community: str = "A",
    pictures: int = 6,
    steps: int = STEPS,
    base: str = "pocket",
) -> str:
    """A started order with stored pictures; gives back its id."""
    order = await database.transact(_draft, interaction, community, pictures, base)
    for n in range(pictures):
        data = _jpeg(n)
        key = f"orders/{order.id}/pictures/{n}.jpg"
        await artifacts.put(key, data)
        await database.transact(_keep, f"{order.id}-p{n}", key, hashlib.sha256(data).hexdigest())
    plan = a_plan(order, [f"{order.id}-p{n}" for n in range(pictures)], steps)
    await database.transact(orders.start, engine, order.id, plan)
    return order.id


def _draft(session: Session, interaction: str, community: str, pictures: int, base: str) -> Order:
    return orders.open_draft(
        session,
        interaction_id=interaction,
        token="t",
        community_id=community,
        owner_id=f"owner-{interaction}",
        channel_id="c",
        name="blue cat",
        subject_type="object",
        class_word="toy",
        base=base,
        links=[(f"https://cdn/{n}.png", f"{n}.png", 1000) for n in range(pictures)],
    )


def _keep(session: Session, picture_id: str, key: str, sha256: str) -> None:
    orders.keep_picture(session, picture_id, sha256=sha256, dhash="0" * 16, width=64, height=64, artifact=key)


def _jpeg(n: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), (40 * n % 255, 90, 120)).save(out, "JPEG")
    return out.getvalue()
