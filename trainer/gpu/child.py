"""What the child does when it is told something: it keeps one base and one training in memory, and drops them if need be."""

from __future__ import annotations

import sys
import time
import traceback
from pathlib import Path
from typing import Literal

import torch

from storage.disk import is_full, remove
from storage.domain.errors import FileRefused
from storage.domain.plan import Fit
from trainer.comparison import EyeName
from trainer.events import DISK_FULL, Evaluate, Examine, Failed, Finish, Finished, Train
from trainer.gpu import evaluation, examination, export, job, package, scale
from trainer.gpu.bench import Bench, Loaded, load_base
from trainer.gpu.channel import Channel
from trainer.gpu.compact import CannotShrink
from trainer.gpu.device import is_lost, is_unsuited
from trainer.gpu.examination import NoDetector, NoFaces
from trainer.gpu.export import ReadBackFailed
from trainer.gpu.families.stock import WrongBase
from trainer.gpu.memory import free, is_out_of_memory
from trainer.gpu.pictures import UnreadablePicture
from trainer.gpu.placing import CannotQuantise
from trainer.gpu.training import Diverged, Training
from trainer.gpu.trigger import SameWord, require_apart, tokenizers_of

NOT_BUILT = (
    "the PyTorch that is installed cannot compute on this GPU or with its driver: update the driver, or install the build of "
    "PyTorch for this card (pytorch.org, Get Started)"
)


class Child:
    """Carries out commands; everything it knows of an order is in the order's job folder."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._loaded: Loaded | None = None
        self._bench: Bench | None = None
        self._training: Training | None = None

    def obey(self, command: Train | Examine | Finish | Evaluate) -> None:
        """Carries out one command, or tells why it could not; never raises for an order's fault."""
        try:
            if isinstance(command, Train):
                self._train(command)
            elif isinstance(command, Examine):
                self._examine(command)
            elif isinstance(command, Evaluate):
                self._evaluate(command)
            else:
                self._finish(command)
        except Exception as error:  # noqa: BLE001 -- whatever happens to one order, the child says so and stays
            traceback.print_exc(file=sys.stderr)
            self._bench = self._training = None
            if is_lost(error) and not is_out_of_memory(error):
                self._loaded = None
            else:
                free()
            if is_full(error):
                _drop_parts(Path(command.folder))
            self._channel.tell(failure(error))

    def _train(self, command: Train) -> None:
        task = job.read(Path(command.folder))
        if command.until not in range(1, task.plan.steps + 1):
            raise job.JobRefused("the command names a step outside the plan")
        training = self._training
        if training is None or not self._goes_on(task) or training.step > command.until:
            training = None  # else the old one would stay until the new one is there
            self._let_go()
            training = self._training = Training(self._prepared(task), Path(command.logs) if command.logs else None)
            training.rewind(command.until)
        training.run(command.until)

    def _examine(self, command: Examine) -> None:
        task = job.read(Path(command.folder))
        torch.set_num_threads(task.fit.threads)
        self._channel.progress("loading", 0, task.plan.steps)
        if command.captioner:  # it needs the memory that a base may take
            self._bench = self._training = self._loaded = None
            free()
        faces = examination.faces(task, command)
        captions = examination.captions(task, command)
        free()
        self._channel.tell(examination.examined(task, self._base(task), captions, faces))

    def _finish(self, command: Finish) -> None:
        began = time.monotonic()
        task = job.read(Path(command.folder))
        self._let_go()
        bench = self._prepared(task)
        file = task.path("checkpoints", str(command.step), "lora.safetensors")
        if command.step not in task.plan.checkpoint_steps:
            raise job.JobRefused("the command names a step that is no checkpoint")
        if not file.is_file():
            raise job.JobRefused("the checkpoint's file is not in the job folder")
        pairs = export.read(file, bench.modules)
        export.load_as_a_user(bench.base, file, pairs)  # it may have come from another machine
        choice = scale.sweep(bench, file)
        self._channel.progress("packing", command.step, task.plan.steps)
        strip = scale.strip(bench, file, choice)
        choice = strip.choice
        files = package.pack(bench, file, command.step, choice=choice, strip=strip.sheet, best=strip.best)
        loss = None
        if command.max_bytes is not None and file.stat().st_size > command.max_bytes:
            try:
                files["compact"], loss = package.pack_compact(
                    bench, file, command.step, choice=choice, max_bytes=command.max_bytes
                )
            except CannotShrink as error:  # what was voted for is handed over whole
                print(f"no compact version: {error}", file=sys.stderr)  # noqa: T201 -- stderr is the log
        self._channel.tell(
            Finished(scale=choice.to_json(), files=files, compact_loss=loss, seconds=round(time.monotonic() - began, 3))
        )

    def _evaluate(self, command: Evaluate) -> None:
        folder = Path(command.folder)
        asked, fit = evaluation.read(folder)
        self._bench = self._training = None
        _settle(fit)
        self._channel.progress("loading", 0, 1)
        loaded = self._loaded_base(asked.base, asked.source, fit, asked.eyes)
        self._channel.tell(evaluation.evaluated(folder, asked, fit, loaded, self._channel))

    def _let_go(self) -> None:
        """Drops the training: its adapter, moments and gradients make room for the next one, or for the sweep."""
        self._training = None
        free()

    def _goes_on(self, task: job.Task) -> bool:
        """Whether what is in memory is this order, unchanged."""
        return self._bench is not None and _same(self._bench.task, task)

    def _prepared(self, task: job.Task) -> Bench:
        if self._bench is not None and _same(self._bench.task, task):
            return self._bench
        self._bench = self._training = None
        _settle(task.fit)
        self._channel.progress("loading", 0, task.plan.steps)
        loaded = self._base(task)
        require_apart(task.plan, tokenizers_of(getattr(loaded.base, "_pipeline", None)))
        self._bench = Bench(task, loaded, self._channel)
        return self._bench

    def _base(self, task: job.Task) -> Loaded:
        return self._loaded_base(task.plan.base, task.job.base, task.fit, task.job.eyes)

    def _loaded_base(self, name: str, source: str, fit: Fit, eyes: dict[EyeName, str]) -> Loaded:
        if self._loaded is None or not self._loaded.serves(name, source, fit, eyes):
            self._loaded = None
            free()
            self._loaded = load_base(name, source, fit, eyes)
        return self._loaded


