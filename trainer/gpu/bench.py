"""What training, previews and the sweep of one order stand on: base, words, pictures and the yardstick."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from types import MappingProxyType

from storage.domain.plan import Fit
from trainer.comparison import EyeName
from trainer.gpu import captions, judge
from trainer.gpu.channel import Channel
from trainer.gpu.class_pictures import class_pictures
from trainer.gpu.cropping import Face
from trainer.gpu.families import FAMILIES, Base, Words, adapted
from trainer.gpu.job import Task
from trainer.gpu.judge.eye import Eye
from trainer.gpu.judge.eyes import Eyes, Found, found
from trainer.gpu.latents import Encoded, Keeping, encoded, sized
from trainer.gpu.ledger import Ledger
from trainer.gpu.pictures import framed
from trainer.gpu.preview import base_panel
from trainer.gpu.sparing import alike, spared
from trainer.gpu.words import AsWorn, heard

JUDGED_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """One base model in memory, with its judge."""

    source: str
    name: str
    fit: Fit
    base: Base
    seeing: Found | None
    """What previews are judged with."""
    folders: Mapping[EyeName, str] = field(default_factory=dict)
    """Where the worker has the judge's models."""

    @property
    def eye(self) -> Eye | None:
        """The eye that reads: of the base's own judge, else of the one that was fetched."""
        return self.seeing.eye if self.seeing else None

    @property
    def own_eye(self) -> Eye | None:
        """The base's own: what is said of pictures and triggers before training was measured with no other."""
        return self.eye if self.seeing and self.seeing.own else None

    def serves(self, name: str, source: str, fit: Fit, folders: Mapping[EyeName, str] = MappingProxyType({})) -> bool:
        """Whether this is the base that is wanted, placed as the fit says, with the same judge."""
        placed = replace(fit, caches=self.fit.caches)
        return (self.source, self.name, self.fit, dict(self.folders)) == (source, name, placed, dict(folders))


def load(task: Task) -> Loaded:
    """Loads the base model of a task. Raises `OSError` where it is not there."""
    return load_base(task.plan.base, task.job.base, task.fit, task.job.eyes)


def load_base(name: str, source: str, fit: Fit, folders: Mapping[EyeName, str]) -> Loaded:
    """Loads a base model with its judge, its own or what is in `folders`. Raises `OSError` where the base is not there."""
    base = FAMILIES[name](source, fit)
    return Loaded(
        source=source, name=name, fit=fit, base=base, seeing=found(source, folders, base.device), folders=folders
    )


class Bench:
    """Everything of an order that does not change while it is trained."""

    def __init__(self, task: Task, loaded: Loaded, channel: Channel) -> None:
        """Reads and encodes the pictures. Raises `UnreadablePicture`."""
        self.task, self.channel = task, channel
        self.eye = Eyes(loaded.seeing, task.plan.subject_type) if loaded.seeing else None
        self.ledger = Ledger(task.fit, task.departures, channel)
        self.base = spared(loaded.base, self.ledger)
        own = [p.caption for p in task.job.pictures]
        self.words: dict[str, Words] = heard(
            self.base, captions.texts(task.plan, own), task.path("cache"), on_disk=task.fit.caches == "disk"
        )
        if task.plan.text_encoder_rate:
            self.words = AsWorn(self.base, self.words)
        self.pictures: list[Encoded] = self._encoded(task.plan.resolution)
        self._sized = sized(self.pictures, [self._encoded(side) for side in task.plan.resolutions])

    def _encoded(self, side: int) -> list[Encoded]:
        """All pictures in the shapes of one resolution."""
        task, shapes = self.task, self.base.shapes(side)
        pictures = [
            framed(
                task.path(p.file),
                shapes,
                picture_id=p.id,
                held_out=p.held_out,
                caption=p.caption,
                face=Face.of(p.face),
                close=task.plan.crop == "face",
            )
            for p in sorted(task.job.pictures, key=lambda p: p.id)
        ]

        def tell(done: int) -> None:
            self.channel.progress("caching", done, len(pictures))

        return alike(lambda: encoded(self.base, pictures, task.path("cache"), tell, self._keeping))

    @property
    def _keeping(self) -> Keeping:
        return Keeping(spread=self.task.plan.latents == "sampled", on_disk=self.task.fit.caches == "disk")

    @property
    def modules(self) -> tuple[str, ...]:
        """What the plan's adapter is on: modules of the denoiser, and of text encoders where they learn."""
        plan = self.task.plan
        return adapted(self.base, plan.targets, words=bool(plan.text_encoder_rate))

    @property
    def training(self) -> list[Encoded]:
        """The pictures that are trained on."""
        return [p for p in self._sized if not p.picture.held_out]

    @cached_property
    def prior(self) -> list[Encoded]:
        """What the prior is learned on: class pictures, drawn once where the plan wants them, else the order's own."""
        task = self.task
        if task.plan.prior != "class_pictures":
            return self.training
        own = [(p.picture.id, p.picture.caption) for p in self.training]
        tell = partial(self.channel.progress, "previewing", 0, task.plan.steps)
        cache, keeping = task.path("cache"), self._keeping
        return alike(
            lambda: class_pictures(self.base, task.plan, self.words, own=own, cache=cache, tell=tell, keeping=keeping)
        )

    @property
    def judged_at_once(self) -> int:
        """Pictures a forward pass without gradients."""
        return JUDGED_AT_ONCE if self.task.plan.resolution <= 256 or self.task.fit.device != "cpu" else 1

    @cached_property
    def stick(self) -> judge.Yardstick:
        """Draws the base's column and measures the base: once an order, or once a process."""
        task = self.task
        self.channel.progress("previewing", 0, task.plan.steps)
        began = time.monotonic()
        drawn = base_panel(
            self.base,
            task.plan,
            self.words,
            task.path("cache"),
            tell=lambda: self.channel.progress("previewing", 0, task.plan.steps),
        )
        self.base_drawn = drawn
        return judge.yardstick(
            self.base,
            task.plan,
            pictures=self.pictures,
            words=self.words,
            eye=self.eye,
            drawn=drawn,
            most=self.judged_at_once,
            drawing_s=time.monotonic() - began,
        )
