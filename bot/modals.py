"""The modals around pictures, and what comes back from them. All state is in the custom_id, so that a restart harms none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import discord

from bot.presses import forgettable
from bot.wording_forms import (
    ABOUT_TITLE,
    ADD_PICTURES,
    CLASS_WORD_LABEL,
    NAME_ABOUT,
    NAME_LABEL,
    RIGHTS,
    TRAIN_TITLE,
    UPLOAD_ABOUT,
    UPLOAD_TITLES,
    WHICH_SUBJECT,
    class_word_about,
)
from bot.wording_plan import SUBJECT_WORDS
from storage.domain.orders import CLASS_WORDS, SubjectType, clean_word
from storage.drafts import Link

UPLOADS = 3
FILES_AN_UPLOAD = 10
"""Discord's limits: 5 parts of a modal, 10 files in one upload. With subject and rights this makes 30 pictures."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What a member put into a modal."""

    links: Sequence[Link]
    subject: SubjectType | None


def train_modal(subject: SubjectType | None, name: str, class_word: str) -> discord.ui.Modal:
    """Subject and up to 30 pictures. `name` and `class_word` are clean words: they travel in the custom_id."""
    modal = discord.ui.Modal(title=TRAIN_TITLE(), timeout=60.0, custom_id=f"train:{name}:{class_word}")
    modal.add_item(discord.ui.Label(text=WHICH_SUBJECT(), component=_subject_select(subject)))
    for part in _uploads(least=1):
        modal.add_item(part)
    modal.add_item(discord.ui.TextDisplay(RIGHTS()))
    return forgettable(modal)


def add_modal(order_id: str) -> discord.ui.Modal:
    """Up to 30 more pictures for a draft."""
    modal = discord.ui.Modal(title=ADD_PICTURES(), timeout=60.0, custom_id=f"add:{order_id}")
    for part in _uploads(least=1):
        modal.add_item(part)
    modal.add_item(discord.ui.TextDisplay(RIGHTS()))
    return forgettable(modal)


def about_modal(order_id: str, kind: SubjectType) -> discord.ui.Modal:
    """What else is asked where a draft came without words: its name and class word. Both may be left empty."""
    modal = discord.ui.Modal(title=ABOUT_TITLE(), timeout=60.0, custom_id=f"about:{order_id}:{kind.value}")
    modal.add_item(_line("name", NAME_LABEL(), NAME_ABOUT(), 40))
    modal.add_item(_line("class_word", CLASS_WORD_LABEL(), class_word_about(CLASS_WORDS[kind]), 30))
    return forgettable(modal)


def _line(custom_id: str, label: str, about: str, most: int) -> discord.ui.Label[Any]:
    field: discord.ui.TextInput[Any] = discord.ui.TextInput(custom_id=custom_id, required=False, max_length=most)
    return discord.ui.Label(text=label, description=about, component=field)


def words_in(data: Mapping[str, Any]) -> tuple[str, str]:
    """Name and class word of `about_modal`, clean; empty where nothing was said."""
    inner = [part.get("component") or {} for part in data.get("components", ())]
    said = {str(field.get("custom_id", "")): str(field.get("value") or "") for field in inner}
    return clean_word(said.get("name", ""), 40), clean_word(said.get("class_word", ""), 30).lower()


def _subject_select(chosen: SubjectType | None) -> discord.ui.Select[Any]:
    options = [
        discord.SelectOption(label=words(), value=kind.value, default=kind is chosen)
        for kind, words in SUBJECT_WORDS.items()
    ]
    return discord.ui.Select(custom_id="subject", options=options, min_values=1, max_values=1, required=True)


def _uploads(least: int) -> list[discord.ui.Label[Any]]:
    return [
        discord.ui.Label(
            text=UPLOAD_TITLES[number](),
            description=UPLOAD_ABOUT() if number == 0 else None,
            component=discord.ui.FileUpload(
                custom_id=f"pictures{number + 1}",
                min_values=least if number == 0 else 0,
                max_values=FILES_AN_UPLOAD,
                required=number == 0,
            ),
        )
        for number in range(UPLOADS)
    ]


def submission(data: Mapping[str, Any]) -> Submission:
    """Read a submit as Discord sends it. Unknown parts are passed over; only files named in an upload are taken."""
    values: dict[str, list[str]] = {}
    for part in data.get("components", ()):
        inner = part.get("component") or {}
        values[str(inner.get("custom_id", ""))] = [str(v) for v in inner.get("values") or ()]
    files = (data.get("resolved") or {}).get("attachments") or {}
    ids = [i for number in range(UPLOADS) for i in values.get(f"pictures{number + 1}", ())]
    chosen = next(iter(values.get("subject", ())), None)
    return Submission(
        links=[_link(files[i]) for i in ids if i in files],
        subject=SubjectType(chosen) if chosen in set(SubjectType) else None,
    )


def _link(file: Mapping[str, Any]) -> Link:
    return str(file["url"]), str(file.get("filename", "picture"))[:100], int(file.get("size", 0))


def links_of(attachments: Sequence[discord.Attachment | None]) -> list[Link]:
    """The links of attachments that came with a command or a message."""
    return [(a.url, a.filename[:100], a.size) for a in attachments if a is not None]
