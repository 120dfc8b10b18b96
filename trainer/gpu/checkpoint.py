"""What is made of a checkpoint: a file that has been read back, previews drawn from it, a grid, a measurement."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from trainer.events import Checkpointed, Preview
from trainer.gpu import export, judge, preview
from trainer.gpu.adapter import Delivered
from trainer.gpu.bench import Bench
from trainer.gpu.compact import keeping
from trainer.gpu.grid import Row, sheet


def checkpoint(
    bench: Bench, weights: Delivered, step: int, earlier: Mapping[int, tuple[float, ...]]
) -> tuple[Checkpointed, tuple[float, ...]]:
    """The event to tell once everything is on disk, and the held-out losses. Raises `ReadBackFailed`."""
    task, channel = bench.task, bench.channel
    folder = task.path("checkpoints", str(step))
    file = folder / "lora.safetensors"
    channel.progress("exporting", step, task.plan.steps)
    weights, lost = keeping(weights, task.plan.kept_energy) if task.plan.kept_energy < 1.0 else (weights, None)
    pairs = export.cast(weights.downs, weights.ups, task.plan.file_dtype)
    digest = export.write(file, pairs, export.about(task, step, weights.rank, lost=lost))
    stick = bench.stick
    export.load_as_a_user(bench.base, file, pairs)
    channel.progress("previewing", step, task.plan.steps)
    began = time.monotonic()
    drawn = preview.panel(
        bench.base, task.plan, bench.words, tell=lambda: channel.progress("previewing", step, task.plan.steps)
    )
    drawing_s = time.monotonic() - began
    preview.save(drawn, folder, lambda row, seed: f"preview-{row}-{seed}.png")
    grid = _grid(bench, drawn, folder, step)
    channel.progress("measuring", step, task.plan.steps)
    verdict = judge.measure(bench.base, stick, bench.words, drawn, step=step, earlier=earlier, drawing_s=drawing_s)
    bench.base.wear(None)
    event = Checkpointed(
        step=step,
        lora=task.relative(file),
        lora_sha256=digest,
        lora_bytes=file.stat().st_size,
        grid=task.relative(grid),
        previews=_previews(bench, folder),
        measurement=verdict.measurement.to_json(),
    )
    return event, verdict.held_out


def _grid(bench: Bench, drawn: preview.Panel, folder: Path, step: int) -> Path:
    """First column the base, then every seed with the LoRA."""
    plan, base = bench.task.plan, bench.base_drawn
    rows = [
        Row(
            label=prompt.text,
            note="" if prompt.with_trigger else "without the trigger",
            cells=[base[row, prompt.seeds[0]], *(drawn[row, seed] for seed in prompt.seeds)],
        )
        for row, prompt in enumerate(plan.prompts)
    ]
    count = max(len(prompt.seeds) for prompt in plan.prompts)
    heads = ["without the LoRA", *(f"with it, seed {n + 1}" for n in range(count))]
    file = folder / "grid.png"
    part = file.with_suffix(".part")
    sheet(bench.task.job.name, f"step {step} of {plan.steps}", heads, rows).save(part, format="PNG")
    part.replace(file)
    return file


def _previews(bench: Bench, folder: Path) -> list[Preview]:
    """The base's pictures are copied beside the others, so that a checkpoint's folder stands for itself."""
    preview.save(bench.base_drawn, folder, lambda row, seed: f"base-{row}-{seed}.png")
    return [
        Preview(
            file=bench.task.relative(folder / f"{'base' if base else 'preview'}-{row}-{seed}.png"),
            row=row,
            seed=seed,
            base=base,
        )
        for row, prompt in enumerate(bench.task.plan.prompts)
        for seed in prompt.seeds
        for base in (False, True)
    ]
