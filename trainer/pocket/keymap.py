"""Which names of a LoRA file stock diffusers takes, found by loading files into it; makes storage/keymaps/pocket.json.

    python -m trainer.pocket.keymap > storage/keymaps/pocket.json

Every module's down matrix in the file holds a number of its own, so that it is seen where each one arrives: a name counts
where its number arrives in the module that the name means.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence

import diffusers
import torch
from diffusers import StableDiffusionXLPipeline
from peft.tuners.tuners_utils import BaseTunerLayer

from storage.lora_file import ALPHA, DOWN, UP, Component, kohya_key
from trainer.pocket.architecture import build_text_encoder, build_text_encoder_2, build_unet

Models = Mapping[Component, torch.nn.Module]
Shapes = dict[Component, dict[str, tuple[int, ...]]]
Namer = Callable[[Component, str], str]

KOHYA = (DOWN, UP, ALPHA)
PEFT = (".lora_A.weight", ".lora_B.weight")

HOW = (
    "StableDiffusionXLPipeline.lora_state_dict, load_lora_into_unet and load_lora_into_text_encoder were run on the "
    "pocket's own models (python -m trainer.pocket.keymap); a name counts where its number arrived in the module that "
    "it means."
)
NOT_ASKED = "its model loader knows published architectures; the pocket is a diffusers pipeline with sizes of its own"
OTHERS = {
    "comfyui": ("ComfyUI", "https://github.com/Comfy-Org/ComfyUI"),
    "forge": ("Forge", "https://github.com/lllyasviel/stable-diffusion-webui-forge"),
    "a1111": ("A1111", "https://github.com/AUTOMATIC1111/stable-diffusion-webui"),
    "sd-scripts": ("kohya sd-scripts", "https://github.com/kohya-ss/sd-scripts"),
}


def pocket_models() -> Models:
    """The pocket's three LoRA-bearing models with random weights; only names and shapes matter here."""
    return {"unet": build_unet(), "text_encoder": build_text_encoder(), "text_encoder_2": build_text_encoder_2()}


def module_shapes(models: Models) -> Shapes:
    """The weight shape of every linear and convolutional module, by path."""
    kinds = (torch.nn.Linear, torch.nn.Conv2d)
    return {
        part: {path: tuple(m.weight.shape) for path, m in models[part].named_modules() if isinstance(m, kinds)}
        for part in models
    }


def peft_key(component: Component, path: str) -> str:
    """The name that diffusers' own save_lora_weights gives."""
    return f"{component}.{path}"


def names_taken(models: Models, namer: Namer, suffixes: Sequence[str]) -> list[str]:
    """The names of this naming that arrive where they belong. The models are altered: they carry the LoRA afterwards."""
    wanted = [(part, path) for part, paths in module_shapes(models).items() for path in paths]
    arrived = _arrivals(models, _file(module_shapes(models), namer, suffixes))
    return sorted(
        namer(part, path) for number, (part, path) in enumerate(wanted) if arrived.get((part, path)) == number
    )


def _file(shapes: Shapes, namer: Namer, suffixes: Sequence[str]) -> dict[str, torch.Tensor]:
    """Rank-1 tensors for every module; the n-th module's down matrix is full of n."""
    tensors: dict[str, torch.Tensor] = {}
    for part, paths in shapes.items():
        for path, (out, *rest) in paths.items():
            name = namer(part, path)
            tensors[name + suffixes[0]] = torch.full((1, *rest), float(len(tensors) // len(suffixes)))
            tensors[name + suffixes[1]] = torch.zeros(out, 1, *([1] * (len(rest) - 1)))
            if len(suffixes) > 2:
                tensors[name + suffixes[2]] = torch.tensor(1.0)
    return tensors


def _arrivals(models: Models, tensors: dict[str, torch.Tensor]) -> dict[tuple[Component, str], int]:
    """Loads the file as a pipeline would and reads the numbers back: (component, path) -> number."""
    stock = StableDiffusionXLPipeline
    state, alphas, _ = stock.lora_state_dict(tensors, unet_config=models["unet"].config, return_lora_metadata=True)
    load = {"network_alphas": alphas, "adapter_name": "asked", "low_cpu_mem_usage": False}
    stock.load_lora_into_unet(state, unet=models["unet"], **load)
    for part in ("text_encoder", "text_encoder_2"):
        stock.load_lora_into_text_encoder(state, text_encoder=models[part], prefix=part, **load)
    return {
        (part, path): int(module.lora_A["asked"].weight.flatten()[0].item())
        for part in models
        for path, module in models[part].named_modules()
        if isinstance(module, BaseTunerLayer)
    }


def layout(suffixes: Sequence[str], names: Sequence[str]) -> dict[str, object]:
    """One layout as the data files keep it."""
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
    return {"suffixes": list(suffixes), "count": len(names), "sha256": digest, "modules": list(names)}


def pocket_keymap() -> dict[str, object]:
    """The content of storage/keymaps/pocket.json."""
    layouts = [
        layout(KOHYA, names_taken(pocket_models(), kohya_key, KOHYA)),
        layout(PEFT, names_taken(pocket_models(), peft_key, PEFT)),
    ]
    asked = {
        "id": "diffusers",
        "name": "diffusers",
        "repository": "https://github.com/huggingface/diffusers",
        "commit": f"v{diffusers.__version__}",
        "date": "",
        "how": HOW,
        "refuses": "file with an unknown key",
        "layouts": layouts,
    }
    return {
        "architecture": "pocket",
        "base": "lorasmith pocket",
        "made": "2026-11-21",
        "shapes": "trainer/pocket/architecture.py",
        "modules": module_shapes(pocket_models()),
        "tools": [asked, *(_not_asked(key) for key in OTHERS)],
    }


def _not_asked(key: str) -> dict[str, object]:
    name, repository = OTHERS[key]
    empty = {"commit": "", "date": "", "refuses": "nothing", "layouts": []}
    return {"id": key, "name": name, "repository": repository, "how": NOT_ASKED, **empty}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(pocket_keymap(), separators=(",", ":")) + "\n")
