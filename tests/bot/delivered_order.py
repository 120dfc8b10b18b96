"""A delivered order as rows and files, with one of everything: six checkpoints, votes, a departure, a scale, a log."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, replace

import numpy as np
from PIL import Image
from sqlmodel import Session, SQLModel

from storage.artifacts import Artifacts
from storage.domain.choice import Because, Choice
from storage.domain.measurement import ScalePoint
from storage.domain.orders import SubjectType
from storage.domain.plan import Plan
from storage.domain.recipes import PictureOf, plan_for
from storage.domain.scale import choose_scale
from storage.tables import Checkpoint, Community, Delivery, DepartureRow, LogEntry, Order, PlanRow
from tests.bot.hands import measurement

ORDER = "4k7m2p9x"
STEPS = (40, 64, 96, 128, 160, 192)


async def put_pictures(artifacts: Artifacts) -> None:
    """Its grids and its strip."""
    for step in STEPS:
        await artifacts.put(f"orders/{ORDER}/checkpoints/{step}/grid.png", drawn(step, (810, 1272)))
    await artifacts.put(f"orders/{ORDER}/strip.png", drawn(1, (1008, 678)))


def put_order(session: Session) -> None:
    """Its rows; the third of six checkpoints was chosen."""
    plan = plan_for(
        base="pocket", subject_type=SubjectType.CHARACTER, class_word="cat", trigger="zorvex", seed=5,
        pictures=[PictureOf(id=f"{ORDER}-p{k}", dhash=k) for k in range(8)],
    )  # fmt: skip
    plan = replace(plan, steps=STEPS[-1], checkpoint_steps=STEPS)
    for rows in ([Community(id="1")], [order_row()], [*rows_of(plan), *map(checkpoint, STEPS)]):
        session.add_all(rows)
        session.flush()


def order_row() -> Order:
    """With as long a name as there may be."""
    choice = Choice(step=96, because=Because.VOTES, measured_best=128, votes=4, runner_up_votes=2, pseudo_votes=1.0)
    points = [
        ScalePoint(scale=s, likeness=0.5, adherence=0.9, leakage=0.1, utility=0.8 - (s - 0.9) ** 2)
        for s in (0.25, 0.5, 0.75, 1.0, 1.25)
    ]
    return Order(
        id=ORDER, interaction_id="1", community_id="1", owner_id="2", channel_id="3", name="A" * 60 + " blue cat " + "b" * 20,
        subject_type="character", class_word="cat", trigger="zorvex", base="pocket", stage="delivered", seed=5,
        chosen_step=96, choice_json=json.dumps(asdict(choice)), scale_json=choose_scale(points).to_json(),
    )  # fmt: skip


def rows_of(plan: Plan) -> list[SQLModel]:
    """Plan, departure, delivery, log."""
    log = [
        LogEntry(
            order_id=ORDER, step=step, loss=0.2, loss_ratio=1 - step / 900, learning_rate=plan.learning_rate, steps_per_s=2.5,
            memory_mib=700,
        )
        for step in range(10, STEPS[-1], 10)
    ]  # fmt: skip
    files = json.dumps({"strip": f"orders/{ORDER}/strip.png"})
    return [
        PlanRow(order_id=ORDER, plan_json=plan.to_json()),
        DepartureRow(order_id=ORDER, step=80, kind="learning_rate_halved", reason="the loss rose"),
        Delivery(id=f"{ORDER}:final:96", order_id=ORDER, kind="final", step=96, files_json=files, way="attach"),
        *log,
    ]


def checkpoint(step: int) -> Checkpoint:
    """Measured with all doubts."""
    n = STEPS.index(step)
    measured = measurement(
        likeness=0.3 + 0.1 * n, intervals={"likeness": (0.25 + 0.1 * n, 0.36 + 0.1 * n)}, validation_error=0.01,
        gaps=(-0.01, 0.01, 0.02, 0.03),
    )  # fmt: skip
    return Checkpoint(
        order_id=ORDER, step=step, lora_artifact="l", lora_sha256="ab" * 32, lora_bytes=2_000_000, votes=(0, 1, 4, 2, 0, 0)[n],
        grid_artifact=f"orders/{ORDER}/checkpoints/{step}/grid.png", measurement_json=measured.to_json(),
    )  # fmt: skip


def drawn(seed: int, size: tuple[int, int]) -> bytes:
    """A picture as heavy as a grid of the pocket: soft fields with grain."""
    rng = np.random.default_rng(seed)
    fields = Image.fromarray(rng.integers(0, 256, (size[1] // 12, size[0] // 12, 3), dtype=np.uint8))
    out = io.BytesIO()
    fields.resize(size, Image.Resampling.BICUBIC).save(out, "PNG", compress_level=1)
    return out.getvalue()
