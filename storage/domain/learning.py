"""The part of a plan that says how the adapter learns: its size, the optimiser, the rate and the steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from storage.domain.knobs import Knob

LORA = "Hu et al. 2021, arXiv 2106.09685"


@dataclass(frozen=True, kw_only=True)
class Learning:
    """See the knobs."""

    seed: Annotated[
        int,
        Knob(
            meaning="Seed of every random choice; step k draws from generators seeded by (seed, k)",
            change="for a second run that differs by chance alone",
            least=0,
            most=2**63 - 1,
        ),
    ]
    steps: Annotated[
        int,
        Knob(
            meaning="Optimiser steps in all",
            unit="steps",
            change="more where likeness is missing at the last checkpoint, fewer where prompts stop working",
            source="recipes.py: tables by subject type and count",
            least=1,
            most=100_000,
        ),
    ]
    checkpoint_steps: Annotated[
        tuple[int, ...],
        Knob(
            meaning="Steps after which a checkpoint is exported, drawn and measured; ascending, the last is `steps`",
            unit="steps",
            change="more of them to choose from; each costs a panel of previews",
            source="small sets overfit early: denser early",
            least=1,
            most=64,
        ),
    ]
    learning_rate: Annotated[
        float,
        Knob(
            meaning="Size of an optimiser step once warm",
            change="half of it where pictures burn or break, double where nothing is learned",
            source="recipes.py; 1e-4 in most open trainers",
            least=1e-8,
            most=10.0,
        ),
    ]
    warmup_steps: Annotated[
        int,
        Knob(
            meaning="Steps in which the rate rises in a line to its full size",
            unit="steps",
            change="longer for high rates",
            source="20-50 for 500-1000 steps in open trainers",
            least=0,
            most=100_000,
        ),
    ]
    schedule: Annotated[
        Literal["constant", "cosine"],
        Knob(
            meaning="What the rate does after the warm-up: it stays, or falls along half a cosine to zero",
            change="constant where checkpoints are to be compared at one rate",
            source="Loshchilov and Hutter 2017, arXiv 1608.03983, equation 5",
        ),
    ]
    batch_size: Annotated[
        int,
        Knob(
            meaning="Pictures a forward pass; the fit may split it, the gradient is the same",
            unit="pictures",
            change="more for styles and large sets; the rate then grows with the square root",
            source="spacepxl's controlled runs (square root rule)",
            least=1,
            most=256,
        ),
    ]
    rank: Annotated[
        int,
        Knob(
            meaning="Rank of the adapter: width of what it can learn, and size of its file",
            change="32 for people and characters, 8 to 16 for objects and styles",
            source=f"{LORA}, sections 4.1 and 7.2",
            least=1,
            most=128,
        ),
    ]
    targets: Annotated[
        Literal["attention", "attention+ff", "attention+ff+conv"],
        Knob(
            meaning="Which layers of the denoiser carry the adapter",
            change="attention alone for a smaller file",
            source="spacepxl: feed-forward closes the gap to full training, convolutions add nothing on SD 1.5",
        ),
    ]
    weight_decay: Annotated[
        float,
        Knob(
            meaning="Share by which weights shrink at every step, times the rate",
            change="more against overfitting; seldom felt in short runs",
            source="Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2",
            least=0.0,
            most=100.0,
        ),
    ]
    max_grad_norm: Annotated[
        float,
        Knob(
            meaning="Gradients longer than this are shortened to it",
            change="lower where the loss jumps",
            source="Pascanu et al. 2013, arXiv 1211.5063, algorithm 1; 1 in most open trainers",
            least=1e-9,
            most=1e9,
        ),
    ]
