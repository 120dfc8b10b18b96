"""The folder of a comparison: whose it is, what the child is told in it, and what is written there at the end.

grid.png  page.html  table.md  result.json  drawn/<contestant>/<prompt>-<seed>.png  .lorasmith/{asked.json,evaluation.json,...}
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from shutil import rmtree

from storage.domain.errors import LorasmithError, PictureRefused
from storage.domain.fit import Fit
from storage.domain.orders import MAX_PICTURES, SubjectType
from storage.domain.plan import Plan
from storage.domain.recipes import PictureOf, plan_for
from storage.evaluation import Contestant, Evaluation, Scores, result_of, values_of
from storage.evaluation_entry import Entry
from storage.evaluation_page import evaluation_page
from storage.evaluation_prompts import Prompt
from storage.evaluation_words import table
from storage.pictures import Checker, Kept, limits_for
from storage.words_pictures import pictures_refused
from trainer.comparison import FILE, HOME, Call, Comparison, Entrant, EyeName
from trainer.events import Evaluated
from trainer.gathering import gathered

ASKED = "asked.json"
"""What the folder was made for: only the same command goes on in it."""
ROW_SEEDS = 1000
"""Seeds of a prompt begin at its number times this, so that no two prompts share their noise."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A comparison whose parts have all been looked at."""

    out: Path
    base: str
    source: str
    """Folder or hub id of the base's weights."""
    eyes: Mapping[EyeName, str]
    """Where the judge's models are."""
    prompts: tuple[Prompt, ...]
    seeds: int
    """Of each prompt."""
    entries: tuple[Entry, ...]
    pictures: tuple[Kept, ...]

    @property
    def calls(self) -> tuple[tuple[str, str], ...]:
        """Trigger and class word, each pair once: the base is drawn for each of them."""
        return tuple(dict.fromkeys((entry.trigger, entry.class_word) for entry in self.entries))

    @property
    def rows(self) -> list[list[int]]:
        """The seeds of every prompt."""
        return [[row * ROW_SEEDS + k for k in range(1, self.seeds + 1)] for row in range(len(self.prompts))]

    @property
    def labels(self) -> list[str]:
        """The prompts for people: where subjects differ, with the names of all."""
        words = "/".join(dict.fromkeys(word for _, word in self.calls))
        return [prompt.plain(words) for prompt in self.prompts]

    @property
    def asked(self) -> str:
        """Equal for equal commands, whatever the order of their LoRAs."""
        loras = sorted([e.sha256, e.scale, e.trigger, e.class_word] for e in self.entries)
        lines, pictures = [prompt.line for prompt in self.prompts], [kept.sha256 for kept in self.pictures]
        said = {"base": self.base, "prompts": lines, "seeds": self.seeds, "loras": loras, "pictures": pictures}
        return json.dumps(said, indent=2) + "\n"


def require_ours(out: Path) -> None:
    """Raises `LorasmithError` for a folder in which something else lies."""
    if out.exists() and not out.is_dir():
        raise LorasmithError(f"{out} is no folder")
    if out.is_dir() and any(out.iterdir()) and not (out / HOME / ASKED).is_file():
        raise LorasmithError(f"{out} is not empty; give another --out")


def claim(wanted: Wanted) -> bool:
    """Makes the folder this command's; whether it was before. Raises `LorasmithError` where it is another's."""
    file = wanted.out / HOME / ASKED
    if file.is_file():
        if file.read_text("utf-8") != wanted.asked:
            raise LorasmithError(
                f"{wanted.out} holds another comparison (other LoRAs, prompts, seeds, pictures, words or scales); give another "
                "--out"
            )
        return True
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(wanted.asked, "utf-8")
    return False


async def pictures_in(folder: Path, base: str) -> tuple[tuple[Kept, ...], list[str]]:
    """The training pictures of a folder, each once, and sentences on those that are not used. Raises `LorasmithError`."""
    found = gathered(folder)
    if found.concepts:
        raise LorasmithError(f"{folder} holds several subjects; name the folder of one of them")
    checker, kept = Checker(), dict[str, Kept]()
    refused: list[tuple[str, str, str]] = []
    try:
        for file in found.files:
            try:
                picture = await checker.check(file, limits_for(base))
            except PictureRefused as error:
                refused.append((found.called(file), error.fault.value, error.detail))
            else:
                kept.setdefault(picture.sha256, picture)
            if len(kept) > MAX_PICTURES:
                raise LorasmithError(f"{folder} holds more than {MAX_PICTURES} pictures; a LoRA learns from no more")
    finally:
        await checker.close()
    if not kept:
        raise LorasmithError(f"no picture in {folder} can be used")
    return tuple(kept.values()), pictures_refused(refused)


def usual_plan(base: str) -> Plan:
    """How the base draws and what it needs of a machine, as for an order of eight pictures."""
    return plan_for(
        base=base,
        subject_type=SubjectType.OBJECT,
        class_word="thing",
        trigger="zorvex",
        seed=1,
        pictures=[PictureOf(id=str(n), dhash=n) for n in range(8)],
    )


