"""Writes `golden.json`: the losses that diffusers' published example scripts compute on the tiny pipelines.

The scripts' own step is run, as it stands in their files: everything inside `accelerator.accumulate(...)` up to the backward
pass, with our pipeline, pictures and timesteps under the names that it uses. Get a checkout of diffusers, then:

    python -m tests.trainer.gpu.families.golden /path/to/diffusers                  the commit that golden.json names
    python -m tests.trainer.gpu.families.golden /path/to/diffusers --commit SHA     another one, from now on

Wherever the checkout stands, the files are read at that commit; one that lacks it is refused.
"""

from __future__ import annotations

import argparse
import ast
import copy
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import torch
from diffusers.training_utils import compute_loss_weighting_for_sd3

from storage.base_file import BaseFile
from tests.tiny_bases import TINY, TOKENS, filled
from trainer.gpu.families import published
from trainer.gpu.noise import uniform

FILE = Path(__file__).with_name("golden.json")
SCRIPTS = {
    "flux1-dev": "train_dreambooth_lora_flux.py",
    "flux2-klein-4b": "train_dreambooth_lora_flux2_klein.py",
    "sd15": "train_dreambooth_lora.py",
    "sdxl": "train_dreambooth_lora_sdxl.py",
    "sdxl-v": "train_dreambooth_lora_sdxl.py",
    "z-image": "train_dreambooth_lora_z_image.py",
}
PROMPTS = ("a zorvex toy on grass", "")
INDICES = (280, 999)
"""Places in the scheduler's timesteps, which fall from 1000."""
NOISE_SEED = 7
PX = 32


def epsilon_sdxl(folder: Path) -> Path:
    """The tiny SDXL under SDXL's published clock: it predicts noise."""
    TINY["sdxl"](folder)
    about = BaseFile(family="sdxl", prediction="epsilon", zero_terminal=False)
    published.scheduler(about).save_pretrained(folder / "scheduler")
    return folder


BUILDS: dict[str, Callable[[Path], Path]] = {**TINY, "sdxl": epsilon_sdxl, "sdxl-v": TINY["sdxl"]}
"""The pocket's clock, which the tiny SDXL has else, is that of v-prediction checkpoints: zero terminal SNR."""


def family_of(name: str) -> str:
    """The base in a plan."""
    return name.removesuffix("-v")


def pictures() -> torch.Tensor:
    """Two pictures of coloured noise, (2, 3, PX, PX) in [-1, 1]."""
    return uniform((2, 3, PX, PX), 0, 0, "golden") * 2.0 - 1.0


def the_step(script: str) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """(functions of the file and `get_sigmas`, statements of one training step up to the backward pass)."""
    tree = ast.parse(script)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and "prompt" in node.name]
    functions += [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "get_sigmas"]
    loops = [
        n for n in ast.walk(tree) if isinstance(n, ast.With) and "accelerator.accumulate" in ast.unparse(n.items[0])
    ]
    (loop,) = loops
    ends = next(at for at, node in enumerate(loop.body) if "accelerator.backward" in ast.unparse(node))
    return list(functions), loop.body[:ends]


def run(script: str, names: dict[str, Any]) -> dict[str, Any]:
    """What the step leaves behind under its own names."""
    functions, step = the_step(script)
    space = {"torch": torch, "compute_loss_weighting_for_sd3": compute_loss_weighting_for_sd3, **names}
    exec(compile(ast.Module(body=[*functions, *step], type_ignores=[]), "script", "exec"), space)  # noqa: S102 -- that is the point
    return space


def common(pipeline: Any) -> dict[str, Any]:
    """The names that all scripts use."""
    return {
        "args": SimpleNamespace(
            train_text_encoder=False,
            cache_latents=False,
            weighting_scheme="none",
            logit_mean=0.0,
            logit_std=1.0,
            mode_scale=1.29,
            guidance_scale=1.0,
            with_prior_preservation=False,
            max_sequence_length=TOKENS,
            caption_dropout=0.0,
            offload=False,
        ),
        "accelerator": SimpleNamespace(device=torch.device("cpu")),
        "batch": {"prompts": list(PROMPTS), "pixel_values": pictures(), "indices": [0, 1]},
        "prompts": list(PROMPTS),
        "sample_indices": [0, 1],
        "train_dataset": SimpleNamespace(custom_instance_prompts=True),
        "step": 0,
        "transformer": pipeline.components.get("transformer"),
        "vae": pipeline.vae,
        "weight_dtype": torch.float32,
        "noise_scheduler_copy": copy.deepcopy(pipeline.scheduler),
        "unwrap_model": lambda model: model,
        "offload_models": lambda *_, **__: nullcontext(),
        "compute_density_for_timestep_sampling": lambda **_: (torch.tensor(INDICES) + 0.5) / 1000.0,
        "vae_config_shift_factor": pipeline.vae.config.get("shift_factor"),
        "vae_config_scaling_factor": pipeline.vae.config.get("scaling_factor"),
        "vae_config_block_out_channels": pipeline.vae.config.block_out_channels,
        "FluxPipeline": diffusers.FluxPipeline,
        "Flux2KleinPipeline": diffusers.Flux2KleinPipeline,
    }


