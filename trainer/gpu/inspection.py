"""What torch says of itself and of the card, for `lorasmith doctor`: `python -m trainer.gpu.inspection` prints one object."""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import torch


def found() -> dict[str, Any]:
    """Version, CUDA that it was built for, and whether a small product of matrices comes out right on the card."""
    says: dict[str, Any] = {"torch": torch.__version__, "cuda": torch.version.cuda or torch.version.hip, "works": False}
    says["mps"] = torch.backends.mps.is_available()
    with warnings.catch_warnings(record=True) as warned:  # torch warns of a driver that is too old, and goes on without
        warnings.simplefilter("always")
        there = torch.cuda.is_available()
    if not there:
        return says | {"why": str(warned[-1].message) if warned else ""}
    try:
        one = torch.ones(64, 64, device="cuda")
        works = float((one @ one).sum()) == 64.0**3
        properties = torch.cuda.get_device_properties(0)
    except RuntimeError as error:
        return says | {"why": str(error).splitlines()[0]}
    return says | {"works": works, "name": properties.name, "memory_gib": properties.total_memory / (1 << 30)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(found()) + "\n")
