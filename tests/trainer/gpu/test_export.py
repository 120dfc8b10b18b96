"""A file leaves only after it has been read back, and it means the same to every program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from storage.lora_file import DOWN, read_header
from storage.lora_file.check import check_file
from tests.builders import CPU_FIT, tiny_plan
from tests.pocket_pipeline import random_pipeline
from trainer.events import Checkpointed, Finished
from trainer.gpu import export
from trainer.gpu.adapter import attach
from trainer.gpu.compact import CannotShrink, shrunk
from trainer.gpu.families.sdxl import Sdxl
from trainer.gpu.job import read as read_job
from trainer.gpu.noise import generator

Job = Callable[..., Path]


@pytest.fixture
def trained(desk: Any, job: Job) -> Path:
    """A job with all kinds of layers trained far enough that B is no longer zero."""
    folder = job(plan=replace(tiny_plan(6, 3), targets="attention+ff+conv", learning_rate=5e-3, rank=4))
    desk.train(folder, 3)
    return folder


def lora(folder: Path) -> Path:
    return folder / "checkpoints" / "3" / "lora.safetensors"


def adapted(desk: Any) -> Any:
    return desk.child._training.adapter


def test_the_file_holds_the_adapter_as_cast_and_nothing_else(desk: Any, trained: Path) -> None:
    adapter = adapted(desk)
    found = export.read(lora(trained), adapter.paths)
    for path in adapter.paths:
        assert torch.equal(found[path][0], adapter.downs[path].detach().half())
        assert torch.equal(found[path][1], adapter.ups[path].detach().half())
        assert float(found[path][1].abs().max()) > 0


def test_a_fresh_stock_pipeline_says_the_same_with_the_file_as_the_trained_denoiser(
    desk: Any, trained: Path, random_base: Path
) -> None:
    adapter = adapted(desk)
    with torch.no_grad():  # the trained one as the file has it
        for parameter in adapter.parameters.values():
            parameter.copy_(parameter.half().float())
    fresh = StableDiffusionXLPipeline.from_pretrained(random_base, dtype=torch.float32, local_files_only=True)
    fresh.load_lora_weights(str(lora(trained).parent), weight_name="lora.safetensors")
    noisy = torch.randn(2, 12, 8, 8, generator=generator(1, 1, "x"))
    words = {
        "encoder_hidden_states": torch.randn(2, 24, 192, generator=generator(1, 2, "x")),
        "added_cond_kwargs": {
            "text_embeds": torch.randn(2, 96, generator=generator(1, 3, "x")),
            "time_ids": torch.tensor([[32, 32, 0, 0, 32, 32]] * 2),
        },
    }
    t = torch.tensor([10, 900])
    with torch.no_grad():
        theirs = fresh.unet(noisy, t, **words).sample
        ours = adapter.denoiser(noisy, t, **words).sample
        without = desk.child._loaded.base.denoiser(noisy, t, **words).sample
    assert torch.allclose(theirs, ours, atol=1e-4)
    assert not torch.allclose(theirs, without, atol=1e-2)


def test_a_file_that_was_changed_on_the_way_is_refused(desk: Any, trained: Path) -> None:
    adapter, file = adapted(desk), lora(trained)
    pairs = export.cast(adapter.downs, adapter.ups)
    header = read_header(file)
    name = next(name for name in header.tensors if name.endswith(DOWN))
    data = bytearray(file.read_bytes())
    data[header.data_start + header.tensors[name].start + 1] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(export.ReadBackFailed):
        export.compare(export.read(file, adapter.paths), pairs)
    with pytest.raises(export.ReadBackFailed):
        export.load_as_a_user(desk.child._loaded.base, file, pairs)


def test_a_file_that_lacks_a_module_is_refused(desk: Any, trained: Path) -> None:
    adapter = adapted(desk)
    pairs = dict(export.cast(adapter.downs, adapter.ups))
    pairs.pop(adapter.paths[0])
    with pytest.raises(export.ReadBackFailed):
        export.read(lora(trained), (*adapter.paths, "another.module"))
    with pytest.raises(export.ReadBackFailed):
        export.load_as_a_user(desk.child._loaded.base, lora(trained), pairs)


def test_a_weight_beyond_fp16_is_refused_instead_of_becoming_infinite() -> None:
    with pytest.raises(export.ReadBackFailed):
        export.cast({"a": torch.full((2, 2), 1e6)}, {"a": torch.zeros(2, 2)})


@pytest.mark.parametrize("dtype", ["fp16", "bf16", "fp32"])
def test_a_file_of_any_dtype_is_read_back_bit_for_bit(dtype: str, job: Job, tmp_path: Path) -> None:
    down, up = torch.randn(2, 768, generator=generator(1, 4, "x")), torch.randn(320, 2, generator=generator(1, 5, "x"))
    path = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
    pairs = export.cast({path: down}, {path: up}, dtype)
    about = replace(export.about(read_job(job()), 2, 2), architecture="sd15")
    export.write(tmp_path / "lora.safetensors", pairs, about)
    again = export.read(tmp_path / "lora.safetensors", (path,))
    assert again[path][0].dtype == export.DTYPES[dtype]
    assert torch.equal(again[path][0], pairs[path][0])
    assert torch.equal(again[path][1], pairs[path][1])
    stored = {name: entry.dtype for name, entry in read_header(tmp_path / "lora.safetensors").tensors.items()}
    assert stored[f"lora_unet_{path.replace('.', '_')}{DOWN}"] == {"fp16": "F16", "bf16": "BF16", "fp32": "F32"}[dtype]


NAMES = {
    "sd15": ("text_encoder.encoder.layers.0.mlp.fc1", "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight"),
    "sdxl": ("text_encoder.encoder.layers.0.mlp.fc1", "lora_te1_text_model_encoder_layers_0_mlp_fc1.alpha"),
    "flux1-dev": ("transformer_blocks.0.attn.to_q", "transformer.transformer_blocks.0.attn.to_q.lora_A.weight"),
    "flux2-klein-4b": (
        "single_transformer_blocks.0.attn.to_out",
        "transformer.single_transformer_blocks.0.attn.to_out.lora_B.weight",
    ),
    "z-image": ("layers.0.attention.to_q", "diffusion_model.layers.0.attention.to_q.lora_A.weight"),
}


@pytest.mark.parametrize("base", NAMES)
def test_a_file_has_the_names_of_its_base(base: str) -> None:
    module, name = NAMES[base]
    assert name in export.named(export.cast({module: torch.zeros(2, 8)}, {module: torch.zeros(8, 2)}), base)


@pytest.mark.parametrize("targets", ["attention", "attention+ff", "attention+ff+conv"])
def test_every_tool_that_storage_knows_takes_every_key_of_a_pocket_file(
    targets: str, desk: Any, job: Job, tmp_path: Path
) -> None:
    base = Sdxl(str(random_pipeline(tmp_path / "pocket")), CPU_FIT, squares_only=True)
    adapter = attach(base.trainee(), base.lora_targets(targets), tiny_plan())  # type: ignore[arg-type]
    task = read_job(job(plan=replace(tiny_plan(), targets=targets)))  # type: ignore[arg-type]
    file = tmp_path / "lora.safetensors"
    export.write(file, export.cast(adapter.downs, adapter.ups), export.about(task, 2, 2))
    report = check_file(file)
    assert report.exit_code == 0, report
    assert report.family == "pocket"
    assert sum(report.modules.values()) == len(adapter.paths)


def test_the_header_reads_no_clock_and_names_no_path(desk: Any, trained: Path, tmp_path: Path) -> None:
    text = str(read_header(lora(trained)).metadata)
    assert str(tmp_path) not in text
    assert "2025-01-02" in text
    assert "zorvex" in text


def test_a_compact_version_that_keeps_the_rank_loses_nothing(desk: Any, trained: Path) -> None:
    adapter = adapted(desk)
    pairs = export.cast(adapter.downs, adapter.ups)
    compact = shrunk(pairs, 10**9, header_bytes=0)
    assert compact.rank == 4
    assert compact.loss < 1e-9
    for path, (down, up) in pairs.items():
        again, whole = export.product(*compact.pairs[path]), export.product(down, up)
        assert torch.allclose(again, whole, atol=2e-3 * float(whole.abs().max()))


def test_a_compact_version_fits_and_says_what_it_lost(desk: Any, trained: Path, one: Any) -> None:
    whole = lora(trained).stat().st_size
    wanted = (whole + 64_000) // 2
    paths = adapted(desk).paths
    done = one(desk.finish(trained, 3, max_bytes=wanted), Finished)
    compact = trained / done.files["compact"]
    assert compact.stat().st_size <= wanted
    assert done.compact_loss is not None
    assert 0.0 < done.compact_loss < 0.9
    header_bytes = read_header(lora(trained)).data_start
    kept = shrunk(export.read(lora(trained), paths), wanted, header_bytes=header_bytes)
    gone, total = 0.0, 0.0
    for path, (down, up) in export.read(lora(trained), paths).items():
        difference = export.product(down, up) - export.product(*kept.pairs[path])
        gone += float(difference.square().sum())
        total += float(export.product(down, up).square().sum())
    assert done.compact_loss == pytest.approx(gone / total, rel=0.05)


def test_what_cannot_be_made_small_enough_says_so() -> None:
    with pytest.raises(CannotShrink):
        shrunk({"a": (torch.zeros(2, 4).half(), torch.zeros(4, 2).half())}, 100, header_bytes=0)


def test_every_checkpoint_was_exported_before_it_was_drawn(desk: Any, trained: Path) -> None:
    marks = [event for event in desk.told() if isinstance(event, Checkpointed)]
    assert marks
    for mark in marks:
        drawn_at = min((trained / p.file).stat().st_mtime_ns for p in mark.previews if not p.base)
        assert (trained / mark.lora).stat().st_mtime_ns <= drawn_at
