from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from storage.lora_file import kohya_key
from storage.lora_file.keymaps import keymap
from trainer.pocket.keymap import KOHYA, PEFT, Models, module_shapes, names_taken, peft_key, pocket_keymap

TEXT: dict[str, Any] = {
    "vocab_size": 8,
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_attention_heads": 1,
    "projection_dim": 8,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}


def narrow_sdxl() -> Models:
    """SDXL's modules, name for name, with narrow layers."""
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64, 128),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=[1, 2, 10],
        attention_head_dim=[1, 1, 1],
        cross_attention_dim=16,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=64,
    )
    return {
        "unet": unet,
        "text_encoder": CLIPTextModel(CLIPTextConfig(**TEXT, num_hidden_layers=12)),
        "text_encoder_2": CLIPTextModelWithProjection(CLIPTextConfig(**TEXT, num_hidden_layers=32)),
    }


def test_the_stored_map_of_the_pocket_is_what_diffusers_takes_today() -> None:
    stored = json.loads((files("storage") / "keymaps" / "pocket.json").read_text())
    made = json.loads(json.dumps(pocket_keymap()))
    made["tools"][0]["commit"] = stored["tools"][0]["commit"]  # a patch release may differ in its name alone
    assert made == stored


def test_narrow_sdxl_has_the_modules_of_the_stored_map() -> None:
    stored = keymap("sdxl").modules
    assert {part: set(paths) for part, paths in module_shapes(narrow_sdxl()).items()} == {
        part: set(paths) for part, paths in stored.items()
    }


@pytest.mark.parametrize(("namer", "suffixes"), [(kohya_key, KOHYA), (peft_key, PEFT)])
def test_the_stored_map_of_sdxl_is_what_diffusers_takes_today(namer: Any, suffixes: tuple[str, ...]) -> None:
    (tool,) = [tool for tool in keymap("sdxl").tools if tool.id == "diffusers"]
    (layout,) = [layout for layout in tool.layouts if set(layout.suffixes) == set(suffixes)]
    models = narrow_sdxl()
    ours = {namer(part, path) for part, paths in module_shapes(models).items() for path in paths}
    taken = names_taken(models, namer, suffixes)
    assert set(taken) == layout.modules & ours
    assert len(ours) - len(taken) == (2 if suffixes == KOHYA else 0)  # kohya's names of the added embedding are lost
