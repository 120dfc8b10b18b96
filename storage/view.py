"""Everything that there is to show of one order, collected from rows and artifacts: for the page, the result file, the demo.

No person's training picture is in it: only what the LoRA drew.
"""

from __future__ import annotations

import asyncio
import io
import json
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from threading import Lock
from typing import Protocol
from weakref import WeakKeyDictionary

from PIL import Image
from sqlmodel import Session, col, select

from storage.database import Database
from storage.domain.choice import Because, Choice
from storage.domain.measurement import Measurement, ScaleChoice
from storage.domain.plan import Departure, Fit, Plan
from storage.domain.signs import Sign
from storage.domain.training_log import Entry
from storage.plan_order import exported
from storage.stopping import Stop, stop_of
from storage.tables import Attempt, Ballot, Checkpoint, Delivery, DepartureRow, LogEntry, Order, Picture, PlanRow
from storage.watching import signs_of

MAX_PICTURE_BYTES = 32 * 1024 * 1024
"""No drawn picture of ours is larger; a larger artifact is left out of the page."""
PAGE_SIDE = 1600
"""Larger pictures are made smaller for the page (px): a window is seldom wider, and a grid of small pictures is smaller."""
QUALITY, EFFORT = 85, 2
"""Of WebP. A grid of the pocket: 88 KB after 0.04 s of processor, 740 KB as PNG; six of them make a page of 0.8 MB, not of 6."""
SMALL_BYTES = 32 * 1024
"""A picture of this size goes into the page as it is."""
KEPT_BYTES = 16 * 1024 * 1024
"""Of pictures made smaller, so that a page that is opened again, or by the next voter, is there at once."""


class Reads(Protocol):
    """What is asked of the store of artifacts."""

    async def read(self, key: str, max_bytes: int) -> bytes:
        """The whole artifact; raises where it is missing or larger."""


@dataclass(frozen=True, kw_only=True)
class PreviewView:
    """One picture that a checkpoint drew."""

    key: str
    """Artifact key."""
    row: int
    """Index of its prompt in the plan."""
    seed: int


@dataclass(frozen=True, kw_only=True)
class CheckpointView:
    """One checkpoint as it is shown."""

    step: int
    votes: int
    measurement: Measurement | None
    grid: str
    """Artifact key."""
    lora: str
    lora_bytes: int
    lora_sha256: str
    previews: tuple[PreviewView, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OrderView:
    """One order as it is shown. Pictures are filled in by `with_pictures`."""

    id: str
    name: str
    subject_type: str
    class_word: str
    trigger: str
    base: str
    stage: str
    created_at: datetime
    kept: int
    refused: int
    plan: Plan | None
    fits: tuple[Fit, ...]
    departures: tuple[Departure, ...]
    checkpoints: tuple[CheckpointView, ...]
    choice: Choice | None
    scale: ScaleChoice | None
    log: tuple[Entry, ...]
    """Of the training, every ten steps."""
    signs: tuple[Sign, ...]
    """Warning signs of it."""
    files: dict[str, str]
    """Artifact keys of the final delivery by role."""
    way: str
    seconds: dict[str, float]
    """Wall seconds by stage, and `gpu` for the card's or processor's own."""
    pictures: dict[str, bytes]
    """By artifact key: grids and strip, small enough to be put into a page."""
    plan_file: str = ""
    """The plan as a file that makes the order again; empty before Start."""
    stopped: Stop | None = None
    """Where and why its training ended early; None where it did not."""

    @property
    def chosen(self) -> CheckpointView | None:
        """The checkpoint that won, once one has."""
        step = self.choice.step if self.choice else None
        return next((c for c in self.checkpoints if c.step == step), None)


def collect(session: Session, order_id: str) -> OrderView:
    """The view without its pictures. Raises `LookupError` for an order that is unknown or was removed."""
    order = session.get(Order, order_id)
    if order is None or order.removed_at is not None:
        raise LookupError(f"no order {order_id}")
    plan = session.get(PlanRow, order_id)
    delivery = session.get(Delivery, f"{order_id}:final:{order.chosen_step}")
    states = [p.state for p in session.exec(select(Picture).where(Picture.order_id == order_id))]
    attempts = list(session.exec(select(Attempt).where(Attempt.order_id == order_id).order_by(col(Attempt.started_at))))
    checkpoints = _checkpoints(session, order_id)
    return OrderView(
        id=order.id,
        name=order.name,
        subject_type=order.subject_type,
        class_word=order.class_word,
        trigger=order.trigger,
        base=order.base,
        stage=order.stage,
        created_at=order.created_at,
        kept=states.count("kept") + states.count("gone"),
        refused=states.count("refused"),
        plan=Plan.from_json(plan.plan_json) if plan else None,
        fits=_fits(attempts),
        departures=_departures(session, order_id),
        checkpoints=tuple(_checkpoint_view(c) for c in checkpoints),
        choice=choice_of(order),
        scale=ScaleChoice.from_json(order.scale_json) if order.scale_json else None,
        log=log_of(session, order_id),
        signs=signs_of(session, order_id),
        files=json.loads(delivery.files_json) if delivery else {},
        way=delivery.way if delivery else order.delivery_way,
        seconds=_seconds(order, attempts, checkpoints, session.get(Ballot, order_id)),
        pictures={},
        plan_file=exported(session, order_id) if plan else "",
        stopped=stop_of(session, order_id, Plan.from_json(plan.plan_json)) if plan else None,
    )


def log_of(session: Session, order_id: str) -> tuple[Entry, ...]:
    """The training's log, step by step."""
    rows = session.exec(select(LogEntry).where(LogEntry.order_id == order_id).order_by(col(LogEntry.step)))
    return tuple(row.entry() for row in rows)


async def view_of(database: Database, artifacts: Reads, order_id: str) -> OrderView:
    """The whole view, pictures included. Raises `LookupError` for an order that is unknown or was removed.

    A picture that cannot be read is left out: the page says so and stays useful.
    """
    view = await database.transact(collect, order_id)
    wanted = [c.grid for c in view.checkpoints] + [key for role, key in view.files.items() if role == "strip"]
    found = zip(wanted, await asyncio.gather(*(_small(artifacts, key) for key in wanted)), strict=True)
    return replace(view, pictures={key: small for key, small in found if small is not None})


def choice_of(order: Order) -> Choice | None:
    """The choice as stored when the ballot closed."""
    if not order.choice_json:
        return None
    data = json.loads(order.choice_json)
    return Choice(**{**data, "because": Because(data["because"])})


async def _small(artifacts: Reads, key: str) -> bytes | None:
    try:
        async with _turn():
            raw = await artifacts.read(key, MAX_PICTURE_BYTES)
            return await asyncio.to_thread(_SHRUNK.of, raw)
    except (OSError, ValueError, LookupError, Image.DecompressionBombError):
        return None


def _turn() -> asyncio.Semaphore:
    """One picture at a time, over all pages: six grids of 4.4 Mpx that were opened at once took 340 MB."""
    return _TURNS.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(1))


