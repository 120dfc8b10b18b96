"""LoRA files that tests write: a few modules of a base, under the names and with the header that real ones have."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from storage.lora_file import write_lora
from storage.lora_file.architectures import architecture_named
from storage.lora_file.spelling import meanings

OURS = {"lorasmith.trigger": "zorvex", "lorasmith.class_word": "toy", "lorasmith.subject": "object"}


def lora(file: Path, *, base: str = "pocket", seed: int = 0, only: int = 4, **metadata: str) -> Path:
    """A file with a few modules of a base under kohya's names, of rank 2."""
    random = np.random.default_rng(seed)
    tensors = {}
    named = {key: slots for key, slots in meanings(base).items() if key.startswith("lora_unet_") and "_attn" in key}
    for key, slots in [(k, s) for k, s in sorted(named.items()) if len(s[0].shape) == 2][:only]:
        out, into = slots[0].shape
        tensors[f"{key}.lora_down.weight"] = random.normal(size=(2, into)).astype(np.float16)
        tensors[f"{key}.lora_up.weight"] = random.normal(size=(out, 2)).astype(np.float16)
        tensors[f"{key}.alpha"] = np.array(2.0, np.float32)
    file.parent.mkdir(parents=True, exist_ok=True)
    said = {"modelspec.architecture": architecture_named(base).modelspec}
    write_lora(file, tensors, said | {name.replace("__", "."): value for name, value in metadata.items()})
    return file


def ours(file: Path, **how: object) -> Path:
    return lora(file, **{name.replace(".", "__"): value for name, value in OURS.items()} | how)  # type: ignore[arg-type]
