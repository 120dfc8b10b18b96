"""What a training step keeps in memory, counted on the full-size denoisers without weights.

    python -m trainer.gpu.counted sdxl          prints what `storage.domain.footprint.FOOTPRINTS` says of it

One picture of the base's native size goes through the denoiser on PyTorch's meta device, in bf16 with the recipe's LoRA in fp32
as it is trained; every tensor that autograd keeps for the backward pass is counted once, views of it not again. Attention
counts as a kernel that keeps queries, keys, values and its result (FlashAttention, Dao et al. 2022, arXiv 2205.14135,
section 3.1), which is what PyTorch takes on CUDA.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional

from storage.domain.bases import BASES
from storage.domain.caches import ENCODINGS
from storage.domain.fit import Recomputed
from storage.domain.orders import SubjectType
from storage.domain.plan import Plan
from storage.domain.recipes import PictureOf, plan_for
from trainer.gpu.adapter import attach
from trainer.gpu.families import FAMILIES, Base, Words
from trainer.gpu.families.unet import Unet, _layers
from trainer.gpu.pictures import Framing, Shape
from trainer.gpu.schedules import Flow, Shift
from trainer.gpu.shapes import full_size


@dataclass(frozen=True, kw_only=True)
class Block:
    """What one block of the denoiser keeps, and what goes into it."""

    kept: int
    given: int


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Bytes of a step with one picture."""

    total: int
    blocks: Sequence[Block]

    def bytes(self, how: Recomputed) -> int:
        """The most that is there at a time: a block that is computed again is whole for a moment."""
        again = {"none": (), "half": self.blocks[::2], "all": self.blocks}[how]
        saved = sum(block.kept - block.given for block in again)
        return self.total - saved + max((block.kept for block in again), default=0)


class Kept:
    """Counts the storages that autograd keeps, each once."""

    def __init__(self, without: nn.Module) -> None:
        """Weights are there anyway."""
        self.bytes = 0
        self.blocks: list[Block] = []
        self._alive: dict[int, Any] = {_key(p): p for p in (*without.parameters(), *without.buffers())}

    def pack(self, tensor: Tensor) -> Tensor:
        if _key(tensor) not in self._alive:
            self._alive[_key(tensor)] = tensor.untyped_storage()  # held, so that no other one takes its number
            self.bytes += tensor.untyped_storage().nbytes()
        return tensor

    def block(self, module: nn.Module, *inputs: Any) -> Any:  # noqa: ANN401 -- whatever a block takes and gives
        """In the place of checkpointing: a note of what the block kept."""
        before = self.bytes
        out = module(*inputs)
        given = sum(t.untyped_storage().nbytes() for t in inputs if isinstance(t, Tensor) and t.requires_grad)
        self.blocks.append(Block(kept=self.bytes - before, given=given))
        return out


def counted(name: str, plan: Plan, px: int) -> Counted:
    """What a step of this plan on one square picture keeps."""
    denoiser = next(iter(full_size(name).values())).to(torch.bfloat16)
    base = _bare(name, denoiser)
    with torch.device("meta"):
        attach(denoiser, base.lora_targets(plan.targets), plan)
    denoiser.train()
    kept, model = Kept(denoiser), _untyped(denoiser)
    model.enable_gradient_checkpointing(kept.block)
    encoding = ENCODINGS[name]
    side = px // encoding.factor
    noisy = torch.empty(1, encoding.channels, side, side, device="meta")
    framing = Framing(original=(px, px), shape=Shape(height=px, width=px))
    with torch.device("meta"), _flash(), torch.autograd.graph.saved_tensors_hooks(kept.pack, lambda x: x):
        base.predict(denoiser, noisy, torch.zeros(1).long(), _words(name), [framing])
    return Counted(total=kept.bytes, blocks=kept.blocks)


def recipe(name: str) -> Plan:
    """The plan of ten pictures of an object."""
    pictures = [PictureOf(id=str(n), dhash=n) for n in range(10)]
    return plan_for(
        base=name, subject_type=SubjectType.OBJECT, class_word="toy", trigger="zorvex", seed=1, pictures=pictures
    )


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata  # noqa: SLF001 -- meta storages have no address


def _untyped(module: nn.Module) -> Any:  # noqa: ANN401 -- diffusers ships no types
    return module


def _bare(name: str, denoiser: nn.Module) -> Base:
    """A base of the family around a denoiser alone: enough to predict."""
    kind: Any = FAMILIES[name]
    base = object.__new__(kind)
    base.device, base._dtype = torch.device("meta"), torch.bfloat16
    base._pipeline = SimpleNamespace(unet=denoiser, transformer=denoiser, vae_scale_factor=8)
    if isinstance(base, Unet):
        base._layers = _layers(denoiser)
    else:
        base.schedule = Flow(shift=Shift.constant(1.0))
    found: Base = base
    return found


def _words(name: str) -> Words:
    said = ENCODINGS[name]
    return Words(
        hidden_BLD=torch.empty(1, said.tokens, said.width),
        pooled_BP=torch.empty(1, said.pooled) if said.pooled else None,
    )


class _Flash(torch.autograd.Function):
    """Attention that keeps what a fused kernel keeps."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:  # noqa: ANN401 -- torch's own
        out = torch.empty((*query.shape[:-1], value.shape[-1]), dtype=query.dtype, device=query.device)
        ctx.save_for_backward(query, key, value, out)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401 -- torch's own
        raise NotImplementedError("only counted")


@contextmanager
def _flash() -> Iterator[None]:
    def attend(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Tensor:  # noqa: ANN401 -- masks and such
        found: Tensor = _Flash.apply(query, key, value)
        return found

    with patch.object(functional, "scaled_dot_product_attention", attend):
        yield


def main(name: str) -> None:
    """Counts, in MiB a picture."""
    px = BASES[name].native_px
    found = counted(name, recipe(name), px)
    ways: tuple[Recomputed, ...] = ("none", "half", "all")
    said = {how: round(found.bytes(how) / 2**20) for how in ways}
    parts = full_size(name)
    millions = {part: round(sum(p.numel() for p in model.parameters()) / 1e6, 1) for part, model in parts.items()}
    denoiser = next(iter(parts.values()))
    linear = sum(m.weight.numel() for m in denoiser.modules() if isinstance(m, nn.Linear))
    sys.stdout.write(json.dumps({"px": px, "mib": said, "millions": millions, "linear": round(linear / 1e6, 1)}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
