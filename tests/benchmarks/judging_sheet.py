"""A blind look: what somebody who does not know the readers' answers sees on 200 drawn pictures.

    python -m tests.benchmarks.judging_sheet draw --out runs/judging --sheet runs/judging-sheet
    python -m tests.benchmarks.judging_sheet score --sheet runs/judging-sheet

`draw` writes pages of ten samples and `form.csv` without answers. With the trigger: which of four subjects (A to D, one of them
right; - for none) and which place, of a style which thing. Without: colour, class and place, as `red cat grass`. The readers'
answers lie in `readers.json`, which is not to be opened before the form is filled in. `score` prints how often both agree.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tests.benchmarks.examiner import NEW_PLACES
from tests.benchmarks.judging_cases import Case, cases
from tests.benchmarks.judging_exam import OWN_SEEDS, answers_file, kept
from tests.benchmarks.judging_readers import Reader, reader_of
from tests.benchmarks.judging_trajectories import trained
from trainer.pocket import WEIGHTS
from trainer.pocket.oracle import Oracle, load_oracle
from trainer.pocket.pools import Pictures
from trainer.pocket.subjects import TestSubject
from trainer.pocket.vocabulary import BACKGROUNDS, CLASSES, COLOURS

SAMPLES, WITHOUT = 200, 60
A_PAGE = 10
CELL = 160
REFERENCES = 4
LETTERS = "ABCD"
NONE = "-"
HEAD = ("number", "with_trigger", "subject", "place_or_thing")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One picture, what is shown beside it, and what the readers say."""

    case: Case
    picture: Pictures
    options: tuple[TestSubject, ...]
    """A to D; none where there is no trigger."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Of a reader or of somebody who looked."""

    subject: str
    """A letter, or - for none of them; empty without the trigger."""
    second: str
    """The place, of a style the thing; without the trigger colour, class and place."""


def samples(these: Sequence[Case], out: Path, chance: random.Random) -> list[Sample]:
    """From all checkpoints that were examined; each subject gives about as many."""
    found = []
    for number in range(SAMPLES):
        case = these[number % len(these)]
        trajectory = trained(case, out, 1)
        pictures = kept(answers_file(trajectory, chance.choice(case.trained.checkpoint_steps), 1.0))
        split = len(NEW_PLACES) * OWN_SEEDS
        if number < SAMPLES - WITHOUT:
            found.append(
                Sample(case=case, picture=pictures[chance.randrange(split)], options=_options(case, out, chance))
            )
        else:
            found.append(Sample(case=case, picture=pictures[chance.randrange(split, len(pictures))], options=()))
    chance.shuffle(found)
    return found


def _options(case: Case, out: Path, chance: random.Random) -> tuple[TestSubject, ...]:
    """The subject and three others that its reader knows, in any order."""
    known = [s for s in reader_of(case.subject, out).subjects if s.index != case.subject.index]
    options = [case.subject, *chance.sample(known, REFERENCES - 1)]
    chance.shuffle(options)
    return tuple(options)


def answer(sample: Sample, reader: Reader, oracle: Oracle) -> Answer:
    """What the readers say, put as the form asks it: the likeliest of four subjects, and none of them where that is likelier."""
    picture: Pictures = sample.picture[None]
    colour, place = int(oracle.answers(picture)[0, 1]), tuple(BACKGROUNDS)[int(oracle.answers(picture)[0, 2])]
    class_word = CLASSES[int(oracle.answers(picture)[0, 0])]
    if not sample.options:
        return Answer(subject="", second=f"{COLOURS[colour]} {class_word} {place}")
    chances = reader.probabilities(picture)[0]
    among = [chances[reader.way(option)] for option in sample.options]
    letter = NONE if max(among) < chances[-1] else LETTERS[int(np.argmax(among))]
    styled = sample.case.subject.kind == "style"
    return Answer(subject=letter, second=CLASSES[int(reader.classes(picture)[0])] if styled else place)


