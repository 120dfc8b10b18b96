"""The pocket's gates, measured: `python -m trainer.pocket.gates [--folder FOLDER] [--samples 500]`.

Photographs come from the folder named by LORASMITH_PHOTOS (any depth); without it that row says so and the command
fails, since a gate that was not measured is not passed.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import diffusers
import numpy as np
import torch
import transformers
from diffusers import StableDiffusionXLPipeline
from numpy.typing import NDArray
from PIL import Image
from transformers import CLIPModel

from storage.domain.recipes import POCKET_GUIDANCE, POCKET_PREVIEW_STEPS
from trainer.pocket import WEIGHTS
from trainer.pocket.architecture import PICTURE_PX, build_tokenizer, load_pipeline
from trainer.pocket.captions import prompt
from trainer.pocket.clip import floats, zero_shot
from trainer.pocket.oracle import Oracle, load_oracle
from trainer.pocket.pairs import pair_labels, read_right
from trainer.pocket.pools import Pictures, labels_of
from trainer.pocket.scenes import ScenePlan, draw_scene, held_out, plan_scene
from trainer.pocket.vae import psnr
from trainer.pocket.vocabulary import BACKGROUNDS, CLASSES, COLOURS

BATCH = 50
CENTRED_SEED, WIDE_SEED, DRAWN_SEED, PAIR_SEED = 31_000, 32_000, 33_000, 34_000
PHOTO_ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: what was measured, the figure, the gate, how many cases."""

    what: str
    figure: float
    gate: float
    cases: int
    unit: str = "%"

    @property
    def passed(self) -> bool:
        """Whether the figure reaches the gate; a missing figure (nan) does not."""
        return self.figure >= self.gate

    def line(self) -> str:
        """The row as text."""
        figure = f"{self.figure:.1%}" if self.unit == "%" else f"{self.figure:.1f} {self.unit}"
        gate = f"{self.gate:.0%}" if self.unit == "%" else f"{self.gate:.0f} {self.unit}"
        return f"| {self.what} | {figure} | {gate} | {self.cases} | {'passed' if self.passed else 'MISSED'} |"


@dataclass(frozen=True, kw_only=True)
class Question:
    """A prompt and its right answers as numbers: class, colour and background, or those of `pairs.PAIR_QUESTIONS`."""

    text: str
    answers: tuple[int, ...]


def centred_questions(count: int) -> list[Question]:
    """Plain prompts; every second one is a combination that no pretraining caption held."""
    random, questions = Random(CENTRED_SEED), list[Question]()
    places = tuple(BACKGROUNDS)
    while len(questions) < count:
        words = random.choice(CLASSES), random.choice(COLOURS), random.choice(places)
        if held_out(*words) == (len(questions) % 2 == 1):
            answers = CLASSES.index(words[0]), COLOURS.index(words[1]), places.index(words[2])
            questions.append(Question(text=prompt(*words), answers=answers))
    return questions


def wide_questions(count: int) -> list[Question]:
    """Captions of wide scenes (sizes, patterns, made-up words, free phrasing), again half held out.

    Captions that leave out an attribute, name a style or a second thing have no single right answer and are skipped.
    """
    questions, index = list[Question](), 0
    while len(questions) < count:
        plan = plan_scene(WIDE_SEED, index, 1.0, every_combination=True)
        index += 1
        thing = plan.things[0]
        unseen = held_out(thing.class_word, thing.colour, plan.background)
        if _single(plan) and _told(plan) and unseen == (len(questions) % 2 == 1):
            questions.append(Question(text=plan.caption, answers=labels_of(plan)))
    return questions


def pair_questions(count: int) -> list[Question]:
    """Captions of scenes with two things of different classes, every attribute told; half hold a combination never seen."""
    questions, index = list[Question](), 0
    while len(questions) < count:
        plan = plan_scene(PAIR_SEED, index, 1.0, every_combination=True, pairs=1.0)
        index += 1
        left, right = plan.things
        clear = plan.style is None and left.class_word != right.class_word
        unseen = any(held_out(thing.class_word, thing.colour, plan.background) for thing in plan.things)
        if clear and _told(plan) and unseen == (len(questions) % 2 == 1):
            questions.append(Question(text=plan.caption, answers=pair_labels(plan)))
    return questions


