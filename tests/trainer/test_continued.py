"""The LoRA of `--continue`, as the supervisor's side looks at it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from storage.domain.errors import LorasmithError
from storage.lora_file import write_lora
from tests.builders import tiny_plan
from trainer.continued import going_on, looked_at


def a_lora(folder: Path, rank: int = 4, base: str = "pocket", **more: int) -> Path:
    tensors = {}
    for name, of in {"lora_unet_a": rank, **more}.items():
        tensors[f"{name}.lora_down.weight"] = np.ones((of, 8), np.float16)
        tensors[f"{name}.lora_up.weight"] = np.ones((8, of), np.float16)
        tensors[f"{name}.alpha"] = np.array(of, np.float32)
    write_lora(folder / "a.safetensors", tensors, {"lorasmith.architecture": base})
    return folder / "a.safetensors"


def test_the_plan_takes_the_files_rank_and_names_its_bytes(tmp_path: Path) -> None:
    start = looked_at(a_lora(tmp_path))
    plan = going_on(tiny_plan(), start, planned=False)
    assert plan == replace(tiny_plan(), rank=4, continue_from=start.sha256)
    assert going_on(plan, start, planned=True) == plan, "a plan file that says so already"


def test_what_does_not_belong_together_is_refused_with_what_to_do(tmp_path: Path) -> None:
    start = looked_at(a_lora(tmp_path))
    with pytest.raises(LorasmithError, match="set `rank: 4` in the plan file"):
        going_on(tiny_plan(), start, planned=True)
    with pytest.raises(LorasmithError, match="its bytes are others"):
        going_on(replace(tiny_plan(), continue_from="0" * 64), start, planned=False)
    with pytest.raises(LorasmithError, match="name its file with --continue"):
        going_on(replace(tiny_plan(), continue_from="0" * 64), None, planned=False)
    with pytest.raises(LorasmithError, match="is a LoRA for sdxl, and this training is of pocket"):
        going_on(tiny_plan(), looked_at(a_lora(tmp_path, base="sdxl")), planned=False)


def test_no_lora_several_ranks_and_no_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LorasmithError, match="there is no file"):
        looked_at(tmp_path / "none.safetensors")
    with pytest.raises(LorasmithError, match="has several ranks"):
        looked_at(a_lora(tmp_path, lora_unet_b=2))
    (tmp_path / "junk.safetensors").write_bytes(b"junk" * 50)
    with pytest.raises(LorasmithError):
        looked_at(tmp_path / "junk.safetensors")
