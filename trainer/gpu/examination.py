"""The look at all pictures before the first step: what the judge finds, what a captioner says, what the trigger is heard as.

None of it may cost an order: what cannot be done is left out, and the log says why.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image

from storage.domain.doctor import to_json
from trainer.events import Examine, Examined
from trainer.gpu.bench import Loaded
from trainer.gpu.captioner import QwenVl, caption_of
from trainer.gpu.doctor import Diagnosis, diagnosed
from trainer.gpu.job import Task
from trainer.gpu.pictures import framed
from trainer.gpu.tagger import Tagger, tags_of
from trainer.gpu.trigger import Heard, heard, tokenizers_of

log = logging.getLogger(__name__)
Says = Callable[[Image.Image], str]


def captions(task: Task, command: Examine) -> dict[str, str]:
    """What is said of the pictures that have no words, by id; nothing where there is nobody to say it."""
    wordless = [p for p in task.job.pictures if not p.caption]
    if not wordless or not (command.captioner or command.tagger):
        return {}
    try:
        says = _speaker(task, command)
        said = {p.id: says(_opened(task.path(p.file))) for p in wordless}
    except Exception:
        log.exception("there are no captions for order %s", task.job.order_id)
        return {}
    return {id_: text for id_, text in said.items() if text}


def _speaker(task: Task, command: Examine) -> Says:
    """Whoever says it: it holds its model until it is let go."""
    plan = task.plan
    if command.captioner:
        captioner = QwenVl(Path(command.captioner), torch.device(task.fit.device))
        return lambda image: caption_of(captioner, image, subject=plan.subject_type, class_word=plan.class_word)
    tagger = Tagger(Path(command.tagger))
    return lambda image: tags_of(tagger, image, plan.subject_type)


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def examined(task: Task, loaded: Loaded, said: dict[str, str]) -> Examined:
    """Everything that was found."""
    found, word = _diagnosis(task, loaded), _word(task, loaded)
    return Examined(
        pictures={id_: to_json([finding]) for id_, finding in found.pictures.items()},
        whole=to_json(found.whole),
        captions=said,
        trigger_like=word.like,
        trigger_pieces=min(word.pieces, default=0),
    )


def _diagnosis(task: Task, loaded: Loaded) -> Diagnosis:
    nothing = Diagnosis(pictures={}, whole=())
    if loaded.eye is None:
        return nothing
    try:
        shapes = loaded.base.shapes(task.plan.resolution)
        pictures = [framed(task.path(p.file), shapes, picture_id=p.id, held_out=p.held_out) for p in task.job.pictures]
        return diagnosed(loaded.eye, [p.image for p in pictures], [p.id for p in pictures], task.plan.subject_type)
    except Exception:
        log.exception("the pictures of order %s were not looked at", task.job.order_id)
        return nothing


def _word(task: Task, loaded: Loaded) -> Heard:
    try:
        return heard(task.plan.trigger, tokenizers_of(getattr(loaded.base, "_pipeline", None)), loaded.eye)
    except Exception:
        log.exception("the trigger of order %s was not looked at", task.job.order_id)
        return Heard(pieces=(), like=None)
