"""Several concepts through the child: who is seen how often, what each is called, and what each is held against."""

from __future__ import annotations

import time
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from storage.domain.doctor import Ailment, from_json
from storage.domain.measurement import Measurement
from storage.domain.orders import SubjectType
from storage.domain.plan import Concept, Plan, PreviewPrompt
from storage.domain.recipes import PictureOf, plan_for, steps_for
from storage.lora_file import read_header
from storage.words_doctor import finding_words
from tests.builders import CPU_FIT, make_job, tiny_plan, without_validation
from tests.trainer.gpu.conftest import Desk, only
from trainer.events import Checkpointed, Failed, Finished, Logged
from trainer.gpu import captions, judge
from trainer.gpu.bench import Loaded
from trainer.gpu.examination import examined
from trainer.gpu.job import JobRefused, read
from trainer.gpu.judge.eye import Eye, eye_of
from trainer.gpu.judge.sight import Looked, References, seen, toward
from trainer.gpu.latents import Encoded
from trainer.gpu.pictures import Framed, Shape
from trainer.gpu.views import views
from trainer.pocket import WEIGHTS
from trainer.pocket.subjects import test_subject

ONE, OTHER = "zorvex", "kredax"


def tiny(pictures: int = 6, steps: int = 2, **changes: Any) -> Plan:
    """The tiny plan with the first half of its pictures a toy, the others a robot."""
    of = [f"p{n}" for n in range(pictures)]
    plan = replace(tiny_plan(pictures, steps), **changes)
    robot = replace(plan.prompts[0], text="a kredax robot on grass", plain="a robot on grass", seeds=(5, 6))
    both = replace(plan.prompts[0], text="a zorvex toy and a kredax robot", plain="a toy and a robot", seeds=(7, 8))
    half = pictures // 2
    return replace(
        plan,
        prompts=(plan.prompts[0], robot, both, plan.prompts[1]),
        concepts=(
            Concept(trigger=ONE, class_word="toy", pictures=tuple(of[:half])),
            Concept(trigger=OTHER, class_word="robot", pictures=tuple(of[half:]), repeats=3),
        ),
    )


def shown(*ids: str, caption: str = "") -> list[Encoded]:
    """Pictures of which only names and words are looked at."""
    latents = torch.zeros(1, 1, 1)
    return [
        Encoded(
            picture=Framed(
                id=id_,
                sha256="",
                image=Image.new("RGB", (8, 8)),
                shape=Shape(height=8, width=8),
                original=(8, 8),
                held_out=False,
                caption=caption,
            ),
            kept={"plain": latents, "mirrored": latents},
        )
        for id_ in ids
    ]


def test_an_epoch_shows_every_picture_as_often_as_its_concept_says_and_each_by_its_own_word() -> None:
    plan = tiny(6, batch_size=6, caption_dropout=0.0)
    for epoch in range(3):
        found = [
            view for step in (1, 2) for view in views(plan, shown(*(f"p{n}" for n in range(6))), 100, 2 * epoch + step)
        ]
        count = Counter(view.encoded.picture.id for view in found)
        assert count == {"p0": 1, "p1": 1, "p2": 1, "p3": 3, "p4": 3, "p5": 3}
        for view in found:
            first = view.encoded.picture.id in plan.concepts[0].pictures
            assert (ONE in view.text, OTHER in view.text) == (first, not first), view.text
            assert ("toy" if first else "robot") in view.text


def test_without_a_trigger_no_concept_is_named_and_each_class_is_asked_for_alike() -> None:
    plan = tiny(6, caption_dropout=0.0, prior="base_prediction", prior_prompts=("a {class_word} at sea",))
    own = "a zorvex toy beside a Kredax robot, with kredax"
    assert captions.plain(own, plan) == "a toy beside a robot, with robot"
    for step in range(1, 20):
        for view in views(plan, shown("p0", "p5"), 100, step, called=captions.prior_caption):
            assert ("toy" in view.text) == (view.encoded.picture.id == "p0")
            assert ONE not in view.text
            assert OTHER not in view.text
    classes = captions.class_texts(plan, [(f"p{n}", "") for n in range(6)])
    assert [all(word in text for text in texts) for word, texts in zip(("toy", "robot"), classes, strict=True)] == [
        True
    ] * 2
    alike = replace(plan, concepts=tuple(replace(c, class_word="toy") for c in plan.concepts))
    assert len(captions.class_texts(alike, [(f"p{n}", "") for n in range(6)])) == 1, (
        "two of one class share its pictures"
    )
    known = set(captions.texts(plan, [own]))
    assert known >= {text for texts in classes for text in texts} | {
        captions.judged(plan, "p0"),
        captions.judged(plan, "p5"),
    }


