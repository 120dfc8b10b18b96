from __future__ import annotations

import json
from dataclasses import replace

from about import ABOUT

from storage.lora_file.sidecar import sidecar, sidecar_text


def test_the_sidecar_has_the_six_keys_that_a1111_and_forge_read() -> None:
    made = sidecar(replace(ABOUT, recommended_scale=0.7499, scale_band=(0.6, 1.0)), negative="blurry")
    assert made == {
        "description": (
            'LoRA of the character "sks dog" for stabilityai/stable-diffusion-xl-base-1.0, '
            "step 150 of 250, from 8 pictures."
        ),
        "sd version": "SDXL",
        "activation text": "sks dog",
        "preferred weight": 0.75,
        "negative text": "blurry",
        "notes": 'Write "sks dog" in the prompt, weight 0.7499 (0.6 to 1 works).',
    }


def test_without_a_measured_scale_the_weight_is_left_to_the_tool() -> None:
    assert sidecar(ABOUT)["preferred weight"] == 0


def test_a_style_is_called_as_a_style_and_the_pocket_has_no_version_that_a_tool_knows() -> None:
    made = sidecar(replace(ABOUT, architecture="pocket", class_word="picture", subject="style"))
    assert made["activation text"] == "sks style"
    assert made["sd version"] == "Unknown"


def test_the_text_is_json_that_ends_with_a_newline() -> None:
    text = sidecar_text(replace(ABOUT, trigger="ünïk"))
    assert json.loads(text)["activation text"] == "ünïk dog"
    assert text.endswith("}\n")
