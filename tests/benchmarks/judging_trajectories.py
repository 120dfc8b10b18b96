"""Trainings that are done once and judged many times: every checkpoint's file, its pictures, what it cost, and its losses.

Resumable at every checkpoint. The child that trains is the product's own; only its clock is watched.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from storage.domain.plan import Fit
from tests.benchmarks.judging_cases import Case
from tests.benchmarks.trainings import base_digest
from tests.builders import make_job
from trainer.events import EVENT, Checkpointed, Event, Failed, Logged, Train
from trainer.gpu.channel import Channel, Stage
from trainer.gpu.child import Child
from trainer.pocket import WEIGHTS

PARTS: dict[str, str] = {"previewing": "drawing", "measuring": "measuring"}
"""What a stage counts as; every other is training."""
BEGUN = b"#{}\n"
"""Written where a process begins: its clock begins at nothing."""


@dataclass(frozen=True, kw_only=True)
class Spent:
    """Seconds of one thread up to a checkpoint, the earlier ones' included."""

    training: float
    """Steps, loading, encoding and exporting."""
    drawing: float
    """The base's column once, and each checkpoint's panel."""
    measuring: float

    @property
    def whole(self) -> float:
        """All of it."""
        return self.training + self.drawing + self.measuring


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """One training: what lies in its folder."""

    folder: Path
    base: str
    """Digest of the weights that learned."""
    spent: dict[int, Spent]
    """By checkpoint's step."""
    losses: tuple[tuple[int, float], ...]
    """(step, training loss over the base's) every ten steps, as the log has it."""

    def file(self, step: int) -> Path:
        """The LoRA of a checkpoint."""
        return self.folder / "checkpoints" / str(step) / "lora.safetensors"


class Watched(Channel):
    """Counts the processor seconds between what the child says it is at."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        os.write(descriptor, BEGUN)
        self.seconds = {"training": 0.0, "drawing": 0.0, "measuring": 0.0}
        self._at, self._since = "training", time.process_time()

    def progress(
        self,
        stage: Stage,
        step: int,
        steps: int,
        *,
        loss_ratio: float | None = None,
        seconds_left: float | None = None,
    ) -> None:
        """Also turns the clock's hand."""
        self.turn(PARTS.get(stage, "training"))
        super().progress(stage, step, steps, loss_ratio=loss_ratio, seconds_left=seconds_left)

    def tell(self, event: Event) -> None:
        """After a checkpoint its cost is written beside it."""
        super().tell(event)
        if isinstance(event, Checkpointed):
            self.turn("training")
            line = json.dumps({"step": event.step, **{part: round(s, 2) for part, s in self.seconds.items()}})
            os.write(self._descriptor, f"#{line}\n".encode())

    def turn(self, part: str) -> None:
        """What was at it until now gets the seconds since."""
        now = time.process_time()
        self.seconds[self._at] += now - self._since
        self._at, self._since = part, now


def trained(case: Case, out: Path, threads: int) -> Trajectory:
    """The case's training, done or read back; another plan, other pictures or other weights do it again."""
    folder = (out / case.name).absolute()
    kept, digest = folder / "trajectory.json", _digest(case)
    if not kept.is_file() or json.loads(kept.read_text())["sha256"] != digest:
        _start(case, folder, digest, threads)
        _run(case, folder)
        kept.write_text(json.dumps({"sha256": digest, "base": base_digest(), **_read(folder)}))
        _tidy(folder)
    found = json.loads(kept.read_text())
    return Trajectory(
        folder=folder,
        base=found["base"],
        spent={int(step): Spent(**spent) for step, spent in found["spent"].items()},
        losses=tuple((step, loss) for step, loss in found["losses"]),
    )


def fit(threads: int, micro_batch: int) -> Fit:
    """The processor, sums in the same order every time."""
    return Fit(
        device="cpu",
        precision="fp32",
        micro_batch=micro_batch,
        gradient_checkpointing=False,
        threads=threads,
        deterministic=True,
    )


def _digest(case: Case) -> str:
    shown = hashlib.sha256()
    for picture in case.pictures:
        shown.update(picture.tobytes())
    return hashlib.sha256(f"{case.trained.to_json()} {base_digest()} {shown.hexdigest()}".encode()).hexdigest()


def _start(case: Case, folder: Path, digest: str, threads: int) -> None:
    """The job folder; what lies there is kept where it is the same job, broken off."""
    begun = folder / "begun"
    if not begun.is_file() or begun.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        plan = case.trained
        make_job(folder, WEIGHTS, pictures=case.pictures, plan=plan, fit=fit(threads, plan.batch_size))
        begun.write_text(digest)


def _run(case: Case, folder: Path) -> None:
    with (folder / "events.jsonl").open("ab") as file:
        child = Child(Watched(file.fileno()))
        child.obey(Train(folder=str(folder), until=case.trained.steps))
    newest = (folder / "events.jsonl").read_bytes().rpartition(BEGUN)[2]  # what an earlier process died of is past
    failed = [event for event in _events(newest) if isinstance(event, Failed)]
    if failed:
        raise RuntimeError(f"{folder.name}: {failed[-1].reason}")


def _events(told: bytes) -> list[Event]:
    return [EVENT.validate_json(line) for line in told.splitlines() if line.startswith(b"{")]


def _read(folder: Path) -> dict[str, object]:
    told = (folder / "events.jsonl").read_bytes()
    clock = [json.loads(line[1:]) for line in told.splitlines() if line.startswith(b"#")]
    return {
        "spent": {str(step): asdict(spent) for step, spent in added_up(clock).items()},
        "losses": [(e.step, e.loss_ratio) for e in _events(told) if isinstance(e, Logged)],
    }


def added_up(clock: Sequence[Mapping[str, float]]) -> dict[int, Spent]:
    """What the clock showed at each checkpoint; an empty line is where another process went on, from nothing."""
    found: dict[int, Spent] = {}
    before = last = Spent(training=0.0, drawing=0.0, measuring=0.0)
    for line in clock:
        if not line:
            before = last
            continue
        last = Spent(
            training=before.training + line["training"],
            drawing=before.drawing + line["drawing"],
            measuring=before.measuring + line["measuring"],
        )
        found[int(line["step"])] = last
    return found


def _tidy(folder: Path) -> None:
    """States and grids are not asked for again."""
    shutil.rmtree(folder / "state", ignore_errors=True)
    for grid in folder.glob("checkpoints/*/grid.png"):
        grid.unlink()
