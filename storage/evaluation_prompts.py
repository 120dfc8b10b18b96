"""The prompts that LoRAs are compared on: one a line, with a place for the subject. Untrusted text, bounded and refused by line.

The 25 prompts for objects and the 25 for live subjects of DreamBooth (Ruiz et al. 2023, arXiv 2208.12242) come built in:
`storage/prompts`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from string import Formatter

from storage.domain.errors import LorasmithError

BUILT_IN = ("object", "live")
"""Names that `--prompts` takes in place of a file."""
MAX_BYTES = 64 << 10
MOST_PROMPTS = 200
LONGEST = 300
"""Characters of a prompt: more than any text encoder here reads."""
TRIGGER, CLASS_WORD = "{trigger}", "{class_word}"
_SUBJECT = f"{TRIGGER} {CLASS_WORD}"
_STYLE = re.compile(r",? ?(?:in (?:the |a )?)?\{trigger\} style")
_LOOKED_AT = 2000
"""Names in a folder among which the one that was probably meant is looked for."""


class PromptsRefused(LorasmithError):
    """These prompts cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One prompt with places for the subject's words."""

    line: str
    """With `{trigger}`, and mostly with `{class_word}`."""

    def text(self, trigger: str, class_word: str) -> str:
        """As it is drawn."""
        return self.line.replace(TRIGGER, trigger).replace(CLASS_WORD, class_word)

    def plain(self, class_word: str) -> str:
        """The same for somebody who knows no trigger: what drawn pictures are held against.

        The class word stands for the subject; a style that is called by its trigger alone is left out.
        """
        line = self.line if CLASS_WORD in self.line else _STYLE.sub("", self.line)
        line = line.replace(TRIGGER, "" if CLASS_WORD in line else class_word).replace(CLASS_WORD, class_word)
        return re.sub(r"\s+", " ", line).strip() or class_word


def prompts_of(named: str) -> tuple[Prompt, ...]:
    """The built-in list of this name, or those of a file. Raises `PromptsRefused` by name and line."""
    if named in BUILT_IN:
        return _read(Path(__file__).parent / "prompts" / f"{named}.txt")
    path = Path(named)
    if not path.is_file():
        raise PromptsRefused(_no_such(path))
    return _read(path)


def _no_such(path: Path) -> str:
    said = f"there is no prompt file {path}"
    near = difflib.get_close_matches(str(path), BUILT_IN, n=1, cutoff=0.6)
    if not near and path.parent.is_dir():
        names = [p.name for p in islice(path.parent.iterdir(), _LOOKED_AT) if p.is_file()]
        near = [str(path.parent / name) for name in difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)]
    return f"{said}; {near[0]} is near to it" if near else f"{said}, and built in are {' and '.join(BUILT_IN)}"


def _read(path: Path) -> tuple[Prompt, ...]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PromptsRefused(f"{path} cannot be read: {error.strerror}") from error
    return parsed(data, path.name)


def parsed(data: bytes, name: str) -> tuple[Prompt, ...]:
    """Prompts from the bytes of a file; empty lines and those that begin with # are passed over. Raises `PromptsRefused`."""
    lines = [(number, line.strip()) for number, line in enumerate(_decoded(data, name).splitlines(), 1)]
    meant = [(f"{name}, line {number}", line) for number, line in lines if line and not line.startswith("#")]
    if not meant:
        raise PromptsRefused(f"{name} holds no prompts; write one a line, with {{}} where the subject belongs")
    if len(meant) > MOST_PROMPTS:
        raise PromptsRefused(f"{name} holds {len(meant)} prompts; at most {MOST_PROMPTS} are drawn")
    found = tuple(_prompt(line, where) for where, line in meant)
    _refuse_twins((where for where, _ in meant), found)
    return found


def _decoded(data: bytes, name: str) -> str:
    if len(data) > MAX_BYTES:
        raise PromptsRefused(f"{name} is larger than {MAX_BYTES >> 10} KiB; it should hold one prompt a line")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise PromptsRefused(f"{name} is written in UTF-16; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PromptsRefused(f"{name} is not written in UTF-8 (byte {error.start}); save it as UTF-8") from error
    if any(not (letter.isprintable() or letter in "\n\r\t") for letter in text):
        raise PromptsRefused(f"{name} holds no text")
    return text


def _prompt(line: str, where: str) -> Prompt:
    if len(line) > LONGEST:
        raise PromptsRefused(f"{where} has {len(line)} characters; a prompt has at most {LONGEST}")
    try:
        parts = list(Formatter().parse(line))
    except ValueError as error:
        raise PromptsRefused(f"{where} has a brace that belongs to no other; {_PLACES}") from error
    fields = [field for _, field, _, _ in parts if field is not None]
    spelled = _SPELLED if fields.count("") < 2 else {**_SPELLED, "": TRIGGER}
    if any(field not in spelled or spec or made for _, field, spec, made in parts if field is not None):
        raise PromptsRefused(f"{where} has a place in braces that is not known; {_PLACES}")
    if fields.count("") > 2 or any("{" in text or "}" in text for text, _, _, _ in parts):
        raise PromptsRefused(f"{where} has more braces than have a meaning; {_PLACES}")
    whole = "".join(text + ("" if field is None else spelled[field]) for text, field, _, _ in parts)
    if fields.count("") == 2:  # as str.format fills them: the trigger, then the class word
        head, _, tail = whole.rpartition(TRIGGER)
        whole = head + CLASS_WORD + tail
    if TRIGGER not in whole:
        raise PromptsRefused(f"{where} has no place for the subject; {_PLACES}")
    return Prompt(line=re.sub(r"\s+", " ", whole))


_SPELLED = {"": _SUBJECT, "0": TRIGGER, "1": CLASS_WORD, "trigger": TRIGGER, "class_word": CLASS_WORD}
_PLACES = "write {} where trigger and class word belong, or {trigger} and {class_word}"


def _refuse_twins(places: Iterable[str], prompts: Iterable[Prompt]) -> None:
    known: dict[str, str] = {}
    for where, prompt in zip(places, prompts, strict=True):
        if prompt.line in known:
            raise PromptsRefused(f"{where} says the same as {known[prompt.line]}")
        known[prompt.line] = where
