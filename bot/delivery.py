"""Handing over: which files, in which way, and the card that says how to use them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlmodel import Session

from bot import wording_delivery, wording_stopping
from bot.parts import Parts
from bot.posting import Enclosure
from bot.settings import BotSettings
from bot.shown import Shown
from storage.domain.handing import fits, way
from storage.domain.measurement import Measurement, ScaleChoice
from storage.domain.orders import file_stem
from storage.tables import Checkpoint, Delivery, Order
from storage.usage import how_to_use, licence_of
from storage.view import choice_of

ENDINGS = {
    "lora": ".safetensors",
    "compact": ".safetensors",
    "sidecar": ".json",
    "preview": ".png",
    "strip": "-scales.png",
}
"""What a delivered file is called after its stem, by role. The compact version goes out in the whole file's place and under its
name: A1111 finds the notes by it, and the picture's ComfyUI workflow and the card name it."""


async def prepare(parts: Parts, order_id: str) -> Delivery:
    """Write down what will be handed over and in which way. Doing it twice is doing it once."""
    keys = await parts.artifacts.list(f"orders/{order_id}/delivery")
    linkable = can_link(parts.settings)
    return await parts.database.transact(_write_down, order_id, roles_of(keys), linkable)


def can_link(settings: BotSettings) -> bool:
    """Whether members can download from here: over the bot's web pages, or straight from a shared store."""
    return settings.public_url is not None or settings.artifacts_folder is None


def can_take(settings: BotSettings, order: Order, lora_bytes: int) -> bool:
    """Whether a checkpoint's file can be handed over before the end: it fits, or it can be linked to."""
    return can_link(settings) or fits(lora_bytes, order.max_file_bytes)


def roles_of(keys: Sequence[str]) -> dict[str, str]:
    """Artifact keys of a delivery by role, from their names."""
    found: dict[str, str] = {}
    for key in keys:
        name = key.rsplit("/", 1)[-1]
        if name.endswith(".safetensors"):
            found["compact" if name.endswith("-compact.safetensors") else "lora"] = key
        elif name.endswith(".png"):
            found["strip" if name.endswith(("scales.png", "strip.png")) else "preview"] = key
        elif name.endswith(".json") and name != "compact.json":
            found["sidecar"] = key
    return found


def _write_down(session: Session, order_id: str, files: Mapping[str, str], linkable: bool) -> Delivery:  # noqa: FBT001  # passed through transact
    order = session.get_one(Order, order_id)
    checkpoint = session.get_one(Checkpoint, (order_id, order.chosen_step))
    name = f"{order_id}:final:{order.chosen_step}"
    row = session.get(Delivery, name)
    known = json.loads(row.files_json) if row else {}
    whole = {"lora": checkpoint.lora_artifact, **files, **known}
    chosen = way(checkpoint.lora_bytes, order.max_file_bytes, linkable=linkable, compact="compact" in whole)
    if row is None:
        row = Delivery(id=name, order_id=order_id, kind="final", step=checkpoint.step, files_json="", way=chosen)
        session.add(row)
    row.files_json, row.way = json.dumps(whole, sort_keys=True), chosen
    order.delivery_way = chosen
    return row


def too_large(session: Session, order_id: str) -> None:
    """The upload was refused as too large, whatever was said before: from now on half of that counts as the limit."""
    order = session.get_one(Order, order_id)
    order.max_file_bytes //= 2


def files_in(row: Delivery) -> dict[str, str]:
    """Artifact keys of a delivery by role."""
    return dict(json.loads(row.files_json))


def card_text(it: Shown, *, compact_loss: float | None) -> str:
    """The card's words."""
    order, delivery = it.order, it.delivery
    choice = choice_of(order)
    if choice is None or delivery is None:
        raise ValueError(f"order {order.id} has nothing to hand over")
    checkpoint = next(c for c in it.checkpoints if c.step == delivery.step)
    scale = ScaleChoice.from_json(order.scale_json) if order.scale_json else None
    how = how_to_use(
        base=order.base,
        stem=file_stem(order.name, order.id),
        trigger=order.trigger,
        class_word=order.class_word,
        scale=scale.recommended if scale else 1.0,
        subject_type=order.subject_type,
    )
    return wording_delivery.card(
        wording_delivery.DeliveryCard(
            owner_id=order.owner_id if it.mention else None,
            name=order.name,
            trigger=order.trigger,
            choice=choice,
            scale=scale,
            measurement=Measurement.from_json(checkpoint.measurement_json) if checkpoint.measurement_json else None,
            prompts=[p.text for p in it.plan.prompts if p.with_trigger][:3] if it.plan else [],
            how=how,
            way=delivery.way,
            file_bytes=checkpoint.lora_bytes,
            compact_loss=compact_loss,
            licence=licence_of(order.base),
            shared=it.shared,
            ended=wording_stopping.stopped(it.stopped) if it.stopped else "",
        )
    )


async def compact_loss(parts: Parts, order_id: str) -> float | None:
    """The share of the LoRA's effect that its compact version loses, as the worker measured it."""
    try:
        raw = await parts.artifacts.read(f"orders/{order_id}/delivery/compact.json", 4096)
    except FileNotFoundError:
        return None
    loss = json.loads(raw).get("loss")
    return float(loss) if isinstance(loss, int | float) else None


async def enclosures(
    parts: Parts,
    order: Order,
    files: Mapping[str, str],
    chosen: str,
    *,
    folder: Path,
    limit: int,
    step: int | None = None,
) -> list[Enclosure]:
    """The files that go along with a message; in a shared store they are first copied into `folder`.

    What is too large or gone stays out. `step` is that of a checkpoint that is taken on the way: its name says so.
    """
    lora = {"attach": ["lora"], "compact": ["compact"], "download": []}[chosen]
    stem = file_stem(order.name, order.id, step)
    found: list[Enclosure] = []
    for role in [*lora, "sidecar", "preview", "strip"]:
        path = await fetched(parts, files.get(role), folder / role)
        if path is not None and fits(path.stat().st_size, limit):
            found.append(
                Enclosure(
                    name=stem + ENDINGS[role],
                    what=path,
                    alt=wording_delivery.ALTS[role]() if role in wording_delivery.ALTS else None,
                )
            )
    return found


async def fetched(parts: Parts, key: str | None, path: Path) -> Path | None:
    """Where an artifact lies on this machine, copied to `path` from a shared store; None where it is gone."""
    if key is None:
        return None
    try:
        found = parts.artifacts.local_path(key) or await parts.artifacts.fetch(key, path)
    except FileNotFoundError:
        return None
    return found if found.is_file() else None
