"""An order on a base of full size with random weights, as a worker would run it on a GPU: the first thing to do with a new card.

    python -m tests.benchmarks.full_size --base sdxl                       on CUDA: the rung that the planner takes
    python -m tests.benchmarks.full_size --base sdxl --rung every          every rung of the ladder, one after another
    python -m tests.benchmarks.full_size --base sdxl --tiny                the same code on a CPU, on a tiny pipeline

The weights are written once. For each rung the real child learns 20 steps on drawn pictures, is killed after its first
checkpoint, goes on in a new process, draws, exports and packs; then the file is looked at as `lorasmith check` does and worn by
the stock pipeline. The last lines are a table.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import diffusers
import psutil
import torch
from peft.tuners.lora import LoraLayer
from PIL import Image

from storage.disk import require
from storage.domain.bases import BASES
from storage.domain.fit import Fit
from storage.domain.footprint import FOOTPRINTS, peak
from storage.domain.orders import SubjectType
from storage.domain.plan import Plan
from storage.domain.recipes import PictureOf, plan_for
from storage.domain.rungs import RUNGS, Device, ladder, rung_of
from storage.lora_file.check import check_file
from tests.builders import drawn_pictures, make_job
from tests.child_process import ChildProcess, child_process
from tests.full_size_bases import pipeline_of, size_bytes, written
from tests.tiny_bases import ALIKE, TINY
from trainer.events import Checkpointed, Departed, Failed, Finish, Finished, Logged, Ready, Train, Trained
from trainer.fit import fit_for
from trainer.gpu.device import found
from trainer.gpu.memory import free

NO_CARD = "There is no CUDA GPU here: with --tiny the same code runs on the processor, on a tiny pipeline."
STEPS, FIRST = 20, 10
PICTURES = 8
TINY_PX = 32
GIB = float(1 << 30)
HEADS = (
    *(
        "base",
        "px",
        "rung",
        "estimated GiB",
        "learning GiB",
        "resumed GiB",
        "most GiB",
        "s a step",
        "grid s",
        "finish s",
    ),
    *("LoRA MB", "keys", "unused", "modules worn", "departures"),
)


class Wrong(Exception):
    """Something that a member would have suffered from."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One order to carry out."""

    base: str
    source: Path
    home: Path
    plan: Plan
    fit: Fit
    tiny: bool


@dataclass(kw_only=True)
class Watch:
    """The most memory that was taken: of the whole card as its driver says, without one of the child's process."""

    device: str
    child: psutil.Process
    most_gib: float = 0.0
    over: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        """Until it is over, five times a second."""
        while not self.over.wait(0.2):
            try:
                self.most_gib = max(self.most_gib, self._taken())
            except psutil.Error:
                return

    def _taken(self) -> float:
        if self.device != "cuda":
            return float(self.child.memory_info().rss) / GIB
        asked = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
        return float(subprocess.check_output(asked, text=True)) * (1 << 20) / GIB


def plan_on(base: str, px: int, *, tiny: bool) -> Plan:
    """The recipe of a base, cut to 20 steps, two checkpoints and two prompts."""
    plan = plan_for(
        base=base,
        subject_type=SubjectType.OBJECT,
        class_word="toy",
        trigger="zorvex",
        seed=7,
        pictures=[PictureOf(id=f"p{n}", dhash=n) for n in range(PICTURES)],
    )
    prompts = tuple(replace(prompt, seeds=prompt.seeds[:1]) for prompt in plan.prompts[:2])
    short = replace(plan, steps=STEPS, checkpoint_steps=(FIRST, STEPS), warmup_steps=1, prompts=prompts, resolution=px)
    return replace(short, preview_steps=2, rank=2) if tiny else replace(short, preview_steps=8)


def fits(plan: Plan, device: Device, rung: str | None) -> list[Fit]:
    """What the planner takes, one rung by name, or every one. Raises `TooSmall`, and KeyError for a rung that is not there."""
    if rung is None:
        return [fit_for(plan, device, pictures=PICTURES)]
    every = {name: fit for name, fit in ladder(plan, device) if fit.micro_batch == plan.batch_size or name != RUNGS[0]}
    return [replace(fit, caches="disk") for fit in (every.values() if rung == "every" else [every[rung]])]


