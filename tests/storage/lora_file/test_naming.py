from __future__ import annotations

import pytest

from storage.lora_file import kohya_key, paths_by_key
from storage.lora_file.naming import Component


@pytest.mark.parametrize(
    ("component", "path", "key"),
    [
        ("unet", "mid_block.attentions.0.proj_in", "lora_unet_mid_block_attentions_0_proj_in"),
        ("unet", "base_model.model.conv_in", "lora_unet_conv_in"),
        (
            "text_encoder",
            "encoder.layers.0.self_attn.q_proj",
            "lora_te1_text_model_encoder_layers_0_self_attn_q_proj",
        ),
        (
            "text_encoder",
            "text_model.encoder.layers.0.self_attn.q_proj",
            "lora_te1_text_model_encoder_layers_0_self_attn_q_proj",
        ),
        ("text_encoder_2", "text_model.encoder.layers.3.mlp.fc1", "lora_te2_text_model_encoder_layers_3_mlp_fc1"),
        ("text_encoder_2", "text_projection", "lora_te2_text_projection"),
    ],
)
def test_a_module_has_the_name_that_the_tools_know(component: Component, path: str, key: str) -> None:
    assert kohya_key(component, path) == key


def test_names_lead_back_to_the_modules() -> None:
    unet = ["down_blocks.0.resnets.0.conv1", "mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0"]
    back = paths_by_key({"unet": unet, "text_encoder": ["encoder.layers.0.mlp.fc2"]})
    assert back["lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_out_0"] == ("unet", unet[1])
    assert back["lora_te1_text_model_encoder_layers_0_mlp_fc2"] == ("text_encoder", "encoder.layers.0.mlp.fc2")
    assert len(back) == 3


def test_two_modules_with_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="would both be named"):
        paths_by_key({"unet": ["a.b_c", "a_b.c"]})
