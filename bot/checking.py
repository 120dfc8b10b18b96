"""The post about the look at all pictures before the first step: what was found, what was said of them, what can be answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import discord
from sqlmodel import Session

from bot import wording
from bot.posting import Posting
from bot.presses import button, row_of
from bot.shown import Face, Shown
from bot.wording_doctor import GO_ON, checkup_text, leave_out_label
from bot.wording_forms import CAPTIONS
from storage import checkups
from storage.domain.lifecycle import Stage
from storage.drafts import pictures_of
from storage.tables import Checkup, now
from storage.words_doctor import checkup_lines


async def show_checkup(posting: Posting, it: Shown) -> None:
    """Post it where something was found or said; its buttons go with the answer or the time."""
    if it.checkup is None or it.stage not in (Stage.QUEUED, Stage.TRAINING):
        return
    seen = await posting.parts.database.transact(_read, it.order.id, it.order.trigger)
    if not seen.lines and not seen.captioned:
        return
    row = it.checkup
    open_ = not row.answer and row.answer_by is not None and row.answer_by > now()
    answer_by = row.answer_by if open_ else None
    text = checkup_text(seen.lines, answer_by=answer_by, answer=row.answer, captioned=seen.captioned)
    if open_ and it.mention:
        text = f"{wording.mention(it.order.owner_id)} {text}"
    view = row_of(_answers(it.order.id, seen) if open_ else [])
    post = await posting.post(it, "pictures", text, view=view, mention=True)
    if Face.of(post).text != text:
        await posting.edit(it, "pictures", text, view=view)


def _answers(order_id: str, seen: _Seen) -> list[discord.ui.Item[Any]]:
    drop = [button(leave_out_label(seen.out), "without", order_id)] if seen.out else []
    return [*drop, button(GO_ON(), "goon", order_id), button(CAPTIONS(), "captions", order_id)]


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """In words that are safe to show."""

    lines: list[str]
    captioned: int
    """Of how many pictures a captioner said what they show."""
    out: int
    """How many pictures are proposed to be left out."""


def _read(session: Session, order_id: str, trigger: str) -> _Seen:
    row = session.get_one(Checkup, order_id)
    found, whole = checkups.findings(row)
    named = [(wording.escape(p.source_name, 60), found[p.id]) for p in pictures_of(session, order_id) if p.id in found]
    lines = checkup_lines(named, whole, trigger=trigger, like=row.trigger_like, pieces=row.trigger_pieces)
    captioned = len(checkups.captioned(session, order_id))
    return _Seen(lines=lines, captioned=captioned, out=len(checkups.doubted(session, order_id)))
