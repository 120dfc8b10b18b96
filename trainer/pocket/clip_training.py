"""Training of the tiny CLIP, bounded by minutes; its text half can be frozen while the image half goes on."""

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.optim import AdamW
from transformers import CLIPModel

from trainer.pocket.architecture import build_clip, build_tokenizer
from trainer.pocket.clip import (
    Heads,
    contrastive,
    floats,
    image_embedding,
    roughened,
    text_embedding,
    tokens_of,
    zero_shot,
)
from trainer.pocket.pools import Pool, scene_pool
from trainer.pocket.snapshots import load_snapshot, optimizer_tensors, prefixed, restore_optimizer, save_snapshot, under

BATCH = 192
RATE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """All training pictures in one array, their caption tokens (N, 24) and labels (N, 3)."""

    pools: tuple[Pool, ...]
    tokens: Tensor
    labels: Tensor

    def batch(self, numbers: np.random.Generator, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures, tokens and labels of a random batch."""
        pool = int(numbers.integers(len(self.pools)))
        start = sum(len(earlier.captions) for earlier in self.pools[:pool])
        rows = np.sort(numbers.choice(len(self.pools[pool].captions), count, replace=False))
        at = torch.from_numpy(rows + start)
        return floats(self.pools[pool].pictures[rows]), self.tokens[at], self.labels[at]


def lesson(folder: Path, pools: tuple[tuple[int, float, int], ...]) -> Lesson:
    """The pools given as (seed, spread, count), tokenised."""
    drawn = tuple(scene_pool(folder, seed=seed, spread=spread, count=count) for seed, spread, count in pools)
    captions = [text for pool in drawn for text in pool.captions]
    labels = torch.from_numpy(np.concatenate([pool.labels for pool in drawn]))
    return Lesson(pools=drawn, tokens=tokens_of(build_tokenizer(), captions), labels=labels)


def train_clip(
    run: Path, learned: Lesson, *, minutes: float, resume: bool = False, text_frozen: bool = False, seed: int = 0
) -> CLIPModel:
    """Train for that many minutes (a resumed run goes on with its own clock) and return the CLIP.

    Prints zero-shot accuracies on unseen scenes every two minutes; snapshots go to `run/clip.safetensors`.
    """
    torch.manual_seed(seed)
    clip, heads = build_clip().train(), Heads()
    clip.text_model.requires_grad_(not text_frozen)
    clip.text_projection.requires_grad_(not text_frozen)
    parameters = [p for p in (*clip.parameters(), *heads.parameters()) if p.requires_grad]
    optimizer = AdamW(parameters, lr=RATE, betas=(0.9, 0.98), weight_decay=0.02)
    elapsed, step = _resumed(run, clip, heads, optimizer, text_frozen=text_frozen) if resume else (0.0, 0)
    check = scene_pool(run / "pools", seed=10_001, spread=0.7, count=600, every_combination=True)
    began, spoken = time.monotonic() - elapsed, elapsed
    numbers, noise = np.random.default_rng([seed, step]), torch.Generator().manual_seed(seed * 1_000_003 + step)
    while (now := time.monotonic() - began) < 60 * minutes:
        share = now / (60 * minutes)
        rate = RATE * min(1.0, (step + 1) / 60) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = _step(clip, heads, learned.batch(numbers, BATCH), noise)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step += 1
        if now - spoken > 60:
            spoken = now
            _save(run, clip, heads, optimizer, now, step)
            print(f"{now:5.0f} s  step {step}  loss {loss.item():.3f}  {_score(clip, check)}", flush=True)  # noqa: T201
    _save(run, clip, heads, optimizer, 60 * minutes, step)
    print(f"CLIP done at step {step}: {_score(clip, check)}", flush=True)  # noqa: T201
    return clip.eval()


def _step(clip: CLIPModel, heads: Heads, batch: tuple[Tensor, Tensor, Tensor], noise: torch.Generator) -> Tensor:
    pictures_BCHW, tokens_BT, labels_B3 = batch
    same_BB = (tokens_BT[:, None] == tokens_BT[None]).all(dim=-1).float()
    with torch.autocast("cpu", torch.bfloat16):
        image_BE = image_embedding(clip, roughened(pictures_BCHW, noise))
        text_BE = text_embedding(clip, tokens_BT)
    # The same heads read both halves: the text learns its classes at once and shows the pictures where to go.
    named = heads.loss(image_BE.float(), labels_B3) + heads.loss(text_BE.float(), labels_B3)
    return contrastive(image_BE, text_BE, clip.logit_scale, same_BB) + named


def _score(clip: CLIPModel, check: Pool) -> str:
    told = np.flatnonzero(check.labels[:, 0] >= 0)
    clip.eval()
    found = zero_shot(clip, build_tokenizer(), check.pictures[told], torch.from_numpy(check.labels[told]))
    clip.train()
    return f"zero-shot class {found.class_word:.1%} colour {found.colour:.1%} background {found.background:.1%}"


def _save(run: Path, clip: CLIPModel, heads: Heads, optimizer: AdamW, elapsed: float, step: int) -> None:
    tensors = {
        **prefixed("clip", clip.state_dict()),
        **prefixed("heads", heads.state_dict()),
        **prefixed("adam", optimizer_tensors(optimizer)),
    }
    save_snapshot(run / "clip.safetensors", tensors, {"elapsed_s": elapsed, "step": step})


def _resumed(run: Path, clip: CLIPModel, heads: Heads, optimizer: AdamW, *, text_frozen: bool) -> tuple[float, int]:
    tensors, numbers = load_snapshot(run / "clip.safetensors")
    clip.load_state_dict(under("clip", tensors))
    heads.load_state_dict(under("heads", tensors))
    if text_frozen:  # another set of parameters learns: a fresh optimizer and clock
        return 0.0, 0
    restore_optimizer(optimizer, under("adam", tensors))
    return numbers["elapsed_s"], int(numbers["step"])