def test_a_picture_in_no_concept_is_refused(tmp_path: Path) -> None:
    plan = tiny()
    short = replace(plan.concepts[1], pictures=plan.concepts[1].pictures[:-1])
    make_job(tmp_path, "base", plan=replace(plan, concepts=(plan.concepts[0], short), held_out=("p0",)))
    with pytest.raises(JobRefused, match="each picture is in one of them"):
        read(tmp_path)


def test_the_likeness_of_a_row_is_to_its_own_concept_and_the_whole_is_their_mean() -> None:
    """Four directions: the toy's look, the robot's, the class's, a place."""
    plan = tiny(4)
    toy, robot, known, place = torch.eye(4)
    training = torch.stack([toy, toy, robot, robot])
    plain = (known + 0.5 * place) / 1.25**0.5
    cells = [(row, seed) for row in range(4) for seed in plan.prompts[row].seeds]
    references = References(
        training={"clip": training},
        base={cell: {"clip": plain} for cell in cells},
        plain_RD=torch.eye(4),
        ids=("p0", "p1", "p2", "p3"),
    )

    def drawn(first: torch.Tensor, second: torch.Tensor) -> Looked:
        rows = {0: first, 1: second, 2: (first + second) / 2**0.5}
        return {cell: {"clip": rows.get(cell[0], plain)} for cell in cells}

    right, swapped = seen(plan, drawn(toy, robot), references), seen(plan, drawn(robot, toy), references)
    assert right.likenesses == pytest.approx((1.0, 1.0), abs=0.01)
    assert max(swapped.likenesses) < 0.5 < right.likeness
    half = seen(plan, drawn(toy, plain), references)
    assert half.likenesses == pytest.approx((1.0, 0.0), abs=0.01)
    assert half.likeness == pytest.approx(0.5, abs=0.01)
    assert len(right.utilities) == 3, "one a row with a trigger, the one with both too"


def test_all_concepts_stand_in_the_file_and_beside_it(desk: Any, tmp_path: Path, random_base: Path, one: Any) -> None:
    make_job(tmp_path, random_base, plan=tiny(prior="class_pictures", prior_pictures=2))
    mark = one(desk.train(tmp_path, 2), Checkpointed)
    measured = Measurement.from_json(mark.measurement)
    assert len(measured.likenesses) == 2
    assert measured.likeness == pytest.approx(sum(measured.likenesses) / 2)
    prior = {encoded.picture.caption for encoded in desk.child._bench.prior}
    assert sum("toy" in text for text in prior) == sum("robot" in text for text in prior) == 1
    judged = [encoded.picture.id for encoded in desk.child._bench.stick.training]
    assert {id_ in ("p0", "p1", "p2") for id_ in judged[:2]} == {True, False}, "the judge looks at pictures of both"
    header = read_header(tmp_path / mark.lora).metadata
    assert header["modelspec.trigger_phrase"] == "zorvex toy, kredax robot"
    assert header["lorasmith.concepts"] == '[["zorvex", "toy"], ["kredax", "robot"]]'
    assert '"3_kredax robot": {"kredax robot": ' in header["ss_tag_frequency"]
    _each_trigger_is_looked_at(tmp_path, desk.child._loaded)
    done = one(desk.finish(tmp_path, 2), Finished)
    assert '"activation text": "zorvex toy, kredax robot"' in (tmp_path / done.files["sidecar"]).read_text()


def _each_trigger_is_looked_at(folder: Path, loaded: Loaded) -> None:
    task = read(folder)
    known = [replace(concept, trigger=word) for concept, word in zip(task.plan.concepts, (ONE, "cat"), strict=True)]
    for concepts, words in ((task.plan.concepts, []), (tuple(known), ["cat"])):
        said = examined(replace(task, plan=replace(task.plan, concepts=concepts)), loaded, {})
        found = [finding for finding in from_json(said.whole) if finding.ailment is Ailment.KNOWN_WORD]
        assert [finding.word for finding in found] == words
        assert all(f"knows the trigger {f.word} as a word" in finding_words(f) for f in found)


