"""The part of a plan that says what a step is asked: which noise, at which timesteps, weighted how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from storage.domain.knobs import Knob


@dataclass(frozen=True, kw_only=True)
class Objective:
    """See the knobs."""

    min_snr_gamma: Annotated[
        float | None,
        Knob(
            meaning="Cap on the signal-to-noise ratio in the loss weight; none is the plain loss",
            change="5 is the usual value",
            source="Hang et al. 2023, arXiv 2303.09556, section 3.4",
            least=1e-3,
            most=1e3,
            only="diffusion",
        ),
    ]
    noise_offset: Annotated[
        float,
        Knob(
            meaning="Standard deviation of a constant added to each channel's noise; 0 is off",
            change="0.03 to 0.1 for pictures that are very dark or very bright",
            source="Guttenberg 2023, crosslabs.org/blog/diffusion-with-offset-noise",
            least=0.0,
            most=1.0,
            only="diffusion",
        ),
    ]
    pyramid_noise: Annotated[
        float,
        Knob(
            meaning="Weight of each coarser layer of noise against the finer one before it; 0 is off",
            change="0.3 to 0.5 for pictures that are very dark or very bright; instead of noise_offset",
            source="Whitaker 2023, wandb.ai/johnowhitaker/multires_noise",
            least=0.0,
            most=1.0,
            only="diffusion",
        ),
    ] = 0.0
    timestep_density: Annotated[
        Literal["uniform", "logit-normal"],
        Knob(
            meaning="How timesteps are drawn: all alike, or most from the middle",
            change="logit-normal for flow models",
            source="Esser et al. 2024, arXiv 2403.03206, section 3.1",
        ),
    ] = "uniform"
    timestep_mean: Annotated[
        float,
        Knob(
            meaning="Middle of the logit-normal density, as a logit: above 0 more noise, below less",
            change="up for styles and layout, down for detail and likeness",
            source="Esser et al. 2024, arXiv 2403.03206, section 3.1",
            least=-5.0,
            most=5.0,
        ),
    ] = 0.0
    timestep_std: Annotated[
        float,
        Knob(
            meaning="Width of the logit-normal density, as a logit",
            source="Esser et al. 2024, arXiv 2403.03206, section 3.1",
            least=0.05,
            most=10.0,
            change="smaller to learn from a narrow band of timesteps, larger to come near to uniform",
        ),
    ] = 1.0
    timestep_shift: Annotated[
        float,
        Knob(
            meaning="Factor on u / (1 - u) of a drawn timestep u: above 1 more noise; on top of the base's own shift",
            change="up to 3 where layout is to be learned at 1024 px",
            source="Esser et al. 2024, arXiv 2403.03206, section 5.3.2, equation 23",
            least=0.01,
            most=100.0,
        ),
    ] = 1.0
    timestep_shift_px: Annotated[
        int | None,
        Knob(
            meaning="Side at which timestep_shift holds; larger pictures get more by the ratio of the sides. None: all the same",
            unit="px",
            change="with several resolutions in one training",
            source="Esser et al. 2024, arXiv 2403.03206, section 5.3.2: the square root of m over n pixels",
            least=16,
            most=4096,
        ),
    ] = None