@contextmanager
def watched(trial: Trial) -> Iterator[tuple[ChildProcess, Watch]]:
    """A child on this order, and its memory."""
    environment = {"LORASMITH_CHILD_DEVICE": trial.fit.device}
    with child_process(trial.home / "gpu.lock", trial.home / "child.log", **environment) as child:
        watch = Watch(device=trial.fit.device, child=psutil.Process(child.process.pid))
        looking = threading.Thread(target=watch.look, daemon=True)
        looking.start()
        try:
            child.hear(Ready)
            yield child, watch
        finally:
            watch.over.set()
            looking.join()


def asked(child: ChildProcess, command: Train | Finish, until: type) -> list[Any]:
    """What a child tells until it has done this. Raises `Wrong` where it fails."""
    child.say(command.model_dump_json())
    heard = child.hear(until, Failed)
    if isinstance(heard[-1], Failed):
        raise Wrong(f"the child says: {heard[-1].reason}")
    return heard


def carried_out(trial: Trial) -> tuple[str, ...]:
    """Trains, kills, goes on, draws, finishes; returns the cells of one row."""
    px = trial.plan.resolution
    make_job(
        trial.home,
        trial.source,
        pictures=[p.resize((px, px), Image.Resampling.LANCZOS) for p in drawn_pictures(PICTURES)],
        plan=trial.plan,
        fit=trial.fit,
    )
    train = Train(folder=str(trial.home), until=STEPS)
    with watched(trial) as (child, before):
        told = asked(child, train, Checkpointed)
    if (trial.home / "checkpoints" / str(STEPS)).exists():
        raise Wrong("it was done before it could be killed")
    with watched(trial) as (child, after):
        again = asked(child, train, Trained)
        began = time.monotonic()
        done = asked(child, Finish(folder=str(trial.home), step=STEPS, max_bytes=None), Finished)
        finish_s = time.monotonic() - began
    _drawn(trial, [*told, *again])
    logged = [event for event in (*told, *again) if isinstance(event, Logged)]
    if [event.step for event in logged] != [FIRST, STEPS]:
        raise Wrong(
            f"steps were logged as {[event.step for event in logged]}: the second process did not go on from the first"
        )
    trained = again[-1]
    guess = peak(trial.plan, trial.fit, PICTURES)
    departed = [event.kind for event in (*told, *again, *done) if isinstance(event, Departed)]
    step_s = 1.0 / max(logged[-1].steps_per_s, 1e-9)
    return (
        *(trial.base, str(px), rung_of(trial.fit), "-" if trial.tiny or guess is None else f"{guess.gib:.1f}"),
        *(f"{event.memory_mib / 1024:.1f}" for event in logged),
        *(f"{max(before.most_gib, after.most_gib):.1f}", f"{step_s:.2f}"),
        *(f"{max(0.0, trained.seconds - FIRST * step_s):.0f}", f"{finish_s:.0f}"),
        *_exported(trial, trial.home / done[-1].files["lora"]),
        ", ".join(departed) or "none",
    )


def _drawn(trial: Trial, told: list[Any]) -> None:
    """Raises `Wrong` where previews lack or have another size."""
    marks = [event for event in told if isinstance(event, Checkpointed)]
    if [mark.step for mark in marks] != [FIRST, STEPS]:
        raise Wrong(f"checkpoints were {[mark.step for mark in marks]}")
    for preview in marks[-1].previews:
        with Image.open(trial.home / preview.file) as picture:
            if picture.size != (trial.plan.resolution,) * 2:
                raise Wrong(f"a preview is {picture.size}")
    if len({(p.row, p.seed, p.base) for p in marks[-1].previews}) != 2 * len(trial.plan.prompts):
        raise Wrong("previews are missing")


