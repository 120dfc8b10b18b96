"""Everything that is handed over: the chosen file byte for byte, its sidecar, pictures, and a compact version if wanted."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

from PIL import Image

from storage import faults
from storage.domain.measurement import ScaleChoice
from storage.lora_file import About, read_header
from storage.lora_file.architectures import architecture_named
from storage.lora_file.graphs import Preview
from storage.lora_file.sidecar import sidecar_text
from storage.lora_file.workflow import png_with_workflow
from trainer.gpu import export, preview
from trainer.gpu.bench import Bench
from trainer.gpu.compact import write_compact
from trainer.gpu.grid import shown

SHOWN_PX = 512
"""Smaller previews are enlarged to this: a 64 px picture is a stamp in a chat."""


def pack(
    bench: Bench, checkpoint: Path, step: int, *, choice: ScaleChoice, strip: Image.Image, best: Image.Image
) -> dict[str, str]:
    """Writes the delivery folder; files by role, relative to the job folder. The strength is never baked into the LoRA."""
    task = bench.task
    folder = task.path("delivery")
    folder.mkdir(parents=True, exist_ok=True)
    header = measured(export.about(task, step, _rank(checkpoint)), choice)
    stem = task.job.stem
    contents = {
        "lora": (f"{stem}.safetensors", checkpoint.read_bytes()),
        "sidecar": (f"{stem}.json", sidecar_text(header).encode()),
        "preview": (f"{stem}.preview.png", _preview(bench, checkpoint, header, best)),
        "strip": (f"{stem}.scales.png", _png(strip)),
    }
    for name, data in contents.values():
        faults.gap("header")
        _write(folder / name, data)
    return {role: task.relative(folder / name) for role, (name, _) in contents.items()}


def measured(header: About, choice: ScaleChoice) -> About:
    """The header with the strength that was measured after the file was written."""
    return replace(header, recommended_scale=choice.recommended, scale_band=(choice.low, choice.high))


def pack_compact(
    bench: Bench, checkpoint: Path, step: int, *, choice: ScaleChoice, max_bytes: int
) -> tuple[str, float]:
    """Writes the compact version; its path and the share of energy that it lost. Raises `CannotShrink`."""
    task = bench.task
    pairs = export.read(checkpoint, bench.modules)
    file = task.path("delivery", f"{task.job.stem}-compact.safetensors")
    file.parent.mkdir(parents=True, exist_ok=True)
    compact = write_compact(
        file,
        pairs,
        lambda rank: measured(export.about(task, step, rank), choice),
        max_bytes,
        header_bytes=read_header(checkpoint).data_start,
        dtype=task.plan.file_dtype,
    )
    export.load_as_a_user(bench.base, file, compact.pairs)
    bench.base.wear(None)
    return task.relative(file), compact.loss


def _rank(file: Path) -> int:
    """The rank of a file of ours: the training's, or less where its energy was enough."""
    return int(read_header(file).metadata["ss_network_dim"])


def _preview(bench: Bench, checkpoint: Path, header: About, best: Image.Image) -> bytes:
    """The first prompt at the recommended strength, with everything needed to draw it again."""
    plan = bench.task.plan
    shape = preview.shape_of(bench.base, plan)
    first = next((p for p in plan.prompts if p.with_trigger), plan.prompts[0])
    drawn = Preview(
        base=plan.base,
        prompt=first.text,
        negative="",
        lora=f"{bench.task.job.stem}.safetensors",
        lora_sha256=read_header(checkpoint).metadata["sshs_model_hash"],
        scale=header.recommended_scale if header.recommended_scale is not None else 1.0,
        checkpoint=architecture_named(plan.base).checkpoint,
        width=shape.width,
        height=shape.height,
        steps=plan.preview_steps,
        guidance=plan.guidance,
        seed=first.seeds[0],
    )
    return png_with_workflow(best if min(best.size) >= SHOWN_PX else shown(best, SHOWN_PX), drawn)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
