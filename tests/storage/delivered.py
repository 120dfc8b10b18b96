"""An order as it is shown, delivered, with everything that an order can have."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from PIL import Image

from storage.domain.choice import Because, Choice
from storage.domain.measurement import Flag, Measurement, ScalePoint
from storage.domain.orders import SubjectType
from storage.domain.plan import Departure, Fit
from storage.domain.recipes import PictureOf, plan_for
from storage.domain.scale import choose_scale
from storage.domain.signs import Sign, SignKind
from storage.domain.training_log import Entry
from storage.view import CheckpointView, OrderView

PLAN = plan_for(
    base="pocket",
    subject_type=SubjectType.CHARACTER,
    class_word="cat",
    trigger="zorvex",
    seed=5,
    pictures=[PictureOf(id=f"p{i}", dhash=i) for i in range(8)],
)
CHOSEN = PLAN.checkpoint_steps[2]
FIT = Fit(device="cpu", precision="fp32", micro_batch=8, gradient_checkpointing=False, threads=2, deterministic=True)


LOG = tuple(
    Entry(
        step=step, loss=0.2, loss_ratio=1.0 - step / 800 + 0.04 * (step % 30 == 0),
        learning_rate=PLAN.learning_rate * min(1, step / 40), steps_per_s=2.5, memory_mib=740,
    )
    for step in range(10, PLAN.steps + 1, 10)
)  # fmt: skip


def picture(k: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (420, 360), (40 * k % 256, 120, 90)).save(out, "PNG")
    return out.getvalue()


def measured(k: int) -> Measurement:
    return Measurement(
        validation_ratio=None if k == 0 else 0.97 - 0.02 * k,
        training_ratio=0.9,
        likeness=0.3 + 0.15 * k,
        adherence=1.02 - 0.03 * k,
        variety=0.9,
        leakage=0.05 + 0.04 * k,
        memorisation=0.4,
        utility=0.5,
        utilities=(0.5, 0.6),
        flags=(Flag.VALIDATION_VETO,) if k == 4 else (),
        seconds=3.0,
    )


def delivered() -> OrderView:
    """A delivered order with everything that an order can have."""
    points = tuple(
        ScalePoint(scale=s, likeness=0.5, adherence=0.9, leakage=0.1, utility=0.8 - 0.5 * (s - 0.9) ** 2)
        for s in (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
    )
    checkpoints = tuple(
        CheckpointView(
            step=s, votes=(0, 1, 4, 2, 0)[k], measurement=measured(k), grid=f"g{s}", lora=f"l{s}", lora_bytes=2_300_000,
            lora_sha256="ab" * 32,
        )
        for k, s in enumerate(PLAN.checkpoint_steps)
    )  # fmt: skip
    return OrderView(
        id="4k7m2p9x",
        name="Blue <script>alert(1)</script> & cat",
        subject_type="character",
        class_word="cat",
        trigger="zorvex",
        base="pocket",
        stage="delivered",
        created_at=datetime(2025, 1, 2, tzinfo=UTC),
        kept=8,
        refused=1,
        plan=PLAN,
        fits=(FIT,),
        departures=(Departure(step=80, kind="learning_rate_halved", reason="the loss was <b>NaN</b>"),),
        checkpoints=checkpoints,
        choice=Choice(
            step=CHOSEN, because=Because.VOTES, measured_best=PLAN.checkpoint_steps[3], votes=4, runner_up_votes=2
        ),
        scale=choose_scale(points),
        log=LOG,
        signs=(Sign(kind=SignKind.EVERYWHERE, step=128, value=0.75), Sign(kind=SignKind.BLUR, step=160, value=0.3)),
        files={"strip": "strip"},
        way="attach",
        seconds={"queued": 1.2, "training": 110.0},
        pictures={**{f"g{s}": picture(s) for s in PLAN.checkpoint_steps}, "strip": picture(7)},
    )
