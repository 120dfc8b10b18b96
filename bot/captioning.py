"""The owner sees and corrects what the pictures are called: a form under the plan card, or a file sent to and fro."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import discord
from sqlmodel import Session

from bot.answers import UNREACHABLE, Declined, Interaction, acknowledge, log
from bot.download import Downloads
from bot.parts import Parts
from bot.plan_card import PlanCards
from bot.presses import Presses, forgettable
from bot.wording import clip, escape
from bot.wording_captions import (
    CAPTIONS_FILE,
    CAPTIONS_LABEL,
    CAPTIONS_LABEL_ABOUT,
    CAPTIONS_TITLE,
    FILE_LABEL,
    FILE_LABEL_ABOUT,
    NOTHING_SENT,
    THE_TEXT,
    captions_label_cut,
    captions_refused,
    captions_saved,
    not_fetched,
)
from storage import checkups
from storage.captions import (
    MAX_BYTES,
    CaptionsRefused,
    Written,
    as_lines,
    decoded,
    long,
    named,
    of_lines,
    of_metadata,
    refuse_strangers,
    spoilt,
    too_large,
    write_captions,
)
from storage.domain.errors import OrderFault, OrderRefused, PictureRefused
from storage.domain.lifecycle import Stage
from storage.domain.orders import SubjectType
from storage.drafts import kept, locked_order, pictures_of
from storage.tables import Order

TEXT_LIMIT = 4000
"""Characters of a text field, by Discord."""
LOOK_UP_S = 1.2
"""A form must be the first answer, within three seconds: where the rows do not come by then, it opens without them."""


@dataclass(frozen=True, kw_only=True)
class _Saved:
    text: str
    lines: str


class Captioning:
    """The button and the form for captions."""

    def __init__(self, parts: Parts, cards: PlanCards, fetches: Downloads) -> None:
        self._parts = parts
        self._cards = cards
        self._fetches = fetches

    def register(self, presses: Presses) -> None:
        """The verb of the custom_ids; see `bot.plan_buttons`."""
        presses.on_button("captions", self.press)
        presses.on_modal("captions", self.submit)

    async def press(self, interaction: Interaction, arguments: tuple[str, ...]) -> None:
        """The form with what is there already, as far as it fits."""
        text = ""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_UP_S):
                text = await self._parts.database.transact(_lines, arguments[0], str(interaction.user.id))
        await interaction.response.send_modal(captions_modal(arguments[0], text))

    async def submit(self, interaction: Interaction, arguments: tuple[str, ...]) -> None:
        """What came back: a file counts before the text. Until Start, and while training waits for its owner."""
        await acknowledge(interaction)
        order_id, member = arguments[0], str(interaction.user.id)
        text, file = _sent(dict(interaction.data or {}))
        try:
            raw = await self._fetch(interaction, *file) if file else text.encode()
            if not raw.strip():
                lines = await self._parts.database.transact(_lines, order_id, member)
                return await _say_with_file(interaction, _Saved(text=NOTHING_SENT(), lines=lines))
            name = file[1] if file else ""
            saved = await self._parts.database.transact(_save, order_id, member, raw, name)
        except CaptionsRefused as refused:
            raise Declined(captions_refused(str(refused))) from refused
        await _say_with_file(interaction, saved)
        await self._cards.show(order_id)
        return None

    async def _fetch(self, interaction: Interaction, url: str, name: str, size: int) -> bytes:
        """The attached file, in memory. Raises `CaptionsRefused`."""
        if size > MAX_BYTES:
            raise CaptionsRefused(too_large(escape(name)))
        path = self._parts.settings.data_dir / "incoming" / f"captions-{interaction.id}"
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        try:
            await self._fetches.fetch(url, path)
            return await asyncio.to_thread(_read, path)
        except PictureRefused as refused:
            raise CaptionsRefused(not_fetched(name)) from refused
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)


def _fitting(text: str) -> tuple[str, str]:
    """As many whole lines as the field holds, and what is said of it."""
    lines, kept = text.splitlines(keepends=True), ""
    for number, line in enumerate(lines):
        if len(kept) + len(line) > TEXT_LIMIT:
            return kept, captions_label_cut(number, len(lines))
        kept += line
    return kept, CAPTIONS_LABEL_ABOUT()


def captions_modal(order_id: str, text: str) -> discord.ui.Modal:
    """One field with a line a picture, and a place for a file."""
    text, about = _fitting(text)
    modal = discord.ui.Modal(title=CAPTIONS_TITLE(), timeout=60.0, custom_id=f"captions:{order_id}")
    field: discord.ui.TextInput[Any] = discord.ui.TextInput(
        custom_id="lines",
        style=discord.TextStyle.paragraph,
        default=text or None,
        required=False,
        max_length=TEXT_LIMIT,
    )
    upload: discord.ui.FileUpload[Any] = discord.ui.FileUpload(
        custom_id="file", min_values=0, max_values=1, required=False
    )
    modal.add_item(discord.ui.Label(text=CAPTIONS_LABEL(), description=about, component=field))
    modal.add_item(discord.ui.Label(text=FILE_LABEL(), description=FILE_LABEL_ABOUT(), component=upload))
    return forgettable(modal)


def _sent(data: Mapping[str, Any]) -> tuple[str, tuple[str, str, int] | None]:
    """The text, and (url, name, size) of the file where one was attached."""
    text, ids = "", []
    for part in data.get("components", ()):
        inner = part.get("component") or {}
        if inner.get("custom_id") == "lines":
            text = str(inner.get("value") or "")
        elif inner.get("custom_id") == "file":
            ids = [str(v) for v in inner.get("values") or ()]
    files = (data.get("resolved") or {}).get("attachments") or {}
    found = next((files[i] for i in ids if i in files), None)
    return text, (
        str(found["url"]),
        str(found.get("filename", "file"))[:100],
        int(found.get("size", 0)),
    ) if found else None


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


async def _say_with_file(interaction: Interaction, saved: _Saved) -> None:
    file = discord.File(io.BytesIO(saved.lines.encode()), filename=CAPTIONS_FILE)
    try:
        await interaction.edit_original_response(content=clip(saved.text), attachments=[file])
    except UNREACHABLE as error:
        log.info("interaction %s could not be answered: %s", interaction.id, error)


def _lines(session: Session, order_id: str, member_id: str) -> str:
    _own(session, order_id, member_id)
    return as_lines(pictures_of(session, order_id))


def _own(session: Session, order_id: str, member_id: str) -> Order:
    """An order of this member. Raises `OrderRefused` for a stranger, or where its captions are trained on already."""
    order = locked_order(session, order_id)
    if order.owner_id != member_id:
        raise OrderRefused(OrderFault.NOT_YOURS)
    if order.stage != Stage.DRAFT.value and not checkups.waits(session, order_id):
        raise OrderRefused(OrderFault.TOO_LATE)
    return order


def _save(session: Session, order_id: str, member_id: str, raw: bytes, name: str) -> _Saved:
    order = _own(session, order_id, member_id)
    names = list(named(pictures_of(session, order_id)))
    written = _parsed(raw, name, names)
    write_captions(session, order_id, written.captions, "owner")
    session.flush()
    used, subject = kept(session, order_id), SubjectType(order.subject_type)
    text = captions_saved(
        sum(bool(p.caption) for p in used),
        len(used),
        subject=subject,
        empty=written.empty if name else (),
        spoilt=spoilt(session, order_id, subject, order.trigger),
        long=long(used),
        waiting=order.stage != Stage.DRAFT.value,
    )
    return _Saved(text=text, lines=as_lines(pictures_of(session, order_id)))


def _parsed(raw: bytes, name: str, names: list[str]) -> Written:
    if name.lower().endswith((".jsonl", ".json")):
        written = of_metadata(raw, name, escape)
        refuse_strangers(written, names, name, escape)
        return written
    return of_lines(decoded(raw, name or THE_TEXT(), escape), names, escape)