class Shrunk:
    """Pictures for the page by what they were made from: a picture that was drawn again is another one.

    One is decoded at a time, so who asks for the same meanwhile finds it made.
    """

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._most, self._kept, self._lock = most_bytes, dict[bytes, bytes](), Lock()

    def of(self, raw: bytes) -> bytes:
        """The picture made smaller, from memory where that was done lately. Raises what Pillow raises."""
        name = sha256(raw).digest()
        with self._lock:
            small = self._kept.pop(name, None) or shrunk(raw)
            self._kept[name] = small  # the latest is the last to go
            while sum(map(len, self._kept.values())) > self._most:
                self._kept.pop(next(iter(self._kept)))
        return small


_SHRUNK = Shrunk()
_TURNS: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def shrunk(raw: bytes) -> bytes:
    """A WebP of at most `PAGE_SIDE`; the picture itself where it is small already."""
    with Image.open(io.BytesIO(raw)) as picture:
        if max(picture.size) <= PAGE_SIDE and len(raw) <= SMALL_BYTES:
            picture.verify()
            return raw
        small = picture if picture.mode == "RGB" else picture.convert("RGB")  # no second copy of millions of pixels
        small.thumbnail((PAGE_SIDE, PAGE_SIDE))
        out = io.BytesIO()
        small.save(out, "WEBP", quality=QUALITY, method=EFFORT)
        return out.getvalue()


def _checkpoints(session: Session, order_id: str) -> list[Checkpoint]:
    wanted = select(Checkpoint).where(Checkpoint.order_id == order_id).order_by(col(Checkpoint.step))
    return list(session.exec(wanted))


def _checkpoint_view(row: Checkpoint) -> CheckpointView:
    return CheckpointView(
        step=row.step,
        votes=row.votes,
        measurement=Measurement.from_json(row.measurement_json) if row.measurement_json else None,
        grid=row.grid_artifact,
        lora=row.lora_artifact,
        lora_bytes=row.lora_bytes,
        lora_sha256=row.lora_sha256,
        previews=tuple(
            PreviewView(key=str(p["key"]), row=int(p["row"]), seed=int(p["seed"]))
            for p in json.loads(row.previews_json)
            if not p["base"]
        ),
    )


def _fits(attempts: list[Attempt]) -> tuple[Fit, ...]:
    """Every different fit that the training ran under, in order."""
    texts = [a.fit_json for a in attempts if ":train:" in a.piece_id and a.fit_json not in ("", "{}")]
    return tuple(Fit.from_json(text) for text in dict.fromkeys(texts))


def _departures(session: Session, order_id: str) -> tuple[Departure, ...]:
    rows = session.exec(select(DepartureRow).where(DepartureRow.order_id == order_id).order_by(col(DepartureRow.step)))
    return tuple(Departure(step=r.step, kind=r.kind, reason=r.reason) for r in rows)  # type: ignore[arg-type]  # written from Departure


def _seconds(
    order: Order, attempts: list[Attempt], checkpoints: list[Checkpoint], ballot: Ballot | None
) -> dict[str, float]:
    """Wall seconds between the instants that the rows hold; a stage without both its ends is left out."""
    training = [a for a in attempts if ":train:" in a.piece_id]
    sweeps = [a for a in attempts if ":sweep:" in a.piece_id]
    first = training[0].started_at if training else None
    last = checkpoints[-1].made_at if checkpoints else None
    closed = ballot.closed_at if ballot else None
    swept = max((a.ended_at for a in sweeps if a.ended_at), default=None)
    spans = {
        "queued": (order.started_at, first),
        "training": (first, last),
        "voting": (ballot.opened_at if ballot else None, closed),
        "scaling": (closed, swept),
        "delivering": (swept, order.finished_at),
        "start to last grid": (order.started_at, last),
        "start to delivery": (order.started_at, order.finished_at),
    }
    seconds = {name: round((b - a).total_seconds(), 1) for name, (a, b) in spans.items() if a and b and b >= a}
    return {**seconds, "gpu": round(sum(a.gpu_s for a in attempts), 1)}