def _told(plan: ScenePlan) -> bool:
    """Whether the caption says every colour and the background: colours of a pattern may say them too, which is as well."""
    words = plan.caption.replace(",", " ").split()
    colours = [thing.colour for thing in plan.things]
    return BACKGROUNDS[plan.background] in plan.caption and all(words.count(c) >= colours.count(c) for c in colours)


def _single(plan: ScenePlan) -> bool:
    return len(plan.things) == 1 and plan.style is None


def draw_prompts(pipeline: StableDiffusionXLPipeline, texts: Sequence[str], *, first_seed: int) -> Pictures:
    """Pictures (N, 64, 64, 3) of the prompts by the stock pipeline, each with a seed of its own."""
    drawn: list[NDArray[np.uint8]] = []
    for at in range(0, len(texts), BATCH):
        part = list(texts[at : at + BATCH])
        seeds = [torch.Generator().manual_seed(first_seed + at + place) for place in range(len(part))]
        found = pipeline(
            prompt=part, num_inference_steps=POCKET_PREVIEW_STEPS, guidance_scale=POCKET_GUIDANCE, generator=seeds
        ).images
        drawn += [np.asarray(picture.convert("RGB")) for picture in found]
    return np.stack(drawn)


def photographs(folder: Path) -> Pictures:
    """The centre squares of all photographs below the folder at 64 px."""
    squares = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTO_ENDINGS):
        with Image.open(path) as photo:
            upright = photo.convert("RGB")
        side = min(upright.size)
        left, top = (upright.width - side) // 2, (upright.height - side) // 2
        square = upright.crop((left, top, left + side, top + side))
        squares.append(np.asarray(square.resize((PICTURE_PX, PICTURE_PX), Image.Resampling.LANCZOS)))
    return np.stack(squares)


@torch.no_grad()
def photo_rows(pipeline: StableDiffusionXLPipeline, photos: Pictures) -> list[Row]:
    """Mean and worst PSNR of the autoencoder on photographs it never saw."""
    values = floats(photos)
    back = pipeline.vae.decode(pipeline.vae.encode(values).latent_dist.mode()).sample
    decibels = psnr(back, values)
    return [
        Row(
            what="autoencoder, photographs, mean", figure=decibels.mean().item(), gate=28, cases=len(photos), unit="dB"
        ),
        Row(
            what="autoencoder, photographs, worst", figure=decibels.min().item(), gate=24, cases=len(photos), unit="dB"
        ),
    ]


def drawn_scenes(count: int) -> tuple[Pictures, NDArray[np.int64]]:
    """Unseen drawn scenes with one thing and no style, all combinations, poses from centred to wide."""
    plans = [plan_scene(DRAWN_SEED, index, index % 5 / 4, every_combination=True) for index in range(count)]
    single = [plan for plan in plans if _single(plan)]
    pictures = np.stack([np.asarray(draw_scene(plan, PICTURE_PX)) for plan in single])
    return pictures, np.array([labels_of(plan) for plan in single], dtype=np.int64)


def judge_row(clip: CLIPModel, pictures: Pictures, labels: NDArray[np.int64]) -> Row:
    """Zero-shot class of the tiny CLIP."""
    found = zero_shot(clip, build_tokenizer(), pictures, torch.from_numpy(labels))
    return Row(what="CLIP, zero-shot class of drawn scenes", figure=found.class_word, gate=0.8, cases=len(labels))


def oracle_rows(
    oracle: Oracle, pictures: Pictures, labels: NDArray[np.int64], name: str, gates: Sequence[float]
) -> list[Row]:
    """How often the oracle names class, colour and background right."""
    right = (oracle.answers(pictures) == labels).mean(axis=0)
    questions = ("class", "colour", "background")
    return [
        Row(what=f"{name}, {question}", figure=float(figure), gate=gate, cases=len(labels))
        for question, figure, gate in zip(questions, right, gates, strict=True)
    ]