def _settle(fit: Fit) -> None:
    """Sums in the same order every time."""
    torch.set_num_threads(fit.threads)
    torch.use_deterministic_algorithms(fit.deterministic or fit.device == "cpu", warn_only=False)
    # Nothing here reads memory that it has not written; torch declares no such attribute to type checkers.
    setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010


def _drop_parts(folder: Path) -> None:
    """What was being written when the disk was full; all that is whole stays."""
    parts = [path.name for path in folder.glob("*.part")]
    remove(folder, parts)
    for inner in folder.glob("*/"):
        remove(inner, [str(path.relative_to(inner)) for path in inner.rglob("*.part")])


def _same(live: job.Task, now: job.Task) -> bool:
    """Departures may have grown: they are this child's own, on their way through the supervisor."""
    same = (live.folder, live.plan_sha256, live.fit, live.job.base, live.job.eyes, live.job.pictures)
    return same == (now.folder, now.plan_sha256, now.fit, now.job.base, now.job.eyes, now.job.pictures)


def failure(error: Exception) -> Failed:
    """Whose fault an error is. Texts of unknown errors stay in the log: they may hold paths."""
    if is_full(error):
        return _failed("machine", DISK_FULL, retry=False)
    if isinstance(error, UnreadablePicture):
        return _failed("pictures", "a kept picture cannot be read any more", retry=False)
    if isinstance(error, NoFaces | SameWord):
        return _failed("pictures", str(error), retry=False)
    if isinstance(error, job.JobRefused | ReadBackFailed | Diverged | FileRefused):
        return _failed("program", str(error), retry=False)
    if is_out_of_memory(error):
        return _failed("machine", "memory ran out", retry=True)
    if is_unsuited(error):
        return _failed("machine", NOT_BUILT, retry=False)
    if is_lost(error):
        return _failed("machine", "the GPU broke off in the middle of its work; the driver's log says why", retry=True)
    if isinstance(error, WrongBase | CannotQuantise | NoDetector):
        return _failed("machine", str(error), retry=False)
    if isinstance(error, OSError):
        return _failed("machine", f"a file failed: {type(error).__name__}", retry=True)
    return _failed("program", f"unexpected {type(error).__name__}", retry=False)


def _failed(fault: Literal["pictures", "machine", "program"], reason: str, *, retry: bool) -> Failed:
    return Failed(fault=fault, reason=reason[:300], retry=retry)
