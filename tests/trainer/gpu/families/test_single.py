"""Checkpoints of one file: every weight arrives, what they predict is heeded, and what is no base is refused in words."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTokenizer

from tests.builders import CPU_FIT, make_job
from tests.single_files import original, tiny_sdxl_of_two_widths, write_single
from tests.tiny_bases import tiny_sd15
from tests.trainer.gpu.conftest import Desk
from tests.trainer.gpu.families.conftest import plan_on
from trainer.events import Failed
from trainer.gpu.families import FAMILIES, Sd15, Sdxl, published, single
from trainer.gpu.families.stock import WrongBase
from trainer.gpu.shapes import full_size

BUILD: dict[str, tuple[Callable[[Path], Path], Any]] = {
    "sd15": (tiny_sd15, Sd15),
    "sdxl": (tiny_sdxl_of_two_widths, Sdxl),
}
PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")
NAMES = {
    "sd15": "21503364ca61d806acb658b579a19b5a1c418f8496f5647379e151adfab3c318",
    "sdxl": "5e0397ac140ded9f95785651bf70fd3725bd8d1464c3bcfd64eb7030ab1b8f36",
}
"""Of names and shapes that convert_diffusers_to_original_stable_diffusion.py and ..._sdxl.py make of the full-size models, at
https://github.com/huggingface/diffusers/tree/58eb52c0803ea9af3abec60841c2a093bdf1f951/scripts"""


def weights(base: Any) -> dict[str, Tensor]:
    parts = {part: getattr(base._pipeline, part, None) for part in PARTS}
    return {f"{name}.{k}": v for name, part in parts.items() if part is not None for k, v in part.state_dict().items()}


@pytest.fixture(scope="module", params=sorted(BUILD))
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    """(name, folder, the same as one file with what files have besides)."""
    home = tmp_path_factory.mktemp(request.param)
    folder = BUILD[request.param][0](home / "base")
    file = write_single(folder, home / "base.safetensors", metadata={"modelspec.title": "Mine"})
    extra = {"first_stage_model.loss.logvar": torch.zeros(()), "model_ema.decay": torch.zeros(())}
    save_file(load_file(file) | extra, file, {"modelspec.title": "Mine"})
    return request.param, folder, file


def test_every_weight_of_the_file_arrives(whole: tuple[str, Path, Path]) -> None:
    name, folder, file = whole
    kind = BUILD[name][1]
    wanted, found = weights(kind(str(folder), CPU_FIT)), weights(kind(str(file), CPU_FIT, config=folder))
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_marks_of_v_prediction_change_clock_and_target(whole: tuple[str, Path, Path], tmp_path: Path) -> None:
    name, folder, file = whole
    kind = BUILD[name][1]
    plain = kind(str(file), CPU_FIT, config=folder)
    assert plain.schedule.prediction == "epsilon"
    assert float(plain.schedule.alphas_cumprod_T[-1]) == pytest.approx(0.0047, abs=1e-4)
    marked = tmp_path / "v.safetensors"
    save_file(load_file(file) | {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}, marked)
    base = kind(str(marked), CPU_FIT, config=folder)
    assert base.schedule.prediction == "v_prediction"
    assert float(base.schedule.alphas_cumprod_T[-1]) == 0.0
    drawing = base._pipeline.scheduler
    drawing.set_timesteps(10)
    assert drawing.config.prediction_type == "v_prediction"
    assert int(drawing.timesteps[0]) == 999
    assert float(drawing.sigmas[0]) > 1000


@pytest.mark.parametrize("name", sorted(NAMES))
def test_at_full_size_the_names_are_the_published_scripts_and_all_are_taken(name: str) -> None:
    models = full_size(name)
    with torch.device("meta"):
        vae = AutoencoderKL(**published._CONFIGS[name]["vae"])
    unet, second = models["unet"], models.get("text_encoder_2")
    tensors = original(SimpleNamespace(unet=unet, vae=vae, text_encoder=models["text_encoder"], text_encoder_2=second))
    listed = "\n".join(f"{key} {tuple(value.shape)}" for key, value in sorted(tensors.items()))
    assert hashlib.sha256(listed.encode()).hexdigest() == NAMES[name]
    for back, model in (
        (convert_ldm_unet_checkpoint(tensors, unet.config), unet),
        (convert_ldm_vae_checkpoint(dict(tensors), vae.config), vae),
    ):
        wanted = model.state_dict()
        assert back.keys() == wanted.keys()
        assert all(back[key].shape == wanted[key].shape for key in wanted)


def test_the_tokenizer_is_clips(tmp_path: Path) -> None:
    """Numbers of "a photo of a cat" in CLIP's own table."""
    folder = published.written(tmp_path, "sdxl")
    first, second = (CLIPTokenizer.from_pretrained(folder, subfolder=f"tokenizer{n}") for n in ("", "_2"))
    told = [one("a photo of a cat", padding="max_length", max_length=77).input_ids for one in (first, second)]
    assert [ids[:7] for ids in told] == [[49406, 320, 1125, 539, 320, 2368, 49407]] * 2
    assert [set(ids[7:]) for ids in told] == [{49407}, {0}]
    assert len(first.get_vocab()) == 49408


def test_a_file_of_other_sizes_is_refused(whole: tuple[str, Path, Path]) -> None:
    name, _, file = whole
    with pytest.raises(WrongBase, match="lacks weights of SD"):
        BUILD[name][1](str(file), CPU_FIT)


def test_a_file_that_lacks_a_weight_is_refused(whole: tuple[str, Path, Path], tmp_path: Path) -> None:
    name, folder, file = whole
    tensors = load_file(file)
    del tensors["model.diffusion_model.middle_block.1.proj_in.weight"]
    save_file(tensors, tmp_path / "less.safetensors")
    with pytest.raises(WrongBase, match="lacks weights"):
        BUILD[name][1](str(tmp_path / "less.safetensors"), CPU_FIT, config=folder)


def test_the_child_tells_what_is_wrong_with_a_file(whole: tuple[str, Path, Path], tmp_path: Path) -> None:
    name, _, file = whole
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(file.read_bytes()[:-1000])
    for source, said in (
        (cut, "cut short"),
        (tmp_path / "m.ckpt", "can run code"),
        (tmp_path / "gone.safetensors", ""),
    ):
        make_job(tmp_path / source.stem / "job", source, pictures=2, plan=plan_on(name))
        desk = Desk(tmp_path / "told.jsonl")
        (failed,) = [e for e in desk.train(tmp_path / source.stem / "job", 1) if isinstance(e, Failed)]
        desk.close()
        assert (failed.fault, failed.retry) == ("machine", False)
        assert failed.reason.startswith("the base model cannot be used: ")
        assert said in failed.reason
        assert str(tmp_path) not in failed.reason


def test_bases_that_are_folders_take_no_file(whole: tuple[str, Path, Path]) -> None:
    with pytest.raises(WrongBase, match="a folder of parts, not one file"):
        FAMILIES["flux1-dev"](str(whole[2]), CPU_FIT)


def test_nothing_is_asked_of_the_network(whole: tuple[str, Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refused(*_: Any) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    name, folder, file = whole
    BUILD[name][1](str(folder), CPU_FIT)
    BUILD[name][1](str(file), CPU_FIT, config=folder)
    with pytest.raises(WrongBase, match="not on this machine; bring it with: lorasmith fetch"):
        BUILD[name][1]("nobody/has-this@0123456789abcdef0123456789abcdef01234567", CPU_FIT)
    assert single.is_file("x.safetensors")
