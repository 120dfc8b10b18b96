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
            source="made from the order's id (orders.py); numbers by step so that a resumed run draws the same",
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
            source="Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2; times the rate as in PyTorch"
            ", whose default is 0.01",
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
    optimizer: Annotated[
        Literal["adamw", "adamw8bit", "prodigy"],
        Knob(
            meaning="adamw; adamw8bit keeps its moments in 8 bits (of matrices from 4096 numbers); prodigy finds the rate itself",
            change="adamw8bit where memory is short; prodigy with learning_rate 1 where no rate is known",
            source="arXiv 1711.05101; Dettmers et al. 2021, arXiv 2110.02861; Mishchenko and Defazio 2023, arXiv 2306.06101",
        ),
    ] = "adamw"
    adam_beta1: Annotated[
        float,
        Knob(
            meaning="Weight of the past in the running mean of gradients",
            source="Kingma and Ba 2015, arXiv 1412.6980, algorithm 1",
            least=0.0,
            most=0.9999,
            change="0.95 for calmer and 0.8 for quicker steps; seldom worth it",
        ),
    ] = 0.9
    adam_beta2: Annotated[
        float,
        Knob(
            meaning="Weight of the past in the running mean of squared gradients",
            change="0.99 for runs of few hundred steps",
            source="Kingma and Ba 2015, arXiv 1412.6980, algorithm 1",
            least=0.0,
            most=0.999999,
        ),
    ] = 0.999
    adam_epsilon: Annotated[
        float,
        Knob(
            meaning="Added to the root of the squared gradients before dividing by it",
            source="Kingma and Ba 2015, arXiv 1412.6980, algorithm 1",
            least=1e-16,
            most=1.0,
            change="1e-6 or more where steps are large on tiny gradients; seldom worth it",
        ),
    ] = 1e-8
    prodigy_d_coef: Annotated[
        float,
        Knob(
            meaning="Factor on the rate that prodigy finds",
            change="0.5 or 2 where that rate is too high or too low",
            source="prodigyopt 1.1.2, README",
            least=0.01,
            most=100.0,
        ),
    ] = 1.0
    cosine_cycles: Annotated[
        int,
        Knob(
            meaning="How often the cosine starts again at the full rate: 1 falls once, 3 is a cosine with two restarts",
            change="with checkpoints at the ends of the cycles",
            source="Loshchilov and Hutter 2017, arXiv 1608.03983, equation 5",
            least=1,
            most=64,
        ),
    ] = 1
    accumulation: Annotated[
        int,
        Knob(
            meaning="Batches whose gradients are averaged into one optimiser step",
            unit="batches",
            change="for the calm of a large batch in the memory of a small one; a step takes as many times longer",
            least=1,
            most=256,
            source="gradient_accumulation_steps of diffusers' scripts, 1 there",
        ),
    ] = 1
    ema_decay: Annotated[
        float,
        Knob(
            meaning="Weight of the past in a running mean of the adapter, which is then what is exported; 0 is off",
            change="0.99 to calm a constant rate; the ramp (1 + n) / (10 + n) keeps it short at the start",
            source="Polyak and Juditsky 1992; ramp: TensorFlow's ExponentialMovingAverage; 0.99 in ai-toolkit",
            least=0.0,
            most=0.99999,
        ),
    ] = 0.0
    alpha: Annotated[
        float | None,
        Knob(
            meaning="The adapter's product counts alpha over rank times while training; none is the rank. Files hold alpha = rank",
            change="1 makes one rate fit every rank; smaller needs a higher rate",
            source=f"{LORA}, section 4.1",
            least=0.01,
            most=1024.0,
        ),
    ] = None
    lora_dropout: Annotated[
        float,
        Knob(
            meaning="Share of the adapter's inputs that a step leaves out",
            change="0.05 to 0.1 against overfitting of small sets",
            source="Srivastava et al. 2014, JMLR 15, section 4; on the input of A as in github.com/microsoft/LoRA",
            least=0.0,
            most=0.9,
        ),
    ] = 0.0
    text_encoder_rate: Annotated[
        float,
        Knob(
            meaning="Size of an optimiser step of the text encoders' own adapters, under the same schedule; 0 leaves them alone",
            change="a tenth to a half of learning_rate where the base has no word for the thing; prompts suffer from it first",
            source="--text_encoder_lr of diffusers' train_dreambooth_lora_sdxl.py: 5e-6",
            least=0.0,
            most=10.0,
            only="diffusion",
        ),
    ] = 0.0
    file_dtype: Annotated[
        Literal["fp16", "bf16", "fp32"],
        Knob(
            meaning="Type of the numbers in the file; the training keeps fp32 whatever it is",
            change="fp32, twice as long, to extract, resize or merge the file later; bf16 where fp16 says it does not fit",
            source="fp16 is what most shared LoRAs are; kohya sd-scripts' save_precision, ai-toolkit's save dtype",
        ),
    ] = "fp16"
    kept_energy: Annotated[
        float,
        Knob(
            meaning="Share of the adapter's energy (squared singular values) that a file keeps: its rank is the smallest that "
            "does; 1 keeps the rank of the training",
            change="0.95 to 0.99 to learn at a high rank and hand over a small file; what is lost stands in the file's header",
            source="Eckart and Young 1936, Psychometrika 1, 211-218; sv_fro of kohya-ss/sd-scripts, networks/resize_lora.py",
            least=0.01,
            most=1.0,
        ),
    ] = 1.0

    continue_from: Annotated[
        str,
        Knob(
            meaning="SHA-256 of the LoRA file that the training goes on from; empty starts with an adapter that does nothing",
            change="`lorasmith train --continue FILE` sets it: to learn more of the same, or new pictures of it",
            source="network_weights of kohya-ss/sd-scripts, docs/train_network_README-ja.md",
            least=0,
            most=64,
        ),
    ] = ""

    @property
    def views_a_step(self) -> int:
        """Pictures that one optimiser step learns from."""
        return self.batch_size * self.accumulation