def flux1(script: str, pipeline: Any) -> dict[str, Any]:
    """It samples the autoencoder's posterior: it is given the most likely latents instead."""
    names = common(pipeline)
    names["args"].cache_latents = True
    mode = pipeline.vae.encode(pictures()).latent_dist.mode()
    functions, _ = the_step(script)
    space: dict[str, Any] = {"torch": torch}
    exec(compile(ast.Module(body=functions, type_ignores=[]), "script", "exec"), space)  # noqa: S102 -- as above

    def compute(prompts: list[str], encoders: Any, tokenizers: Any) -> Any:
        return space["encode_prompt"](encoders, tokenizers, prompts, TOKENS)

    names |= {
        "latents_cache": [SimpleNamespace(sample=lambda: mode)],
        "text_encoders": [pipeline.text_encoder, pipeline.text_encoder_2],
        "tokenizers": [pipeline.tokenizer, pipeline.tokenizer_2],
        "compute_text_embeddings": compute,
    }
    return run(script, names)


def flux2(script: str, pipeline: Any) -> dict[str, Any]:
    encoded = [
        pipeline.encode_prompt(text, max_sequence_length=TOKENS, text_encoder_out_layers=(1, 2, 3)) for text in PROMPTS
    ]
    norm, eps = pipeline.vae.bn, pipeline.vae.config.batch_norm_eps
    names = {
        "prompt_embeds_cache": [embeds for embeds, _ in encoded],
        "text_ids_cache": [ids for _, ids in encoded],
        "latents_bn_mean": norm.running_mean.view(1, -1, 1, 1),
        "latents_bn_std": torch.sqrt(norm.running_var.view(1, -1, 1, 1) + eps),
    }
    return run(script, common(pipeline) | names)


def zimage(script: str, pipeline: Any) -> dict[str, Any]:
    embeds, _ = pipeline.encode_prompt(list(PROMPTS), do_classifier_free_guidance=False, max_sequence_length=TOKENS)
    return run(script, common(pipeline) | {"prompt_embeds_cache": [embeds]})


class _FixedTimes:
    """`torch` with the timesteps that we choose: this script draws them itself."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def randint(*_: Any, **__: Any) -> torch.Tensor:
        return 999 - torch.tensor(INDICES)


def sd15(script: str, pipeline: Any) -> dict[str, Any]:
    """As SDXL's; it encodes texts of this step, from their ids."""
    mode = pipeline.vae.encode(pictures()).latent_dist.mode()
    functions, _ = the_step(script)
    space: dict[str, Any] = {"torch": torch}
    exec(compile(ast.Module(body=functions, type_ignores=[]), "script", "exec"), space)  # noqa: S102 -- as above
    told = space["tokenize_prompt"](pipeline.tokenizer, list(PROMPTS))
    names = common(pipeline)
    for name in ("pre_compute_text_embeddings", "text_encoder_use_attention_mask", "class_labels_conditioning"):
        setattr(names["args"], name, None)
    names["batch"] |= {"input_ids": told.input_ids, "attention_mask": told.attention_mask}
    names |= {
        "torch": _FixedTimes(),
        "F": torch.nn.functional,
        "unet": pipeline.unet,
        "vae": SimpleNamespace(
            config=pipeline.vae.config,
            encode=lambda _: SimpleNamespace(latent_dist=SimpleNamespace(sample=lambda: mode)),
        ),
        "noise_scheduler": diffusers.DDPMScheduler.from_config(pipeline.scheduler.config),
        "text_encoder": pipeline.text_encoder,
        "encode_prompt": space["encode_prompt"],
    }
    return run(script, names)


