"""An independent classifier of drawn pictures: what did the generator draw, and which test subject is it?

It shares no weight with the judge and learns from the generator alone, so the judge is never its own proof.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import AdamW

from trainer.pocket.clip import floats, roughened
from trainer.pocket.pools import UNTOLD, Pictures
from trainer.pocket.subjects import TestSubject
from trainer.pocket.vae import PatchBasis
from trainer.pocket.vocabulary import BACKGROUNDS, CLASSES, COLOURS

# Legend: B pictures, C channels, H height, W width, Q questions.
QUESTIONS = (len(CLASSES), len(COLOURS), len(BACKGROUNDS))
BATCH = 64
RATE = 2e-3


class Oracle(nn.Module):
    """Five strided convolutions and one linear head a question; 0.5 M parameters."""

    def __init__(self, answers: Sequence[int]) -> None:
        super().__init__()
        widths = (3, 32, 64, 128, 160)
        layers: list[nn.Module] = []
        for place, (before, after) in enumerate(pairwise(widths)):
            size = 5 if place == 0 else 3
            layers += [nn.Conv2d(before, after, size, stride=2, padding=size // 2), nn.BatchNorm2d(after), nn.ReLU()]
        layers += [nn.Conv2d(160, 160, 3, padding=1), nn.BatchNorm2d(160), nn.ReLU(), nn.AdaptiveAvgPool2d(2)]
        self.trunk = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.1))
        self.heads = nn.ModuleList(nn.Linear(4 * 160, count) for count in answers)

    def forward(self, pictures_BCHW: Tensor) -> list[Tensor]:
        """Logits per question for pictures in -1..1."""
        inside = self.trunk(pictures_BCHW)
        return [head(inside) for head in self.heads]

    @torch.no_grad()
    def answers(self, pictures: Pictures) -> NDArray[np.int64]:
        """The most likely answers (B, Q) for pictures of bytes (B, 64, 64, 3)."""
        self.eval()
        parts = [self(floats(pictures[at : at + 250])) for at in range(0, len(pictures), 250)]
        found = [torch.stack([logits.argmax(dim=1) for logits in part], dim=1) for part in parts]
        return torch.cat(found).numpy()


@dataclass(frozen=True, kw_only=True)
class Material:
    """Labelled pictures: bytes (N, 64, 64, 3) and answers (N, Q), `UNTOLD` where there is none."""

    pictures: Pictures
    answers: NDArray[np.int64]


def seen_through(pictures_BCHW: Tensor, basis: PatchBasis | None, draw: torch.Generator) -> Tensor:
    """Half of the pictures through the latents with a little noise on them, then blur and noise.

    The way back is the basis' linear inverse and not the shipped decoder: a matrix product a batch instead of a forward pass,
    and a classifier that does not learn one decoder by heart. That it reads what the shipped decoder draws is measured on
    generated samples (`gates.sample_rows`).
    """
    if basis is not None:
        latents = basis.encode(pictures_BCHW)
        back = basis.decode(latents + 0.1 * torch.randn(latents.shape, generator=draw))
        dice = torch.rand(len(pictures_BCHW), 1, 1, 1, generator=draw)
        pictures_BCHW = torch.where(dice < 0.5, back, pictures_BCHW)
    return roughened(pictures_BCHW, draw)


def train_oracle(
    material: Material, answers: Sequence[int], *, steps: int, basis: PatchBasis | None = None, seed: int = 0
) -> Oracle:
    """Train an oracle with a one-cycle rate; 1000 steps of 64 take about three minutes on one core."""
    torch.manual_seed(seed)
    oracle = Oracle(answers).train()
    optimizer = AdamW(oracle.parameters(), lr=RATE, weight_decay=0.01)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=RATE, total_steps=steps, pct_start=0.15)
    draw, numbers = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    labels = torch.from_numpy(material.answers)
    for _ in range(steps):
        rows = np.sort(numbers.integers(0, len(labels), BATCH))
        pictures_BCHW = seen_through(floats(material.pictures[rows]), basis, draw)
        logits = oracle(pictures_BCHW)
        told = labels[torch.from_numpy(rows)]
        loss = sum(
            (cross_entropy(found, told[:, place], ignore_index=UNTOLD, label_smoothing=0.02))
            for place, found in enumerate(logits)
        )
        optimizer.zero_grad()
        torch.as_tensor(loss).backward()
        optimizer.step()
        cycle.step()
    return oracle.eval()


def save_oracle(oracle: Oracle, folder: Path) -> Path:
    """Weights in fp16 and the number of answers per question, one safetensors file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.safetensors"
    half = {name: value.half() if value.is_floating_point() else value for name, value in oracle.state_dict().items()}
    counts = [head.out_features for head in oracle.heads if isinstance(head, nn.Linear)]
    save_file(half, path, metadata={"answers": json.dumps(counts)})
    return path


def load_oracle(folder: Path) -> Oracle:
    """The oracle of a folder, float32, ready to answer."""
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        oracle = Oracle(json.loads(file.metadata()["answers"]))
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- not a mapping
    oracle.load_state_dict(
        {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    )
    return oracle.eval()


@dataclass(frozen=True, kw_only=True)
class SubjectOracle:
    """Tells which of N subjects of one class a picture shows."""

    subjects: tuple[TestSubject, ...]
    oracle: Oracle

    def name(self, pictures: Sequence[Image.Image]) -> list[TestSubject]:
        """The most likely subject of each picture (any size; read at 64 px)."""
        small = [picture.convert("RGB").resize((64, 64), Image.Resampling.BOX) for picture in pictures]
        found = self.oracle.answers(np.stack([np.asarray(picture) for picture in small]))
        return [self.subjects[place] for place in found[:, 0]]


def train_subject_oracle(
    subjects: Sequence[TestSubject], *, pictures_each: int = 96, steps: int = 500, basis: PatchBasis | None = None
) -> SubjectOracle:
    """An N-way identifier for those subjects, trained on fresh renderings; about a minute for 20 subjects."""
    drawn = [subject.pictures(pictures_each, first_seed=500_000) for subject in subjects]
    pictures = np.stack([np.asarray(picture) for row in drawn for picture in row])
    answers = np.repeat(np.arange(len(subjects)), pictures_each)[:, None]
    material = Material(pictures=pictures, answers=answers.astype(np.int64))
    return SubjectOracle(
        subjects=tuple(subjects), oracle=train_oracle(material, [len(subjects)], steps=steps, basis=basis)
    )
