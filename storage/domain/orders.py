"""The words of an order that everybody uses: subject types, marks, ids, triggers."""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum

MIN_PICTURES = 4
"""Fewer pictures teach one pose and one background and is the floor of most trainers."""
MAX_PICTURES = 40


class SubjectType(StrEnum):
    """What the pictures of an order show. The first of the two things a member says."""

    PERSON = "person"
    STYLE = "style"
    OBJECT = "object"
    CHARACTER = "character"


CLASS_WORDS: dict[SubjectType, str] = {
    SubjectType.PERSON: "person",
    SubjectType.STYLE: "picture",
    SubjectType.OBJECT: "toy",
    SubjectType.CHARACTER: "creature",
}
"""The class word where the member gives none."""


def mark(order_id: str, what: str) -> str:
    """The lasting mark of one post, `<order>-<what>`: nonce, custom_id and attachment name carry it.

    `what` is a step for a grid, else a word ("plan", "sheet", "card"). At most 25 characters, Discord's limit for a nonce.
    """
    text = f"{order_id}-{what}"
    if len(text) > 25:
        raise ValueError(f"a mark has at most 25 characters: {text}")
    return text


_ALPHABET = "23456789abcdefghjkmnpqrstvwxyz"  # no 0/o, 1/l/i, u: read aloud in a channel without mistakes


def order_id(interaction_id: str) -> str:
    """A short id from the interaction that made the order: the same interaction always gives the same order."""
    number = int.from_bytes(hashlib.sha256(f"order:{interaction_id}".encode()).digest()[:8], "big")
    return "".join(_ALPHABET[(number // 30**k) % 30] for k in range(8))


MOST_PIECES = 3
"""Into so many tokens a trigger may be cut: 1 to 3 in Ruiz et al. 2023, arXiv 2208.12242, section 3.2; strings that tokenizers
cut letter by letter bring the meanings of their letters along."""

_FIRST = (
    "vor",
    "qui",
    "wex",
    "jor",
    "tyr",
    "byn",
    "nul",
    "myr",
    "zim",
    "fex",
    "gly",
    "zul",
    "kov",
    "lum",
    "gor",
    "vul",
)
_LAST = ("vex", "dax", "ryn", "vik", "tov", "rix", "zyk", "dov", "nyk", "tez", "mek", "rox", "lek", "rez", "daq", "tuk")
"""Every pair is two tokens of CLIP's vocabulary (that of SD 1.5, SDXL and FLUX.1), measured; others were not at hand."""


def trigger_for(order_id_: str) -> str:
    """A new word for the subject, unlike any word of a language, from the order's id: e.g. "jorvex"."""
    digest = hashlib.sha256(f"trigger:{order_id_}".encode()).digest()
    return _FIRST[digest[0] % 16] + _LAST[digest[1] % 16]


def seed_for(order_id_: str) -> int:
    """The run seed of an order: everything random in its training comes from it (31 bits)."""
    return int.from_bytes(hashlib.sha256(f"seed:{order_id_}".encode()).digest()[:4], "big") >> 1


def attachable_bytes(upload_limit: int) -> int:
    """The largest file that goes along with a message where uploads have this limit: its form's other parts count too."""
    return upload_limit - 64 * 1024


def prompt_with(*, trigger: str, class_word: str, subject_type: str) -> str:
    """The shortest prompt that calls what was learned: the words of the training captions, for every file, card and page."""
    return f"{trigger} style" if subject_type == SubjectType.STYLE else f"{trigger} {class_word}".strip()


def clean_word(text: str, limit: int = 32) -> str:
    """What a person typed, as one plain word or name: letters, digits, spaces, hyphens; nothing that can ping or format."""
    plain = re.sub(r"[^\w \-]", "", text, flags=re.UNICODE).replace("_", " ")
    return re.sub(r"\s+", " ", plain).strip()[:limit].strip()


def file_stem(name: str, order_id_: str, step: int | None = None) -> str:
    """The file name (without ending) of an order's LoRA: plain ASCII, safe on every system, e.g. "blue-cat-4k7m2p9x".

    A checkpoint that is taken on the way carries its step, so that it does not end up in place of the final file.
    """
    ascii_name = re.sub(r"[^a-z0-9]+", "-", name.lower().encode("ascii", "ignore").decode()).strip("-")
    return f"{ascii_name[:40] or 'lora'}-{order_id_}" + ("" if step is None else f"-step{step}")
