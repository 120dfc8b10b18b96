"""The part of a plan that says what a step is asked: which noise, at which timesteps, weighted how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

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