def prepare(wanted: Wanted, plan: Plan, fit: Fit) -> Comparison:
    """Writes pictures and `evaluation.json`. What was drawn on another machine or in another way is drawn again."""
    home = wanted.out / HOME
    (home / "pictures").mkdir(parents=True, exist_ok=True)
    names = [f"{HOME}/pictures/{number}.jpg" for number in range(len(wanted.pictures))]
    for name, kept in zip(names, wanted.pictures, strict=True):
        (wanted.out / name).write_bytes(kept.data)
    made = Comparison(
        base=wanted.base,
        source=wanted.source,
        eyes=dict(wanted.eyes),
        fit=fit.to_json(),
        resolution=plan.resolution,
        preview_steps=plan.preview_steps,
        guidance=plan.guidance,
        seeds=wanted.rows,
        labels=wanted.labels,
        calls=[_call(wanted.prompts, *words) for words in wanted.calls],
        entrants=[entrant for number in range(len(wanted.calls)) for entrant in _entrants(wanted, number)],
        pictures=names,
    )
    if _drawn_otherwise(home / FILE, made):
        rmtree(wanted.out / "drawn", ignore_errors=True)
    part = home / f"{FILE}.part"
    part.write_text(made.model_dump_json(), "utf-8")
    part.replace(home / FILE)
    return made


def _call(prompts: Sequence[Prompt], trigger: str, class_word: str) -> Call:
    return Call(
        texts=[prompt.text(trigger, class_word) for prompt in prompts],
        plains=[prompt.plain(class_word) for prompt in prompts],
    )


def _entrants(wanted: Wanted, call: int) -> list[Entrant]:
    """The base with one subject's words, then the LoRAs of that subject."""
    words = " ".join(wanted.calls[call])
    name, key = ("base", "base") if len(wanted.calls) == 1 else (f"base, {words}", f"base-{_slug(words)}")
    own = [entry for entry in wanted.entries if (entry.trigger, entry.class_word) == wanted.calls[call]]
    return [
        Entrant(key=key, name=name, call=call),
        *(
            Entrant(
                key=f"{_slug(entry.name)}-{entry.sha256[:6]}",
                name=entry.name,
                call=call,
                lora=str(entry.file),
                sha256=entry.sha256,
                scale=entry.scale,
            )
            for entry in own
        ),
    ]


def _slug(text: str) -> str:
    """Two of one spelling are told apart by a number of their letters."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "x"
    return plain if plain == text else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:4]}"


def _drawn_otherwise(file: Path, now: Comparison) -> bool:
    """Whether what lies here was drawn with another base, fit or sampler."""
    try:
        before = Comparison.model_validate_json(file.read_bytes())
    except (OSError, ValueError):
        return True
    return any(getattr(before, name) != getattr(now, name) for name in _DRAWING)


_DRAWING = ("base", "source", "fit", "resolution", "preview_steps", "guidance", "seeds")


def summed(wanted: Wanted, made: Comparison, event: Evaluated) -> Evaluation:
    """The child's numbers as means with their intervals. Raises `LorasmithError` where they are not those asked for."""
    if [score.key for score in event.scores] != [entrant.key for entrant in made.entrants]:
        raise LorasmithError("the GPU child measured something else than it was asked for")
    named = [field.name for field in fields(Scores)]
    scores = [Scores(**{name: getattr(score, name) for name in named}) for score in event.scores]
    bases = {entrant.call: own for entrant, own in zip(made.entrants, scores, strict=True) if not entrant.lora}
    return Evaluation(
        base=wanted.base,
        labels=made.labels,
        lines=[prompt.line for prompt in wanted.prompts],
        seeds=made.seeds,
        training_pictures=len(wanted.pictures),
        eyed=event.eyed,
        contestants=[
            Contestant(
                name=entrant.name,
                file=entrant.lora or None,
                sha256=entrant.sha256 or None,
                scale=entrant.scale if entrant.lora else None,
                trigger=wanted.calls[entrant.call][0],
                class_word=wanted.calls[entrant.call][1],
                pictures=told.pictures,
                seconds=told.seconds,
                scores=own,
                values=values_of(own, bases[entrant.call]),
            )
            for entrant, told, own in zip(made.entrants, event.scores, scores, strict=True)
        ],
    )


def write_out(out: Path, made: Comparison, found: Evaluation) -> None:
    """Table, result and page; the grid is the child's."""
    shown = {
        (row, column): file.read_bytes()
        for column, entrant in enumerate(made.entrants)
        for row in range(len(made.labels))
        if (file := out / HOME / "shown" / entrant.key / f"{row}.jpg").is_file()
    }
    (out / "table.md").write_text(table(found), "utf-8")
    (out / "result.json").write_text(json.dumps(result_of(found), indent=2, allow_nan=False) + "\n", "utf-8")
    (out / "page.html").write_text(evaluation_page(found, shown), "utf-8")
