"""The LoRA file that `lorasmith train --continue FILE` goes on from: looked at before anything is trained."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from storage.domain.errors import LorasmithError
from storage.domain.plan import Plan
from storage.lora_file import read_header


@dataclass(frozen=True, kw_only=True)
class Continued:
    """A LoRA file, as far as this side reads it."""

    file: Path
    sha256: str
    rank: int
    base: str | None
    """Where the file says it."""


def looked_at(file: Path) -> Continued:
    """Raises `LorasmithError` for what is no LoRA, or one of several ranks."""
    if not file.is_file():
        raise LorasmithError(f"there is no file {file}")
    header = read_header(file)
    downs = [n for n in header.tensors if n.endswith((".lora_down.weight", ".lora_A.weight"))]
    ranks = {header.tensors[name].shape[0] for name in downs}
    if len(ranks) != 1:
        why = "has several ranks" if ranks else "holds no LoRA"
        raise LorasmithError(f"{file} {why}, so no training can go on from it")
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    base = header.metadata.get("lorasmith.architecture")
    return Continued(file=file, sha256=digest, rank=ranks.pop(), base=base)


def going_on(plan: Plan, start: Continued | None, *, planned: bool) -> Plan:
    """The plan from that file on, with the file's rank; `planned` says that a plan file sets the rank.

    Raises `LorasmithError` where file and plan do not belong together.
    """
    if start is None:
        if plan.continue_from:
            raise LorasmithError("this plan goes on from a LoRA; name its file with --continue")
        return plan
    if start.base not in (None, plan.base):
        raise LorasmithError(f"{start.file} is a LoRA for {start.base}, and this training is of {plan.base}")
    if plan.continue_from not in ("", start.sha256):
        raise LorasmithError(f"{start.file} is not the LoRA that this plan goes on from: its bytes are others")
    if planned and plan.rank != start.rank:
        raise LorasmithError(f"{start.file} has rank {start.rank}; set `rank: {start.rank}` in the plan file")
    return replace(plan, continue_from=start.sha256, rank=start.rank)
