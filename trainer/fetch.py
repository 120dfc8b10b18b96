"""`lorasmith fetch sdxl`: bring a base model onto this machine, and `present`: whether one is there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from storage.options import Options
from trainer.settings import SDXL

SDXL_GB = 7
SDXL_FILES = (
    "model_index.json",
    "scheduler/*",
    "tokenizer/*",
    "tokenizer_2/*",
    "text_encoder/config.json",
    "text_encoder/model.fp16.safetensors",
    "text_encoder_2/config.json",
    "text_encoder_2/model.fp16.safetensors",
    "unet/config.json",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.fp16.safetensors",
)
"""The half-precision weights in safetensors, and nothing that would have to be unpickled."""


def present(source: str) -> bool:
    """Whether a base model's folder, or the hub's copy of it, is on this machine."""
    if Path(source).is_absolute() or Path(source).is_dir():
        return (Path(source) / "model_index.json").is_file()
    try:
        from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415  # only asked for bases of the hub
    except ImportError:
        return False
    wanted = ("model_index.json", "unet/diffusion_pytorch_model.fp16.safetensors")
    return all(isinstance(try_to_load_from_cache(source, name), str) for name in wanted)


def missing(base: str, source: str) -> str:
    """What to do about a base model that is not here."""
    if base == "sdxl" and source == SDXL:
        return f"SDXL is not on this machine. Fetch it with: lorasmith fetch sdxl (about {SDXL_GB} GB)"
    return f"The base model {base} is not at {source}. Set LORASMITH_BASE_{base.upper()} to the folder that holds its weights."


def fetch_sdxl() -> str:
    """Download SDXL into the hub's cache, with the hub's own progress bars; gives back the folder. Raises `OSError`."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415  # needed by this verb only

    return str(snapshot_download(SDXL, allow_patterns=list(SDXL_FILES)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0 with the folder, 1 with what to do."""
    parser = Options("fetch", "Fetch a base model to train on. SDXL comes under the CreativeML Open RAIL++-M.")
    parser.add_argument("base", choices=["sdxl"], help=f"sdxl: about {SDXL_GB} GB")
    parser.parse_args(arguments)
    print(f"Fetching {SDXL}: about {SDXL_GB} GB, once. It can be stopped and goes on where it was.", file=sys.stderr)  # noqa: T201  # the answer of a command
    try:
        folder = fetch_sdxl()
    except ImportError:
        return _refuse("this needs the trainer's packages: pip install lorasmith[trainer]")
    except OSError as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        return _refuse(
            f"{first}\nThe files could not be fetched. Look at the network, and whether HF_HUB_OFFLINE is set; a machine "
            f"without network takes a copied folder: set LORASMITH_BASE_SDXL=/path/to/{SDXL.split('/')[1]}"
        )
    print(folder)  # noqa: T201  # the answer of a command
    print("To train on it: LORASMITH_BASES=pocket,sdxl for workers, LORASMITH_BASE=sdxl for the bot.", file=sys.stderr)  # noqa: T201  # as above
    return 0


def _refuse(why: str) -> int:
    print(f"lorasmith fetch: {why}", file=sys.stderr)  # noqa: T201  # the answer of a command
    return 1


if __name__ == "__main__":
    sys.exit(main())
