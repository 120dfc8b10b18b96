"""Asks the ComfyUI on this machine, where `LORASMITH_COMFYUI` names its folder, which keys its own loader drops."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "LORASMITH_COMFYUI"
TIMEOUT_S = 300
BASES = ("sd15", "sdxl", "flux1-dev", "flux2-klein-4b", "flux2-klein-9b", "z-image")
"""Those whose sizes `trainer.gpu.comfyui` knows."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back: the keys that were dropped, or why there is no answer."""

    dropped: tuple[str, ...] | None
    trouble: str = ""


def folder_from_environment() -> Path | None:
    """The folder that the operator named, if any."""
    named = os.environ.get(VARIABLE, "")
    return Path(named) if named else None


def ask(folder: Path, file: Path, base: str) -> Answer:
    """Runs ComfyUI's loader in a process of its own: it needs torch, which this side never imports."""
    if not (folder / "comfy" / "lora.py").is_file():
        return Answer(dropped=None, trouble=f"{VARIABLE} names {folder}, which holds no comfy/lora.py")
    command = [sys.executable, "-m", "trainer.gpu.comfyui", str(folder.resolve()), str(file.resolve()), base]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return Answer(dropped=None, trouble=f"ComfyUI's loader did not answer within {TIMEOUT_S} seconds")
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Answer(dropped=None, trouble=f"ComfyUI's loader failed: {last[:200]}")
    return Answer(dropped=tuple(json.loads(done.stdout.strip().splitlines()[-1])["dropped"]))
