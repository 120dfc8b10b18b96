"""How each base model is trained and drawn: its rows of the recipes, each number with its source. The pocket's own row was
measured (`recipes.POCKET`); these are what others found, until they are measured here or taught by votes (EXPERIMENTS.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from storage.domain.orders import SubjectType

PERSON, STYLE, OBJECT, CHARACTER = SubjectType.PERSON, SubjectType.STYLE, SubjectType.OBJECT, SubjectType.CHARACTER


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What one recipe says for one subject type."""

    learning_rate: float
    steps_a_picture: float
    rank: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """One subject type on one base."""

    rates: Rates
    least: int
    """Steps."""
    most: int


@dataclass(frozen=True, kw_only=True)
class Habit:
    """What a base's plans have in common."""

    resolution: int
    preview_steps: int
    guidance: float
    min_snr_gamma: float | None
    timestep_density: Literal["uniform", "logit-normal"]
    rows: dict[SubjectType, Row] | None
    """None is the study's table by subject and count, `recipes.HOUSE`."""


HOUSE: dict[SubjectType, Rates] = {
    # By subject as in the hyperparameter study, steps in the middle of its ranges, ranks at their top: person 50-80 steps a
    # picture at 5e-5, rank 16-32; style 30-50 at 1e-4, 8-16; object 40-60 at 5e-5, 16; character 60-100 at 5e-5, 32.
    PERSON: Rates(learning_rate=5e-5, steps_a_picture=65, rank=32),
    STYLE: Rates(learning_rate=1e-4, steps_a_picture=40, rank=16),
    OBJECT: Rates(learning_rate=5e-5, steps_a_picture=50, rank=16),
    CHARACTER: Rates(learning_rate=5e-5, steps_a_picture=80, rank=32),
}

VIEWS: dict[SubjectType, int] = {
    # Views a picture: 50-90 for a fair likeness, 90-120 for a high one (runcomfy.com's ai-toolkit guides); a style is in every
    # picture and takes 30 (happyin.space, 56 trainings). Between them, objects and characters.
    PERSON: 90,
    CHARACTER: 80,
    OBJECT: 70,
    STYLE: 40,
}
RANKS: dict[SubjectType, int] = {PERSON: 32, CHARACTER: 32, OBJECT: 16, STYLE: 16}
"""ai-toolkit: 16 in its FLUX.1 example, 32 in its interface; Civitai and unsloth 16. Likeness gets the larger one."""


def _rows(learning_rate: float, least: int, most: int) -> dict[SubjectType, Row]:
    return {
        kind: Row(
            rates=Rates(learning_rate=learning_rate, steps_a_picture=VIEWS[kind], rank=RANKS[kind]),
            least=least,
            most=most,
        )
        for kind in SubjectType
    }


KLEIN_4B: dict[SubjectType, Row] = {
    # github.com/stephen37/workshops, "Recommended starting points (Klein Base 4B)": style rank 16, 3e-4, 500-800 steps; character
    # and face rank 32, 2e-4, 800-1200. Objects: as a face, with a style's rank and its shorter training (by analogy).
    PERSON: Row(rates=Rates(learning_rate=2e-4, steps_a_picture=VIEWS[PERSON], rank=32), least=800, most=1200),
    CHARACTER: Row(rates=Rates(learning_rate=2e-4, steps_a_picture=VIEWS[CHARACTER], rank=32), least=800, most=1200),
    OBJECT: Row(rates=Rates(learning_rate=2e-4, steps_a_picture=VIEWS[OBJECT], rank=16), least=500, most=1200),
    STYLE: Row(rates=Rates(learning_rate=3e-4, steps_a_picture=VIEWS[STYLE], rank=16), least=500, most=800),
}
KLEIN_9B: dict[SubjectType, Row] = {
    # Style: happyin.space, 56 trainings on 16 sets: rank 32, 1e-4, max(500, 30 a picture). Likeness: runcomfy.com: 1e-4, ranks of
    # 16-32, 2000-4000 steps at 90-120 views a picture, of which the checkpoints show the way from a fourth on.
    PERSON: Row(rates=Rates(learning_rate=1e-4, steps_a_picture=VIEWS[PERSON], rank=32), least=800, most=2000),
    CHARACTER: Row(rates=Rates(learning_rate=1e-4, steps_a_picture=VIEWS[CHARACTER], rank=32), least=800, most=2000),
    OBJECT: Row(rates=Rates(learning_rate=1e-4, steps_a_picture=VIEWS[OBJECT], rank=32), least=500, most=2000),
    STYLE: Row(rates=Rates(learning_rate=1e-4, steps_a_picture=30, rank=32), least=500, most=1500),
}

HABITS: dict[str, Habit] = {
    "sd15": Habit(
        resolution=512,
        preview_steps=25,
        guidance=7.5,  # diffusers' StableDiffusionPipeline, at half of its 50 steps
        min_snr_gamma=5.0,  # Hang et al. 2023, section 3.4
        timestep_density="uniform",  # Ho et al. 2020, algorithm 1
        rows=None,
    ),
    "sdxl": Habit(
        resolution=1024,
        preview_steps=25,
        guidance=6.0,  # by choice and not measured: near the 5.0 of diffusers' pipeline, at half of its 50 steps
        min_snr_gamma=5.0,
        timestep_density="uniform",
        rows=None,
    ),
    "flux1-dev": Habit(
        resolution=1024,  # replicate and ai-toolkit train up to it, unsloth and fluxgym at 512 for speed
        preview_steps=28,
        guidance=3.5,  # both diffusers' FluxPipeline; it is told to the model, nothing is drawn twice
        min_snr_gamma=None,
        timestep_density="logit-normal",  # Esser et al. 2024, section 3.1; ai-toolkit's "sigmoid"
        rows=_rows(
            1e-4, 500, 2000
        ),  # ai-toolkit's train_lora_flux_24gb.yaml: 1e-4, 2000 steps, "500-4000"; unsloth 1e-4, 500
    ),
    "flux2-klein-4b": Habit(
        resolution=1024,
        preview_steps=28,  # its pipeline draws 50; cards of its conversions 28 to 50
        guidance=4.0,  # diffusers' Flux2KleinPipeline
        min_snr_gamma=None,
        timestep_density="logit-normal",  # as FLUX.1
        rows=KLEIN_4B,
    ),
    "flux2-klein-9b": Habit(
        resolution=1024,
        preview_steps=28,
        guidance=4.0,
        min_snr_gamma=None,
        timestep_density="logit-normal",
        rows=KLEIN_9B,
    ),
    "z-image": Habit(
        resolution=1024,
        preview_steps=28,  # its card: 28 to 50 steps at a guidance of 3 to 5
        guidance=4.0,
        min_snr_gamma=None,
        timestep_density="logit-normal",
        rows=_rows(
            1e-4, 500, 2000
        ),  # 1e-4 in ai-toolkit, unsloth, musubi-tuner and diffusers; one benchmark (modl.run) found
        # AdamW slow on Z-Image and Prodigy needed: kept as the rival "z-image-prodigy"
    ),
}
"""All bases but the pocket. The families' own shift of timesteps is in their schedules, so plans add none."""


def habit_of(base: str) -> Habit:
    """The habit of a base; one that has none is treated as SDXL."""
    return HABITS.get(base, HABITS["sdxl"])