def page(these: Sequence[Sample], first: int) -> Image.Image:
    """A row a sample: its number, the picture, and two renderings of each option."""
    width = 60 + CELL * (1 + REFERENCES) + 20
    sheet = Image.new("RGB", (width, CELL * len(these)), "white")
    pen = ImageDraw.Draw(sheet)
    for row, sample in enumerate(these):
        top = row * CELL
        pen.text((5, top + 5), f"{first + row}", fill="black", font_size=22)
        sheet.paste(Image.fromarray(sample.picture).resize((CELL - 4, CELL - 4), Image.Resampling.BICUBIC), (60, top))
        for place, option in enumerate(sample.options):
            left = 80 + CELL * (1 + place)
            for n, background in enumerate(("grass", "room")):
                shown = option.render(background, 900_000 + n, px=(CELL - 8) // 2)
                sheet.paste(shown, (left + n * (CELL // 2), top + 24))
            pen.text((left, top + 2), LETTERS[place], fill="black", font_size=18)
    return sheet


def draw(out: Path, folder: Path, subjects: int) -> None:
    """Pages, the empty form, and the readers' answers."""
    chance, oracle = random.Random(4), load_oracle(WEIGHTS / "oracle")
    ready = [case for case in cases(subjects) if (out / case.name / "record.json").is_file()]
    found = samples(ready, out, chance)
    folder.mkdir(parents=True, exist_ok=True)
    for at in range(0, len(found), A_PAGE):
        page(found[at : at + A_PAGE], at).save(folder / f"page-{at:03d}.png")
    said = [asdict(answer(sample, reader_of(sample.case.subject, out), oracle)) for sample in found]
    (folder / "readers.json").write_text(json.dumps(said))
    with (folder / "form.csv").open("w", newline="") as file:
        form = csv.writer(file)
        form.writerow(HEAD)
        form.writerows([n, "yes" if sample.options else "no", "", ""] for n, sample in enumerate(found))
    print(f"{len(found)} samples in {folder}: fill in form.csv, then `score`; places are {', '.join(BACKGROUNDS)}")


def agreements(filled: Sequence[Answer], said: Sequence[Answer]) -> dict[str, list[bool]]:
    """Answer by answer; what was left empty is not counted."""
    found: dict[str, list[bool]] = {"subject": [], "place or thing": [], "colour, class and place": []}
    for looked, read in zip(filled, said, strict=True):
        if read.subject and looked.subject:
            found["subject"].append(looked.subject.strip().upper() == read.subject)
        if looked.second:
            words = looked.second.lower().split() == read.second.split()
            found["place or thing" if read.subject else "colour, class and place"].append(words)
    return found


def score(folder: Path) -> dict[str, list[bool]]:
    """Compares the filled form with the readers' answers."""
    said = [Answer(**each) for each in json.loads((folder / "readers.json").read_text())]
    with (folder / "form.csv").open(newline="") as file:
        filled = [Answer(subject=row["subject"], second=row["place_or_thing"]) for row in csv.DictReader(file)]
    return agreements(filled, said)


def main(arguments: Sequence[str] | None = None) -> None:
    """One of the two halves."""
    parser = argparse.ArgumentParser(description="A blind look at what the readers of the judging study read.")
    parser.add_argument("half", choices=("draw", "score"))
    parser.add_argument("--out", type=Path, default=Path("runs/judging"))
    parser.add_argument("--sheet", type=Path, default=Path("runs/judging-sheet"))
    parser.add_argument("--subjects", type=int, default=40)
    given = parser.parse_args(arguments)
    if given.half == "draw":
        draw(given.out.absolute(), given.sheet, given.subjects)
        return
    found = score(given.sheet)
    for name, right in found.items():
        print(f"{name}: {sum(right)} of {len(right)}")
    every = [each for right in found.values() for each in right]
    print(f"agreement {sum(every) / max(1, len(every)):.1%} of {len(every)} (85 % is asked for)")


if __name__ == "__main__":
    main()