def sdxl(script: str, pipeline: Any) -> dict[str, Any]:
    """It samples the autoencoder's posterior: it is given the most likely latents instead."""
    mode = pipeline.vae.encode(pictures()).latent_dist.mode()
    functions, _ = the_step(script)
    space: dict[str, Any] = {"torch": torch}
    exec(compile(ast.Module(body=functions, type_ignores=[]), "script", "exec"), space)  # noqa: S102 -- as above
    names = common(pipeline)
    names["args"].do_edm_style_training = False
    names["args"].pretrained_vae_model_name_or_path = None
    names["args"].snr_gamma = None
    names["batch"] |= {"original_sizes": [(PX, PX)] * 2, "crop_top_lefts": [(0, 0)] * 2}
    names |= {
        "torch": _FixedTimes(),
        "F": torch.nn.functional,
        "unet": pipeline.unet,
        "vae": SimpleNamespace(
            dtype=torch.float32,
            config=pipeline.vae.config,
            encode=lambda _: SimpleNamespace(latent_dist=SimpleNamespace(sample=lambda: mode)),
        ),
        "latents_mean": None,
        "latents_std": None,
        "noise_scheduler": diffusers.DDPMScheduler.from_config(pipeline.scheduler.config),
        "text_encoders": [pipeline.text_encoder, pipeline.text_encoder_2],
        "tokenizers": [pipeline.tokenizer, pipeline.tokenizer_2],
        "compute_text_embeddings": lambda prompts, encoders, tokenizers: space["encode_prompt"](
            encoders, tokenizers, prompts
        ),
        "compute_time_ids": lambda original_size, crops_coords_top_left: torch.tensor(
            [[*original_size, *crops_coords_top_left, PX, PX]]
        ),
    }
    return run(script, names)


RUNS: dict[str, Callable[[str, Any], dict[str, Any]]] = {
    "flux1-dev": flux1,
    "flux2-klein-4b": flux2,
    "sd15": sd15,
    "sdxl": sdxl,
    "sdxl-v": sdxl,
    "z-image": zimage,
}


def named_commit() -> str:
    """The one commit that `golden.json` was written from."""
    sources = [entry["source"] for entry in json.loads(FILE.read_text()).values()]
    (commit,) = {found[1] for source in sources if (found := re.search(r"/blob/([0-9a-f]{40})/", source))}
    return str(commit)


def require_commit(checkout: Path, commit: str) -> str:
    """The commit's whole name. Ends with a sentence where the checkout lacks it."""
    git = ["git", "-C", str(checkout), "rev-parse", "--verify", "--quiet"]
    found = subprocess.run([*git, f"{commit}^{{commit}}"], capture_output=True, text=True, check=False)
    if found.returncode:
        head = subprocess.run([*git, "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
        sys.exit(
            f"{checkout} is at {head or 'no commit'} and lacks {commit}: fetch that one, or name another with --commit"
        )
    return found.stdout.strip()


def golden(name: str, checkout: Path, commit: str) -> dict[str, Any]:
    """The numbers of one family, with where they come from."""
    path = f"examples/dreambooth/{SCRIPTS[name]}"
    script = subprocess.check_output(["git", "-C", checkout, "show", f"{commit}:{path}"], text=True)
    with tempfile.TemporaryDirectory() as folder:
        pipeline = diffusers.DiffusionPipeline.from_pretrained(filled(Path(folder), BUILDS[name]))
        torch.manual_seed(NOISE_SEED)
        with torch.no_grad():
            left = RUNS[name](script, pipeline)
    return {
        "source": f"https://github.com/huggingface/diffusers/blob/{commit}/{path}",
        "sha256": hashlib.sha256(script.encode()).hexdigest(),
        "loss": float(left["loss"]),
        "prediction": left["model_pred"][:, 1, 2, :4].flatten().tolist(),
        "target": left["target"][:, 1, 2, :4].flatten().tolist(),
    }


def main(arguments: list[str] | None = None) -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="a clone of diffusers")
    parser.add_argument("--commit", help="the one that golden.json names, if not given")
    given = parser.parse_args(arguments)
    commit = require_commit(given.checkout, given.commit or named_commit())
    torch.set_num_threads(1)
    FILE.write_text(json.dumps({name: golden(name, given.checkout, commit) for name in SCRIPTS}, indent=1) + "\n")


if __name__ == "__main__":
    main()
