"""The small JSON file beside a LoRA that A1111 and Forge read: with it, a click inserts trigger and measured weight.

Keys as Lora/ui_edit_user_metadata.py of https://github.com/AUTOMATIC1111/stable-diffusion-webui writes them.
"""

from __future__ import annotations

import json

from storage.lora_file.architectures import architecture_named
from storage.lora_file.metadata import About, description, prompt_words, usage_hint


def sidecar(about: About, *, negative: str = "") -> dict[str, object]:
    """The content of `<name>.json`. Without a measured scale the weight is 0, which means "not set" to those tools."""
    return {
        "description": about.description or description(about),
        "sd version": architecture_named(about.architecture).sd_version,
        "activation text": prompt_words(about),
        "preferred weight": 0 if about.recommended_scale is None else round(float(about.recommended_scale), 2),
        "negative text": negative,
        "notes": usage_hint(about),
    }


def sidecar_text(about: About, *, negative: str = "") -> str:
    """The sidecar as it is written, with a newline at its end."""
    return json.dumps(sidecar(about, negative=negative), ensure_ascii=False, indent=2) + "\n"
