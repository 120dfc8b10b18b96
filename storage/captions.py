"""Captions as people bring them: `metadata.jsonl`, a `.txt` beside a picture, or lines of `#number name: caption`.

Everything that comes from outside is bounded and named: a wrong encoding and a line for a missing picture are refused, an
empty caption is told.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlmodel import Session

from storage import checkups
from storage.domain.captions import LONGEST, clean, unwanted
from storage.domain.errors import LorasmithError, OrderFault, OrderRefused
from storage.domain.lifecycle import Stage
from storage.domain.orders import SubjectType
from storage.drafts import kept, locked_order, pictures_of
from storage.speech import _
from storage.tables import Picture

MAX_BYTES = 1 << 20
"""Of one file with captions: 500 pictures with 2 KB each."""
MOST_COMPARED = 500
"""Names that a wrong one is compared with."""
TEXT_KEYS = ("text", "caption", "prompt")
"""How a line of metadata may call its caption: Hugging Face's image folders say `text`."""


def too_large(name: str) -> str:
    """Said of a file that is no text of captions."""
    return _("{name} is larger than {most} MiB; captions are a few words a picture.", name=name, most=MAX_BYTES >> 20)


class CaptionsRefused(LorasmithError):
    """These captions cannot be used."""


Shown = Callable[[str], str]
"""How a person's words are put into a sentence of ours: as they are in the terminal, without markup on Discord."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """Captions that were read, by what their pictures are called there."""

    captions: Mapping[str, str]
    empty: tuple[str, ...] = ()
    """Pictures whose caption is empty: the templates are used."""


def decoded(data: bytes, name: str, shown: Shown = str) -> str:
    """The text of a file, with or without a byte order mark. Raises `CaptionsRefused` by the file's name."""
    if len(data) > MAX_BYTES:
        raise CaptionsRefused(too_large(shown(name)))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CaptionsRefused(
            _("{name} is not written in UTF-8 (byte {place}); save it as UTF-8.", name=shown(name), place=error.start)
        ) from error
    if "\0" in text:
        raise CaptionsRefused(
            _("{name} holds zero bytes: it is no text, or not written in UTF-8; save it as UTF-8.", name=shown(name))
        )
    return text


def _lines(text: str) -> list[str]:
    """Only a line feed ends a line: JSON may hold other separators, and so may what people paste."""
    return text.split("\n")


