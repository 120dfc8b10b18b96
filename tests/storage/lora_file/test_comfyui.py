"""The optional check with a ComfyUI folder: always through the real process, with a stand-in folder where none is named."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest
from full_size import ATTENTION, header_of, names_of, tensors_for, thin_tensors, written

from storage.lora_file import ARCHITECTURES, comfyui, layout_of
from storage.lora_file.check import check_file

# The few names of ComfyUI that are called, and a loader that knows one module and logs the rest.
STAND_IN = {
    "options.py": "def enable_args_parsing(): pass",
    "supported_models.py": "class SDXL:\n    def __init__(self, config): assert config['context_dim'] == 2048",
    "model_base.py": "class SDXL:\n    def __init__(self, config, device): assert device == 'meta'",
    "sd1_clip.py": "class SD1ClipModel:\n    def __init__(self, device, dtype): pass",
    "sdxl_clip.py": "class SDXLClipModel:\n    def __init__(self, device, dtype): pass",
    "utils.py": "def load_torch_file(path, safe_load):\n    from safetensors.torch import load_file\n    return load_file(path)",
    "lora_convert.py": "import absent_library.part\ndef convert_lora(tensors): return tensors",
    "lora.py": """
        import logging
        NAME = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
        def model_lora_keys_unet(model, known): return {**known, NAME: "weight"}
        def model_lora_keys_clip(model, known): return known
        def load_lora(tensors, known):
            for key in tensors:
                if key.split(".")[0] not in known:
                    logging.warning("lora key not loaded: {}".format(key))
        """,
}


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    package = tmp_path / "comfyui" / "comfy"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    for name, text in STAND_IN.items():
        (package / name).write_text(textwrap.dedent(text))
    return package.parent


def test_the_named_folder_is_asked_instead_of_the_stored_list(
    stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(comfyui.VARIABLE, str(stand_in))
    path = written(tmp_path / "x.safetensors", tensors_for(ATTENTION))
    (verdict,) = [tool for tool in check_file(path).tools if tool.tool == "ComfyUI"]
    assert verdict.checked
    assert verdict.version == "in your folder, its own loader"
    assert verdict.used == 3
    assert verdict.dropped == 3 * 559


@pytest.mark.parametrize("content", [None, "raise OSError('broken install')"])
def test_a_folder_that_cannot_be_asked_is_reported_as_not_checked(
    stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    lora = stand_in / "comfy" / "lora.py"
    lora.unlink() if content is None else lora.write_text(content)
    monkeypatch.setenv(comfyui.VARIABLE, str(stand_in))
    path = written(tmp_path / "x.safetensors", tensors_for(ATTENTION))
    (verdict,) = [tool for tool in check_file(path).tools if tool.tool == "ComfyUI"]
    assert not verdict.checked
    assert "no comfy/lora.py" in verdict.note if content is None else "broken install" in verdict.note


@pytest.mark.skipif(comfyui.VARIABLE not in os.environ, reason=f"{comfyui.VARIABLE} names no ComfyUI folder (optional)")
@pytest.mark.parametrize("base", comfyui.BASES)
def test_the_real_comfyui_uses_every_key_of_a_full_size_lora(base: str, tmp_path: Path) -> None:
    folder = comfyui.folder_from_environment()
    assert folder is not None
    tensors = {key: tensor for key, tensor in thin_tensors(base, layout_of(base)).items() if key in set(names_of(base))}
    path = written(tmp_path / "x.safetensors", tensors, header_of(base))
    assert comfyui.ask(folder, path, base) == comfyui.Answer(dropped=())
    wrong = written(tmp_path / "y.safetensors", {f"x{key}": value for key, value in tensors.items()})
    assert len(comfyui.ask(folder, wrong, base).dropped or ()) == len(tensors)


def test_every_base_with_published_sizes_can_be_asked() -> None:
    assert set(comfyui.BASES) == set(ARCHITECTURES) - {"pocket"}
