"""The job folder of an order: made from rows and artifacts, complete before the child is told of it, made again at no harm.

<order>/job.json  pictures/<n>.jpg  state/<step>/{state.safetensors,state.json}  checkpoints/<step>/  delivery/
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlmodel import Session, select

from storage import orders
from storage.artifacts import Artifacts
from storage.checkups import Box, checkup_of, faces_of
from storage.domain.captions import spoken
from storage.domain.concepts import voiced
from storage.domain.orders import file_stem
from storage.domain.plan import Departure, Fit, Plan
from storage.tables import Checkpoint, Order, Picture
from trainer.comparison import EyeName
from trainer.events import Departed, Job, JobPicture, Preview

STATE_FILES = ("state.safetensors", "state.json")
"""In this order in the artifacts: the second says that the first is there."""


@dataclass(frozen=True, kw_only=True)
class Papers:
    """The rows of an order that its job is made of."""

    order: Order
    plan: Plan
    pictures: list[Picture]
    departures: tuple[Departure, ...]
    chosen: Checkpoint | None
    examined: bool
    """Whether its pictures were looked at on the GPU."""
    faces: Mapping[str, Box] = field(default_factory=dict)
    """What was found then, by picture id."""


def papers(session: Session, order_id: str) -> Papers:
    """Read them. Raises `sqlalchemy.exc.NoResultFound` where the order has no plan."""
    order = session.exec(select(Order).where(Order.id == order_id)).one()
    return Papers(
        order=order,
        plan=orders.plan_of(session, order_id),
        pictures=orders.kept(session, order_id),
        departures=orders.departures_of(session, order_id),
        chosen=session.get(Checkpoint, (order_id, order.chosen_step)) if order.chosen_step else None,
        examined=checkup_of(session, order_id) is not None,
        faces=faces_of(session, order_id),
    )


async def prepare(folder: Path, papers_: Papers, artifacts: Artifacts, *, step: int) -> None:
    """Everything but `job.json`: pictures, the state after `step`, and the chosen checkpoint where there is one."""
    for picture in papers_.pictures:
        if picture.artifact:
            await _fetch(artifacts, picture.artifact, folder / _file(picture), picture.sha256)
    if papers_.plan.continue_from:
        await _fetch(artifacts, start_key(papers_.order.id), folder / "start.safetensors", papers_.plan.continue_from)
    if step and papers_.chosen is None:
        await _fetch_state(folder, papers_.order.id, artifacts, step)
    if papers_.chosen is not None:
        await _fetch_checkpoint(folder, papers_.chosen, artifacts)


def start_key(order_id: str) -> str:
    """Where the LoRA lies that an order goes on from."""
    return f"orders/{order_id}/start.safetensors"


def write_job(folder: Path, papers_: Papers, *, fit: Fit, weights: str, eyes: Mapping[EyeName, str]) -> None:
    """`job.json`, whole or not at all."""
    order, held_out = papers_.order, set(papers_.plan.held_out)
    job = Job(
        order_id=order.id,
        name=order.name,
        stem=file_stem(order.name, order.id),
        date=order.created_at.date().isoformat(),
        plan=papers_.plan.to_json(),
        fit=fit.to_json(),
        departures=[Departed(step=d.step, kind=d.kind, reason=d.reason) for d in papers_.departures],
        pictures=[
            JobPicture(
                id=p.id,
                file=_file(p),
                held_out=p.id in held_out,
                caption=_said(p, papers_.plan),
                face=papers_.faces.get(p.id),
            )
            for p in papers_.pictures
        ],
        base=weights,
        eyes=dict(eyes),
    )
    part = folder / "job.json.part"
    with part.open("w") as file:
        file.write(job.model_dump_json())
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / "job.json")


async def store_checkpoint(folder: Path, order_id: str, step: int, files: Iterable[str], artifacts: Artifacts) -> None:
    """The files of a checkpoint into the artifacts, under their own names."""
    for file in files:
        await artifacts.put(checkpoint_key(order_id, step, file), inside(folder, file))


def checkpoint_key(order_id: str, step: int, file: str) -> str:
    """Where a file of a checkpoint lies in the artifacts."""
    return f"orders/{order_id}/checkpoints/{step}/{Path(file).name}"


async def store_previews(
    folder: Path, order_id: str, step: int, previews: Iterable[Preview], artifacts: Artifacts
) -> list[dict[str, object]]:
    """Single previews into the artifacts; gives back what their checkpoint's row says of them.

    What the base draws without the LoRA is the same at every checkpoint and is kept once an order.
    """
    rows: list[dict[str, object]] = []
    for preview in previews:
        name = Path(preview.file).name
        key = f"orders/{order_id}/base/{name}" if preview.base else checkpoint_key(order_id, step, name)
        if not (preview.base and await artifacts.exists(key)):
            await artifacts.put(key, inside(folder, preview.file))
        rows.append({"key": key, "row": preview.row, "seed": preview.seed, "base": preview.base})
    return rows


async def store_state(folder: Path, order_id: str, step: int, state: str, artifacts: Artifacts) -> None:
    """The resume state into the artifacts; older ones go after it is there."""
    for name in STATE_FILES:
        await artifacts.put(f"orders/{order_id}/state/{step}/{name}", inside(folder, f"{state}/{name}"))
    for key in await artifacts.list(f"orders/{order_id}/state"):
        if int(key.split("/")[3]) < step:
            await artifacts.delete(key)


async def store_delivery(
    folder: Path, order_id: str, files: dict[str, str], compact_loss: float | None, artifacts: Artifacts
) -> dict[str, str]:
    """What is handed over into the artifacts; gives back the keys by role."""
    home = f"orders/{order_id}/delivery"
    keys = {role: f"{home}/{Path(file).name}" for role, file in files.items()}
    for role, key in keys.items():
        await artifacts.put(key, inside(folder, files[role]))
    if compact_loss is not None:
        await artifacts.put(f"{home}/compact.json", json.dumps({"loss": compact_loss}).encode())
    return keys


def inside(folder: Path, file: str) -> Path:
    """A file that the child named, if it is a plain file in its folder. Raises `ValueError`: nothing else is ever stored."""
    path = folder / file
    if path.is_symlink() or not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        raise ValueError(f"the GPU child named a file that is not in its folder: {file!r}")
    return path


def orders_in(work: Path) -> list[str]:
    """The orders that have a folder here. Whatever else lies there is not ours to touch."""
    return sorted(p.name for p in work.glob("*") if re.fullmatch(r"[2-9a-z]{8}", p.name) and (p / "pictures").is_dir())


def remove(work: Path, order_ids: Iterable[str]) -> None:
    """The job folders of these orders, pictures included."""
    for order_id in order_ids:
        shutil.rmtree(work / order_id, ignore_errors=True)


def _said(picture: Picture, plan: Plan) -> str:
    """Rows of an order that was started do not change, so this is frozen with its plan."""
    voice = voiced(plan, picture.id)
    return spoken(picture.caption, subject=voice.subject_type, trigger=voice.trigger, class_word=voice.class_word)


def _file(picture: Picture) -> str:
    return f"pictures/{picture.position}{Path(picture.artifact or '').suffix}"


async def _fetch(artifacts: Artifacts, key: str, path: Path, sha256: str) -> None:
    if not await asyncio.to_thread(_holds, path, sha256):
        await artifacts.fetch(key, path)


def _holds(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


async def _fetch_state(folder: Path, order_id: str, artifacts: Artifacts, step: int) -> None:
    """The stored state, unless this machine has it or a newer one: a newer one is the same run a little further."""
    here = [int(p.name) for p in (folder / "state").glob("*") if p.name.isdecimal() and (p / STATE_FILES[1]).is_file()]
    if max(here, default=0) >= step or not await artifacts.exists(f"orders/{order_id}/state/{step}/{STATE_FILES[1]}"):
        return
    part, whole = folder / "state" / f"{step}.part", folder / "state" / str(step)
    shutil.rmtree(part, ignore_errors=True)
    for name in STATE_FILES:
        await artifacts.fetch(f"orders/{order_id}/state/{step}/{name}", part / name)
    part.replace(whole)


async def _fetch_checkpoint(folder: Path, chosen: Checkpoint, artifacts: Artifacts) -> None:
    """The file alone: a sweep draws its own pictures."""
    here = folder / "checkpoints" / str(chosen.step)
    await _fetch(artifacts, chosen.lora_artifact, here / Path(chosen.lora_artifact).name, chosen.lora_sha256)
