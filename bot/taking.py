"""Buttons that hand a file to the person who pressed: "Take this one" under a grid, Download under the card and in /status."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import discord
from sqlmodel import Session

from bot import delivery, wording, wording_delivery
from bot.links import links_of
from bot.parts import Parts
from storage.domain.errors import OrderFault
from storage.domain.handing import Way, way
from storage.domain.lifecycle import OPEN, Stage
from storage.domain.orders import file_stem
from storage.tables import Checkpoint, Delivery, Order, now


async def take(parts: Parts, interaction: discord.Interaction[Any], arguments: tuple[str, ...]) -> None:
    """The owner takes one checkpoint's file, whatever the vote will say."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    found = await parts.database.transact(_checkpoint, arguments, str(interaction.user.id))
    if isinstance(found, str):
        await interaction.followup.send(found, ephemeral=True)
        return
    order, checkpoint = found
    text = wording_delivery.taken(
        name=order.name, step=checkpoint.step, trigger=order.trigger, goes_on=Stage(order.stage) in OPEN
    )
    files = {"lora": checkpoint.lora_artifact}
    chosen = await _hand_over(parts, interaction, order, checkpoint, files, text, on_the_way=True)
    if chosen is not None:
        await parts.database.transact(_note_taken, order.id, checkpoint.step, files, chosen)


async def download(parts: Parts, interaction: discord.Interaction[Any], arguments: tuple[str, ...]) -> None:
    """The delivered file once more, for the owner only: attached where it fits, else a fresh link."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    found = await parts.database.transact(_delivered, arguments, str(interaction.user.id))
    if isinstance(found, str):
        await interaction.followup.send(found, ephemeral=True)
        return
    order, row, checkpoint = found
    text = wording_delivery.once_more(name=order.name, trigger=order.trigger)
    await _hand_over(parts, interaction, order, checkpoint, delivery.files_in(row), text)


async def _hand_over(  # noqa: PLR0917  # one press, one file
    parts: Parts,
    interaction: discord.Interaction[Any],
    order: Order,
    checkpoint: Checkpoint,
    files: Mapping[str, str],
    text: str,
    *,
    on_the_way: bool = False,
) -> Way | None:
    """Answers the press with the file or a link; None where neither can be had, and then it says why."""
    limit = min(order.max_file_bytes, interaction.filesize_limit)
    linkable = delivery.can_link(parts.settings)
    chosen = way(checkpoint.lora_bytes, limit, linkable=linkable, compact="compact" in files)
    if chosen == "download":
        sent = await _send_link(parts, interaction, order, checkpoint.step, files["lora"], on_the_way=on_the_way)
        return chosen if sent else None
    role = "compact" if chosen == "compact" else "lora"
    with tempfile.TemporaryDirectory() as folder:
        enclosed = await delivery.enclosures(
            parts,
            order,
            {role: files[role]},
            chosen,
            folder=Path(folder),
            limit=limit,
            step=checkpoint.step if on_the_way else None,
        )
        if not enclosed:
            await interaction.followup.send(wording_delivery.FILE_GONE(), ephemeral=True)
            return None
        await interaction.followup.send(text, files=[e.open() for e in enclosed], ephemeral=True)
    return chosen


async def _send_link(
    parts: Parts, interaction: discord.Interaction[Any], order: Order, step: int, key: str, *, on_the_way: bool
) -> bool:
    """Whether there was something to link to."""
    if not await parts.artifacts.exists(key):
        await interaction.followup.send(wording_delivery.FILE_GONE(), ephemeral=True)
        return False
    seconds = parts.settings.link_minutes * 60
    links = await links_of(parts)
    url = (
        links.file(order.id, step, "lora", str(interaction.user.id), seconds)
        if links
        else parts.artifacts.url(key, seconds)
    )
    if url is None:
        await interaction.followup.send(wording_delivery.NO_WAY(), ephemeral=True)
        return False
    view = discord.ui.View(timeout=None)
    name = f"{file_stem(order.name, order.id, step if on_the_way else None)}.safetensors"
    view.add_item(discord.ui.Button(label=name, url=url))
    view.stop()
    await interaction.followup.send(wording_delivery.LINK_READY(), view=view, ephemeral=True)
    return True


def _checkpoint(session: Session, arguments: tuple[str, ...], user_id: str) -> tuple[Order, Checkpoint] | str:
    order = session.get(Order, arguments[0])
    step = int(arguments[1]) if arguments[1:] and arguments[1].isdigit() else -1
    checkpoint = session.get(Checkpoint, (arguments[0], step))
    if order is None or checkpoint is None or order.removed_at is not None:
        return wording.order_refused(OrderFault.UNKNOWN)
    if order.owner_id != user_id:
        return wording.order_refused(OrderFault.NOT_YOURS)
    return order, checkpoint


def _delivered(session: Session, arguments: tuple[str, ...], user_id: str) -> tuple[Order, Delivery, Checkpoint] | str:
    order = session.get(Order, arguments[0])
    row = session.get(Delivery, f"{arguments[0]}:final:{order.chosen_step}") if order else None
    checkpoint = session.get(Checkpoint, (row.order_id, row.step)) if row else None
    if order is None or row is None or checkpoint is None or order.removed_at is not None:
        return wording.order_refused(OrderFault.UNKNOWN)
    if order.owner_id != user_id:
        return wording.order_refused(OrderFault.NOT_YOURS)
    return order, row, checkpoint


def _note_taken(session: Session, order_id: str, step: int, files: dict[str, str], chosen: str) -> None:
    session.merge(
        Delivery(
            id=f"{order_id}:taken:{step}",
            order_id=order_id,
            kind="taken",
            step=step,
            files_json=json.dumps(files),
            way=chosen,
            delivered_at=now(),
        )
    )