def of_metadata(data: bytes, name: str = "metadata.jsonl", shown: Shown = str) -> Written:
    """The captions of a `metadata.jsonl`: an object a line with `file_name` and `text`. Raises `CaptionsRefused` by line.

    Pictures lie beside the file: `./1.jpg` is `1.jpg`, and a path to anywhere else is refused.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(_lines(decoded(data, name, shown)), 1):
        if not line.strip():
            continue
        picture, text = _entry(line, _("{name}, line {number}", name=shown(name), number=number), shown)
        if picture in found:
            raise CaptionsRefused(
                _(
                    "{name}, line {number} names {picture} a second time.",
                    name=shown(name),
                    number=number,
                    picture=shown(picture),
                )
            )
        found[picture] = clean(text)
    return _written(found)


def _entry(line: str, where: str, shown: Shown) -> tuple[str, str]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        example = shown('{"file_name": "1.jpg", "text": "…"}')
        raise CaptionsRefused(
            _(
                "{where} is no JSON by itself: the file is one JSON text, and should have one a line; "
                "a line looks like {example}.",
                where=where,
                example=example,
            )
            if line.strip() in ("[", "{")
            else _("{where} is no JSON; a line looks like {example}.", where=where, example=example)
        ) from error
    picture = entry.get("file_name") if isinstance(entry, dict) else None
    if not isinstance(picture, str) or not picture:
        raise CaptionsRefused(_("{where} has no file_name.", where=where))
    picture = picture.removeprefix("./")
    if "/" in picture or "\\" in picture:
        raise CaptionsRefused(
            _(
                "{where} names {picture}; pictures lie beside the file, so write the name without folders.",
                where=where,
                picture=shown(picture[:200]),
            )
        )
    text = next((entry[key] for key in TEXT_KEYS if key in entry), None)
    if not isinstance(text, str):
        raise CaptionsRefused(_("{where} has no text for {picture}.", where=where, picture=shown(picture[:200])))
    return picture, text


def of_lines(text: str, names: Sequence[str], shown: Shown = str) -> Written:
    """The captions of lines `#2 cat.jpg: a caption`: the number counts, else the name. Keys are given back as in `names`."""
    found: dict[str, str] = {}
    for number, line in enumerate(_lines(text), 1):
        if not line.strip():
            continue
        name, rest = _addressed(line.strip(), names, number, shown)
        if name in found:
            raise CaptionsRefused(
                _("line {number} is for {name}, which had a line already.", number=number, name=shown(name))
            )
        found[name] = clean(rest)
    return _written(found)


def _addressed(line: str, names: Sequence[str], number: int, shown: Shown) -> tuple[str, str]:
    if match := re.match(r"#(\d{1,4})\b", line):
        place, rest = int(match[1]), line[match.end() :].strip()
        if not 1 <= place <= len(names):
            raise CaptionsRefused(
                _("line {number} is for picture #{place}, and there is none.", number=number, place=place)
            )
        name = names[place - 1]
        rest = rest[len(name) :] if rest.startswith(name) else rest.partition(":")[1] + rest.partition(":")[2]
        return name, rest.lstrip(": ")
    for name in sorted(names, key=len, reverse=True):
        if line.startswith(f"{name}:"):
            return name, line[len(name) + 1 :]
    raise CaptionsRefused(
        _(
            'line {number} names no picture of this order; a line looks like "{example}".',
            number=number,
            example=shown(f"#1 {names[0]}: …"),
        )
    )


def _written(found: dict[str, str]) -> Written:
    return Written(captions=found, empty=tuple(name for name, text in found.items() if not text))


def refuse_strangers(written: Written, names: Sequence[str], where: str, shown: Shown = str) -> None:
    """Raise `CaptionsRefused` where a caption is for a picture that is not there."""
    for name in written.captions:
        if name not in names:
            raise CaptionsRefused(_stranger(name[:200], _near(name, names), where, shown))


def _stranger(name: str, near: str, where: str, shown: Shown) -> str:
    if not near:
        return _(
            "{where} has a caption for {picture}, and there is no such picture.",
            where=shown(where),
            picture=shown(name),
        )
    return _(
        "{where} has a caption for {picture}, and there is no such picture; {near} is near to it.",
        where=shown(where),
        picture=shown(name),
        near=shown(near),
    )


def _near(name: str, names: Sequence[str]) -> str:
    """The name that may be meant; empty where none is near."""
    alike = [known for known in names if known.lower() == name.lower()]
    alike += difflib.get_close_matches(name[:200], names[:MOST_COMPARED], n=1, cutoff=0.85)
    return alike[0] if alike else ""


def named(pictures: Sequence[Picture]) -> dict[str, Picture]:
    """All pictures of an order by a name that tells them apart; the n-th is `#n` in lines."""
    names = [p.source_name for p in pictures]
    return {
        p.source_name if names.count(p.source_name) == 1 else f"{p.source_name} (number {n})": p
        for n, p in enumerate(pictures, 1)
    }


def as_lines(pictures: Sequence[Picture]) -> str:
    """The captions of the used ones of an order's pictures in the form that `of_lines` reads back."""
    used = ((n, name, p) for n, (name, p) in enumerate(named(pictures).items(), 1) if p.state == "kept")
    return "".join(f"#{n} {name}: {p.caption}\n" for n, name, p in used)


def write_captions(session: Session, order_id: str, captions: Mapping[str, str], source: str) -> list[Picture]:
    """The captions of an order's pictures, by the names of `named`. Raises `OrderRefused` where training has begun.

    Until Start, and while training waits for its owner: what is written then is what is trained on.
    """
    if locked_order(session, order_id).stage != Stage.DRAFT.value and not checkups.waits(session, order_id):
        raise OrderRefused(OrderFault.TOO_LATE)
    rows = named(pictures_of(session, order_id))
    changed = [rows[name] for name in captions if name in rows]
    for name, text in captions.items():
        if name in rows:
            rows[name].caption = clean(text)
            rows[name].caption_from = source if rows[name].caption else ""
    return changed


def long(pictures: Sequence[Picture]) -> list[str]:
    """The pictures whose captions are as long as any can be: what stood behind is not read."""
    return [p.source_name for p in pictures if len(p.caption) >= LONGEST - 1]


def spoilt(session: Session, order_id: str, subject: SubjectType, trigger: str) -> list[tuple[str, tuple[str, ...]]]:
    """Used pictures whose captions say what should be learned: file name and the words."""
    found = ((p.source_name, unwanted(p.caption, subject, trigger=trigger)) for p in kept(session, order_id))
    return [(name, words) for name, words in found if words]