def test_triggers_that_the_base_reads_as_one_word_are_refused(desk: Any, tmp_path: Path, random_base: Path) -> None:
    plan = tiny()
    composed, apart = "zorvéx", unicodedata.normalize("NFD", "zorvéx")
    assert composed != apart
    said = [replace(p, text=p.text.replace(ONE, composed).replace(OTHER, apart)) for p in plan.prompts]
    concepts = [replace(c, trigger=word) for c, word in zip(plan.concepts, (composed, apart), strict=True)]
    make_job(tmp_path, random_base, plan=replace(plan, trigger=composed, concepts=tuple(concepts), prompts=tuple(said)))
    (failed,) = [event for event in desk.train(tmp_path, 2) if isinstance(event, Failed)]
    assert "as one word" in failed.reason
    assert (failed.fault, failed.retry) == ("pictures", False)


def test_each_trigger_moves_towards_its_own_subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pocket learns two drawn subjects that it never saw: a training too short to finish, long enough to tell them apart.

    It tells too what an order costs: in processor seconds, so that whatever else the machine does is not counted.
    """
    monkeypatch.setattr(time, "monotonic", time.process_time)
    subjects = (test_subject("object", 1), test_subject("character", 4))
    pictures = [picture for subject in subjects for picture in subject.pictures(4)]
    ids = [f"p{n}" for n in range(8)]
    whole = plan_for(
        base="pocket",
        subject_type=SubjectType.OBJECT,
        class_word="toy",
        trigger=ONE,
        seed=5,
        pictures=[PictureOf(id=id_, dhash=n) for n, id_ in enumerate(ids)],
        concepts=(
            Concept(trigger=ONE, class_word="toy", pictures=tuple(ids[:4])),
            Concept(trigger=OTHER, class_word="robot", pictures=tuple(ids[4:])),
        ),
    )
    rows = (whole.prompts[0], whole.prompts[2])
    steps = 24
    plan = replace(
        without_validation(whole),
        steps=steps,
        checkpoint_steps=(steps,),
        warmup_steps=1,
        batch_size=4,
        learning_rate=1e-3,
        prompts=rows,
        preview_steps=4,
    )
    make_job(tmp_path / "job", WEIGHTS, pictures=pictures, plan=plan, fit=replace(CPU_FIT, micro_batch=4))
    desk = Desk(tmp_path / "told.jsonl")
    told = desk.train(tmp_path / "job", steps)
    assert _measuring(told, plan, replace(whole, concepts=()), pictures=8) < 0.1
    eye = eye_of(str(WEIGHTS), torch.device("cpu"))
    assert eye is not None
    at = (tmp_path / "job" / "checkpoints" / str(steps), rows)
    ways = [eye.pictures(pictures[:4]), eye.pictures(pictures[4:])]
    own = [_moved(eye, at, row, ways[row]) for row in range(2)]
    others = [_moved(eye, at, row, ways[1 - row]) for row in range(2)]
    assert min(own) > 0.1, (own, others)
    assert all(a > b for a, b in zip(own, others, strict=True)), (own, others)


def _measuring(told: Sequence[Any], short: Plan, whole: Plan, pictures: int) -> float:
    """The share of measuring in an order of the recipe, by what a short one took: training and grids make up the rest.

    The recipe's sweep is not counted; four of its pictures and the one that is held out are judged, here fewer.
    """
    mark = Measurement.from_json(only(told, Checkpointed).measurement)
    pace = max(event.steps_per_s for event in told if isinstance(event, Logged)) * short.batch_size
    drawn = 2 * sum(len(prompt.seeds) for prompt in short.prompts) * short.preview_steps
    panel = sum(len(prompt.seeds) for prompt in whole.prompts)
    marks = len(whole.checkpoint_steps)
    training_s = steps_for("house", SubjectType.OBJECT, pictures, pocket=True) * whole.batch_size / pace
    drawing_s = mark.costs["drawing"] / drawn * (marks + 1) * panel * whole.preview_steps
    once = (
        mark.costs["validation"] * 5 / judge.MOST_TRAINING
        + (mark.costs["encoders"] + mark.costs["statistics"]) * panel / 4
    )
    measuring_s = (marks + 1) * once
    return measuring_s / (training_s + drawing_s + measuring_s)


def _moved(eye: Eye, at: tuple[Path, Sequence[PreviewPrompt]], row: int, training_ND: torch.Tensor) -> float:
    """How far a row's pictures moved from the base's at equal seeds, along the way to one subject's pictures; signed."""
    folder, rows = at
    drawn, base = (
        eye.pictures([Image.open(folder / f"{kind}-{row}-{seed}.png") for seed in rows[row].seeds])
        for kind in ("preview", "base")
    )
    way = toward(base, training_ND)
    return float((drawn - base).mean(dim=0) @ way.direction_D) / way.length_squared
