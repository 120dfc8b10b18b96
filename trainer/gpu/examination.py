"""The look at all pictures before the first step: where faces are, what the judge finds, what a captioner says, what the
trigger is heard as.

None of it may cost an order: what cannot be done is left out, and the log says why. Only a plan that shows faces alone needs
them found.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image

from storage.domain.concepts import voiced
from storage.domain.doctor import Ailment, Finding, to_json
from storage.domain.orders import SubjectType
from trainer.events import Examine, Examined
from trainer.gpu.bench import Loaded
from trainer.gpu.captioner import QwenVl, caption_of
from trainer.gpu.cropping import Face
from trainer.gpu.doctor import Diagnosis, diagnosed_by_concept
from trainer.gpu.faces import Faces
from trainer.gpu.job import Task
from trainer.gpu.pictures import framed, upright
from trainer.gpu.tagger import Tagger, tags_of
from trainer.gpu.trigger import Heard, heard, tokenizers_of

log = logging.getLogger(__name__)
Says = Callable[[Image.Image, str], str]
"""What is said of a picture, and its class word."""
FACED = frozenset({SubjectType.PERSON, SubjectType.CHARACTER})
"""Whose faces are looked for. A cut face spoils a character as it spoils a person; a drawn or furry one is seldom found, and then
the picture is cut as it always was."""

_ALONE = "this plan shows faces alone"


class NoFaces(Exception):
    """The plan shows faces alone, and there is none to show."""


class NoDetector(Exception):
    """The plan shows faces alone, and nobody here finds them."""


def faces(task: Task, command: Examine) -> dict[str, Face]:
    """The largest face of every picture, by id, where there is one; of things and styles nobody looks.

    Raises `NoFaces` and `NoDetector` where the plan cannot do without.
    """
    needed = task.plan.crop == "face"
    if needed and not command.faces:
        raise NoDetector(f"{_ALONE}, and this machine has no face detector: lorasmith fetch faces")
    if not command.faces or not (needed or task.plan.subject_type in FACED):
        return {}
    try:
        detector = Faces(Path(command.faces))
        seen = {p.id: detector.of(upright(task.path(p.file), p.id)) for p in task.job.pictures}
    except Exception as error:
        if needed:
            raise NoDetector(f"{_ALONE}, and the face detector of this machine cannot be used") from error
        log.exception("no faces were looked for in order %s", task.job.order_id)
        return {}
    found = {id_: faces_[0] for id_, faces_ in seen.items() if faces_}
    if needed and not found:
        raise NoFaces(f"{_ALONE}, and none was found in any of the pictures")
    return found


def captions(task: Task, command: Examine) -> dict[str, str]:
    """What is said of the pictures that have no words, by id; nothing where there is nobody to say it."""
    wordless = [p for p in task.job.pictures if not p.caption]
    if not wordless or not (command.captioner or command.tagger):
        return {}
    try:
        says = _speaker(task, command)
        said = {p.id: says(upright(task.path(p.file), p.id), voiced(task.plan, p.id).class_word) for p in wordless}
    except Exception:
        log.exception("there are no captions for order %s", task.job.order_id)
        return {}
    return {id_: text for id_, text in said.items() if text}


def _speaker(task: Task, command: Examine) -> Says:
    """Whoever says it: it holds its model until it is let go."""
    plan = task.plan
    if command.captioner:
        captioner = QwenVl(Path(command.captioner), torch.device(task.fit.device))
        return lambda image, word: caption_of(captioner, image, subject=plan.subject_type, class_word=word)
    tagger = Tagger(Path(command.tagger))
    return lambda image, _: tags_of(tagger, image, plan.subject_type)


def examined(task: Task, loaded: Loaded, said: dict[str, str], seen: dict[str, Face] | None = None) -> Examined:
    """Everything that was found; `seen` are the faces."""
    seen = seen or {}
    found, word = _diagnosis(task, loaded, seen), _word(task, loaded, task.plan.trigger)
    singly = {id_: [finding] for id_, finding in found.pictures.items()}
    if task.plan.crop == "face":
        for picture in task.job.pictures:
            if picture.id not in seen:
                singly.setdefault(picture.id, []).append(Finding(ailment=Ailment.FACELESS, measure=0.0))
    return Examined(
        pictures={id_: to_json(findings) for id_, findings in singly.items()},
        whole=to_json([*found.whole, *_known_words(task, loaded)]),
        captions=said,
        trigger_like=word.like,
        trigger_pieces=word.cut,
        faces={id_: face.box for id_, face in seen.items()},
    )


def _diagnosis(task: Task, loaded: Loaded, seen: dict[str, Face]) -> Diagnosis:
    nothing = Diagnosis(pictures={}, whole=())
    if loaded.own_eye is None:
        return nothing
    try:
        shapes = loaded.base.shapes(task.plan.resolution)
        close = task.plan.crop == "face"
        pictures = [
            framed(task.path(p.file), shapes, picture_id=p.id, held_out=p.held_out, face=seen.get(p.id), close=close)
            for p in task.job.pictures
        ]
        return diagnosed_by_concept(loaded.own_eye, task.plan, pictures)
    except Exception:
        log.exception("the pictures of order %s were not looked at", task.job.order_id)
        return nothing


def _known_words(task: Task, loaded: Loaded) -> list[Finding]:
    """Triggers that the base knows, but for the first, which the order's own row tells of."""
    known = [(c.trigger, _word(task, loaded, c.trigger)) for c in task.plan.concepts[1:]]
    return [
        Finding(ailment=Ailment.KNOWN_WORD, measure=min(word.pieces, default=0), word=trigger)
        for trigger, word in known
        if word.known
    ]


def _word(task: Task, loaded: Loaded, trigger: str) -> Heard:
    try:
        return heard(trigger, tokenizers_of(getattr(loaded.base, "_pipeline", None)), loaded.own_eye)
    except Exception:
        log.exception("the trigger of order %s was not looked at", task.job.order_id)
        return Heard(pieces=(), like=None)