def _exported(trial: Trial, file: Path) -> tuple[str, str, str, str]:
    """(MB, keys, keys that a tool which draws does not use, modules that the stock pipeline wears).

    Raises `Wrong` where any is unused or not worn; of a tiny pipeline, whose names are not the published ones, only the latter.
    """
    report = check_file(file)
    unused = max((tool.dropped for tool in report.tools if tool.draws and tool.checked), default=0)
    if not trial.tiny and report.exit_code != 0:
        raise Wrong(f"{unused} keys are unused: {[problem.text for problem in report.problems]}")
    worn = _worn(trial.source, file)
    if worn != sum(report.modules.values()):
        raise Wrong(f"the stock pipeline wears {worn} of {sum(report.modules.values())} modules")
    return f"{file.stat().st_size / 1e6:.1f}", str(report.tensors), "-" if trial.tiny else str(unused), str(worn)


def _worn(source: Path, file: Path) -> int:
    """Modules in which the stock pipeline has the file."""
    pipeline = diffusers.DiffusionPipeline.from_pretrained(source, dtype=torch.bfloat16, local_files_only=True)
    pipeline.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name="it")
    networks = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    return sum(isinstance(layer, LoraLayer) for network in networks for layer in network.modules())


def base_at(folder: Path, name: str, *, tiny: bool) -> Path:
    """The base with random weights, written where it is not there yet. Raises `NoRoom` where the disk is too small."""
    place = folder / f"{'tiny' if tiny else 'full'}-{name}"
    if (place / "model_index.json").is_file():  # the last file that is written
        return place
    if tiny:
        return TINY[ALIKE.get(name, name)](place)
    pipeline = pipeline_of(name)
    sizes = size_bytes(pipeline)
    print(f"writing {name}: {', '.join(f'{part} {count / 1e9:.1f} GB' for part, count in sizes.items())}", flush=True)
    require({folder: sum(sizes.values())})
    if (there := psutil.virtual_memory().available) < (needed := sum(sizes.values())) * 1.2:
        raise MemoryError(
            f"{name} takes {needed / 1e9:.0f} GB of main memory while it is written; {there / 1e9:.0f} are free"
        )
    written(pipeline, place, "cuda")
    del pipeline
    free()
    return place


def run(name: str, px: int, rung: str | None, folder: Path, *, tiny: bool) -> list[str]:
    """Every wanted rung in turn, printed as it is done; returns the table."""
    folder.mkdir(parents=True, exist_ok=True)
    source, plan = base_at(folder, name, tiny=tiny), plan_on(name, px, tiny=tiny)
    card = found("cpu" if tiny else "cuda")
    device = Device(
        kind=card.kind, memory_gib=card.memory_gib, threads=1 if tiny else torch.get_num_threads(), bf16=card.bf16
    )
    lines = [
        f"{card.name}; torch {torch.__version__}, CUDA {torch.version.cuda or 'not there: nothing of a GPU was measured'}",
        "",
        f"| {' | '.join(HEADS)} |",
        "|" + "---|" * len(HEADS),
    ]
    for number, fit in enumerate(fits(plan, device, rung)):
        home = folder / f"order-{time.time_ns()}-{number}"
        home.mkdir()
        trial = Trial(base=name, source=source, home=home, plan=plan, fit=fit, tiny=tiny)
        lines.append(f"| {' | '.join(carried_out(trial))} |")
        print(lines[-1], flush=True)
        (folder / f"{name}.md").write_text("\n".join(lines) + "\n")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table; ends with a sentence and 1 where there is no GPU, or where anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", choices=list(FOOTPRINTS), default="sdxl")
    parser.add_argument("--px", type=int, help="the base's native size if not given")
    parser.add_argument("--rung", choices=[*RUNGS, "every"], help="what the planner takes if not given")
    parser.add_argument("--folder", type=Path, default=Path("runs/full-size"), help="where the base and the orders go")
    parser.add_argument("--tiny", action="store_true", help="a tiny pipeline on the processor")
    given = parser.parse_args(arguments)
    if not given.tiny and not torch.cuda.is_available():
        sys.exit(NO_CARD)
    px = given.px or (TINY_PX if given.tiny else BASES[given.base].native_px)
    try:
        lines = run(given.base, px, given.rung, given.folder, tiny=given.tiny)
    except Wrong as wrong:
        sys.exit(f"{given.base}: {wrong}")
    print("\n".join(["", *lines]))


if __name__ == "__main__":
    main()
