"""Training of the tiny CLIP, bounded by minutes: first its text half alone, then its image half against frozen text.

Text alone learns in a minute to keep the captions' attributes apart; a contrastive loss on both halves at once left
pairs of classes 0.98 alike after eight minutes (EXPERIMENTS.md, "Pocket base"). Locking one tower is the idea of
https://arxiv.org/abs/2111.07991, there with the image tower locked.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
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
from trainer.pocket.curriculum import Series
from trainer.pocket.pools import UNTOLD, Pool, scene_pool
from trainer.pocket.snapshots import load_snapshot, optimizer_tensors, prefixed, restore_optimizer, save_snapshot, under

TEXT_BATCH, TEXT_RATE = 192, 1e-3
IMAGE_BATCH, IMAGE_RATE = 64, 8e-4
HEAD_SCALE = 10.0  # the heads read normalised embeddings: only angles count, as in the contrastive loss


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """All training pictures, their caption tokens (N, 24) and labels (N, 3)."""

    pools: tuple[Pool, ...]
    tokens: Tensor
    labels: Tensor

    def batch(self, numbers: np.random.Generator, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures, tokens and labels of a random batch from one pool."""
        pool = int(numbers.integers(len(self.pools)))
        start = sum(len(earlier.captions) for earlier in self.pools[:pool])
        rows = np.sort(numbers.choice(len(self.pools[pool].captions), count, replace=False))
        at = torch.from_numpy(rows + start)
        return floats(self.pools[pool].pictures[rows]), self.tokens[at], self.labels[at]


def lesson(run: Path, several: Sequence[Series]) -> Lesson:
    """The series drawn (or read from the run's pools) and tokenised."""
    drawn = tuple(scene_pool(run / "pools", one) for one in several)
    captions = [text for pool in drawn for text in pool.captions]
    labels = torch.from_numpy(np.concatenate([pool.labels for pool in drawn]))
    return Lesson(pools=drawn, tokens=tokens_of(build_tokenizer(), captions), labels=labels)


