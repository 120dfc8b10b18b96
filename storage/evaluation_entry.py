"""A LoRA file that takes part in a comparison: refused before anything is drawn, or known by its words and its strength."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from storage.domain.errors import FileRefused, LorasmithError
from storage.domain.orders import SubjectType, clean_word
from storage.lora_file import read_header
from storage.lora_file.check import check_file
from storage.lora_file.family import families_of
from storage.lora_file.inventory import inventory_of
from storage.lora_file.report import CheckReport, plain

MOST_LORAS = 8
"""Columns that a grid still shows at a useful size."""
DRAWS_WITH = "diffusers"
"""What loads a file here; `lorasmith check` knows which keys it would drop."""


class EntryRefused(LorasmithError):
    """This LoRA cannot take part."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the command line says of all files; None and empty leave it to each file."""

    base: str | None = None
    trigger: str = ""
    class_word: str = ""
    scale: float | None = None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One LoRA."""

    file: Path
    name: str
    """What it is called in tables and grids: the file's name, told apart where two are the same."""
    sha256: str
    base: str
    trigger: str
    class_word: str
    style: bool
    """Whether the file says that it learned a style."""
    scale: float
    scale_from: str
    """sidecar, header, command or habit."""


def entries(files: Sequence[Path], said: Said) -> tuple[Entry, ...]:
    """The LoRAs in the order given. Raises `EntryRefused` by name for what cannot be compared."""
    if len(files) > MOST_LORAS:
        raise EntryRefused(f"{len(files)} LoRAs are too many for one comparison; at most {MOST_LORAS}")
    found = [_entry(file, said) for file in files]
    for one, other in ((a, b) for n, a in enumerate(found) for b in found[:n]):
        if one.base != other.base:
            raise EntryRefused(f"{other.file} is for {other.base} and {one.file} is for {one.base}: compare them apart")
        if one.sha256 == other.sha256:
            raise EntryRefused(f"{one.file} is the same LoRA as {other.file}")
    return _named(found)


def _entry(file: Path, said: Said) -> Entry:
    if not file.is_file():
        raise EntryRefused(f"there is no LoRA file {file}")
    try:
        report, families = check_file(file), _families(file)
        metadata = read_header(file).metadata
    except FileRefused as error:
        raise EntryRefused(f"{file} is no LoRA that can be read: {error}") from error
    base = _base(file, report, families, said)
    _require_loads(file, report)
    trigger, class_word, style = _words(file, metadata, said)
    scale, source = report.recommended_weight, report.weight_source
    if said.scale is not None:
        scale, source = said.scale, "command"
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return Entry(
        file=file.resolve(),
        name=plain(file.stem, 60),
        sha256=digest,
        base=base,
        trigger=trigger,
        class_word=class_word,
        style=style,
        scale=1.0 if scale is None else scale,
        scale_from=source or "habit",
    )


def _families(file: Path) -> tuple[str, ...]:
    return families_of(inventory_of(file, read_header(file)))


def _base(file: Path, report: CheckReport, families: Sequence[str], said: Said) -> str:
    if report.family is None:
        raise EntryRefused(f"{file} is a LoRA for no base model that is known here")
    if said.base is None:
        return report.family
    if said.base not in families:
        raise EntryRefused(f"{file} is a LoRA for {report.family}, and the base model is {said.base}")
    return said.base


def _require_loads(file: Path, report: CheckReport) -> None:
    """No number says anything about a file of which a part was dropped."""
    broken = next((problem.text for problem in report.problems if problem.level == "error"), None)
    if broken:
        raise EntryRefused(f"{file} is broken: {broken}")
    loading = [verdict for verdict in report.tools if verdict.tool == DRAWS_WITH]
    if not loading or not loading[0].checked:
        why = loading[0].note if loading else f"a {report.kind}"
        raise EntryRefused(f"{file} may not load here: {why}")
    if dropped := loading[0].dropped:
        raise EntryRefused(
            f"{file}: {dropped} of {dropped + loading[0].used} keys would be dropped, such as "
            f"{plain(loading[0].dropped_keys[0], 100)}; `lorasmith convert` may mend that"
        )


def _words(file: Path, metadata: Mapping[str, str], said: Said) -> tuple[str, str, bool]:
    """Trigger, class word, and whether it is a style: from the command line, else from our own header."""
    style = metadata.get("lorasmith.subject") == SubjectType.STYLE
    own = [clean_word(metadata.get(f"lorasmith.{key}", "")) for key in ("trigger", "class_word")]
    several = _concepts(metadata)
    if several and not said.trigger:
        listed = " or ".join(f"--trigger {trigger} --class-word {word}" for trigger, word in several)
        raise EntryRefused(f"{file} holds several subjects; say which is meant: {listed}")
    trigger, class_word = said.trigger or own[0], said.class_word or dict(several).get(said.trigger, own[1])
    if not trigger:
        raise EntryRefused(f"{file} does not say which word calls its subject; give it with --trigger")
    if not class_word:
        raise EntryRefused(f"{file} does not say what kind of thing it shows; give it with --class-word, such as dog")
    return trigger, class_word, style


def _concepts(metadata: Mapping[str, str]) -> list[tuple[str, str]]:
    try:
        listed = json.loads(metadata.get("lorasmith.concepts", "[]"))
        return [(clean_word(str(trigger)), clean_word(str(word))) for trigger, word in listed]
    except (ValueError, TypeError, RecursionError):
        return []


def _named(found: Sequence[Entry]) -> tuple[Entry, ...]:
    """Files of one name are told apart by their folders, else by their bytes."""
    names = Counter(entry.name for entry in found)
    foldered = [
        entry if names[entry.name] == 1 else replace(entry, name=plain(f"{entry.file.parent.name}/{entry.name}", 60))
        for entry in found
    ]
    names = Counter(entry.name for entry in foldered)
    return tuple(
        entry if names[entry.name] == 1 else replace(entry, name=f"{entry.name} {entry.sha256[:6]}")
        for entry in foldered
    )