def sample_rows(pipeline: StableDiffusionXLPipeline, oracle: Oracle, count: int) -> list[Row]:
    """Generated samples, centred and wide, read by the oracle."""
    rows: list[Row] = []
    kinds: tuple[tuple[str, Callable[[int], list[Question]], float, int], ...] = (
        ("centred prompts", centred_questions, 0.9, 100_000),
        ("wide prompts", wide_questions, 0.9, 200_000),
    )
    for name, ask, gate, seed in kinds:
        questions = ask(count)
        pictures = draw_prompts(pipeline, [question.text for question in questions], first_seed=seed)
        answers = np.array([question.answers for question in questions])
        rows += oracle_rows(oracle, pictures, answers, name, (gate, 0.95, 0.95))
    return rows


def pair_rows(pairs: Oracle, pictures: Pictures, asked: NDArray[np.int64], name: str, gate: float) -> list[Row]:
    """How often the reader of pairs names both classes, both colours and the background right."""
    right = read_right(pairs.answers(pictures), asked)
    return [
        Row(what=f"{name}, {question}", figure=float(hits.mean()), gate=gate, cases=len(asked))
        for question, hits in (
            ("both classes", right.class_word),
            ("both colours", right.colour),
            ("background", right.background),
        )
    ]


def drawn_pairs(count: int) -> tuple[Pictures, NDArray[np.int64]]:
    """Unseen drawn scenes with two things and no style, all combinations."""
    plans = [plan_scene(PAIR_SEED + 1, index, 1.0, every_combination=True, pairs=1.0) for index in range(count)]
    plain = [plan for plan in plans if plan.style is None]
    pictures = np.stack([np.asarray(draw_scene(plan, PICTURE_PX)) for plan in plain])
    return pictures, np.array([pair_labels(plan) for plan in plain])


def sampled_pairs(pipeline: StableDiffusionXLPipeline, pairs: Oracle, count: int) -> list[Row]:
    """The reader of pairs on scenes that the generator drew, and on generated ones."""
    questions = pair_questions(count)
    pictures = draw_prompts(pipeline, [question.text for question in questions], first_seed=300_000)
    return [
        *pair_rows(pairs, *drawn_pairs(600), "reader of pairs, drawn scenes", 0.9),
        *pair_rows(pairs, pictures, np.array([question.answers for question in questions]), "pairs", 0.9),
    ]


def measured(folder: Path, *, samples: int, photos: Path | None) -> list[Row]:
    """The whole table for an exported folder."""
    pipeline, oracle = load_pipeline(folder), load_oracle(folder / "oracle")
    clip = CLIPModel.from_pretrained(folder / "judge", dtype=torch.float32, local_files_only=True)
    missing = Row(
        what="autoencoder, photographs (LORASMITH_PHOTOS is not set)", figure=float("nan"), gate=28, cases=0, unit="dB"
    )
    pictures, labels = drawn_scenes(600)
    return [
        *(photo_rows(pipeline, photographs(photos)) if photos else [missing]),
        judge_row(clip, pictures, labels),
        *oracle_rows(oracle, pictures, labels, "oracle, drawn scenes", (0.95, 0.95, 0.95)),
        *sample_rows(pipeline, oracle, samples),
        *sampled_pairs(pipeline, load_oracle(folder / "pairs"), samples),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 0 only when every gate is passed."""
    parser = argparse.ArgumentParser(prog="python -m trainer.pocket.gates", description="Measure the pocket's gates.")
    parser.add_argument("--folder", type=Path, default=WEIGHTS, help="an exported pipeline with judge/ and oracle/")
    parser.add_argument("--samples", type=int, default=500, help="prompts of each kind")
    asked = parser.parse_args(arguments)
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    named = os.environ.get("LORASMITH_PHOTOS")
    rows = measured(asked.folder, samples=asked.samples, photos=Path(named) if named else None)
    print("| what | figure | gate | cases | |\n| --- | --- | --- | --- | --- |")  # noqa: T201
    print("\n".join(row.line() for row in rows))  # noqa: T201
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