def learn_text(run: Path, several: Sequence[Series], *, minutes: float, device: str = "cpu", seed: int = 0) -> None:
    """Train the text half to keep class, colour and background apart; it is frozen from then on."""
    torch.manual_seed(seed)
    learned = lesson(run, several)
    clip, heads = build_clip().to(device), Heads().to(device)
    with torch.no_grad():  # words that differ from the first step on
        clip.text_model.get_input_embeddings().weight.normal_(0, 0.2)
    parameters = [*clip.text_model.parameters(), *clip.text_projection.parameters(), *heads.parameters()]
    optimizer = AdamW(parameters, lr=TEXT_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    told = torch.nonzero(learned.labels[:, 0] != UNTOLD)[:, 0]
    began, step = time.monotonic(), 0
    while (share := (time.monotonic() - began) / (60 * minutes)) < 1:
        rows = told[torch.randint(len(told), (TEXT_BATCH,))]
        embedding_BE = normalize(text_embedding(clip, learned.tokens[rows].to(device)), dim=-1)
        loss = heads.loss(embedding_BE * HEAD_SCALE, learned.labels[rows].to(device))
        _update(optimizer, parameters, loss, TEXT_RATE * min(1.0, (step + 1) / 30) * min(1.0, 2 * (1 - share)))
        step += 1
    print(f"text half: {step} steps, loss {loss.item():.4f}", flush=True)  # noqa: T201
    _save(run, clip, heads, optimizer=None, clock=(0.0, 0))


def learn_image(
    run: Path, several: Sequence[Series], *, minutes: float, resume: bool = False, device: str = "cpu", seed: int = 0
) -> CLIPModel:
    """Train the image half against the run's frozen text half; prints zero-shot accuracies on unseen scenes."""
    torch.manual_seed(seed)
    learned = lesson(run, several)
    clip, heads = build_clip().to(device).train(), Heads().to(device)
    parameters = [*clip.vision_model.parameters(), *clip.visual_projection.parameters(), clip.logit_scale]
    parameters += list(heads.parameters())
    optimizer = AdamW(parameters, lr=IMAGE_RATE, betas=(0.9, 0.98), weight_decay=0.02)
    elapsed, step = _restored(run, clip, heads, optimizer, resume=resume)
    check = scene_pool(run / "pools", Series(seed=10_001, spread=0.7, count=600), every_combination=True)
    began, spoken = time.monotonic() - elapsed, elapsed
    numbers, noise = np.random.default_rng([seed, step]), torch.Generator().manual_seed(seed * 1_000_003 + step)
    while (now := time.monotonic() - began) < 60 * minutes:
        rate = IMAGE_RATE * min(1.0, (step + 1) / 60) * (0.02 + 0.49 * (1 + math.cos(math.pi * now / 60 / minutes)))
        pictures_BCHW, tokens_BT, labels_B3 = learned.batch(numbers, IMAGE_BATCH)
        seen_BCHW = roughened(pictures_BCHW, noise).to(device)
        loss = _image_loss(clip, heads, seen_BCHW, (tokens_BT.to(device), labels_B3.to(device)))
        _update(optimizer, parameters, loss, rate)
        step += 1
        if now - spoken > 120:
            spoken = now
            _save(run, clip, heads, optimizer=optimizer, clock=(now, step))
            print(f"{now / 60:5.1f} min  step {step}  loss {loss.item():.3f}  {_score(clip, check)}", flush=True)  # noqa: T201
    _save(run, clip, heads, optimizer=optimizer, clock=(60 * minutes, step))
    return clip.eval()


def _image_loss(clip: CLIPModel, heads: Heads, pictures_BCHW: Tensor, told: tuple[Tensor, Tensor]) -> Tensor:
    tokens_BT, labels_B3 = told
    with torch.no_grad():
        text_BE = text_embedding(clip, tokens_BT)
    with torch.autocast(pictures_BCHW.device.type, torch.bfloat16):
        image_BE = image_embedding(clip, pictures_BCHW)
    named = heads.loss(normalize(image_BE.float(), dim=-1) * HEAD_SCALE, labels_B3)
    return contrastive(image_BE, text_BE, clip.logit_scale) + named


def _update(optimizer: AdamW, parameters: list[nn.Parameter], loss: Tensor, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()


def _score(clip: CLIPModel, check: Pool) -> str:
    told = np.flatnonzero(check.labels[:, 0] != UNTOLD)
    found = zero_shot(clip, build_tokenizer(), check.pictures[told], torch.from_numpy(check.labels[told]))
    return f"zero-shot class {found.class_word:.1%} colour {found.colour:.1%} background {found.background:.1%}"


def _save(run: Path, clip: CLIPModel, heads: Heads, *, optimizer: AdamW | None, clock: tuple[float, int]) -> None:
    tensors = {**prefixed("clip", clip.state_dict()), **prefixed("heads", heads.state_dict())}
    if optimizer is not None:
        tensors |= prefixed("adam", optimizer_tensors(optimizer))
    save_snapshot(run / "clip.safetensors", tensors, {"elapsed_s": clock[0], "step": clock[1]})


def _restored(run: Path, clip: CLIPModel, heads: Heads, optimizer: AdamW, *, resume: bool) -> tuple[float, int]:
    """The run's CLIP; with `resume` also the clock of its image half and the optimizer, which an exported folder lacks."""
    tensors, numbers = load_snapshot(run / "clip.safetensors")
    clip.load_state_dict(under("clip", tensors))
    if kept := under("heads", tensors):
        heads.load_state_dict(kept)
    if not resume:
        return 0.0, 0
    if adam := under("adam", tensors):
        restore_optimizer(optimizer, adam)
    return numbers["elapsed_s"], int(numbers["step"])
