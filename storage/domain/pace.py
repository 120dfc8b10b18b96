"""How long a turn takes before anything was measured here: from what the plan asks for and what one picture costs its base.

The guess is for a modest machine. It only weighs orders against each other and fills the plan card until the first turn was
measured; from then on `storage.pieces` stretches it to what turns really took on this installation.
"""

from __future__ import annotations

from dataclasses import dataclass

from storage.domain.plan import Plan
from storage.domain.scale_panel import scale_prompts, strip_prompts

CARD_TFLOPS = 13.0
"""What a 24 GB card of 2021 really does with these models: a training step of SDXL at 1024 px is 14.2 TFLOP and takes 1.1 to 1.2 s
on an RTX 3090 (kohya-ss/sd-scripts#827, bmaltais/kohya_ss#1730), a guided sampler step of SD 1.5 is 1.6 TFLOP and takes 0.11 s
(nod-ai/SHARK#603)."""
STEP_OVER_FORWARD = 2.1
"""A LoRA step over one forward pass: no gradients of the frozen weights. Counted for every base below; 2.0 to 2.2."""
TOLD_GUIDANCE = frozenset({"flux1-dev"})
"""Bases whose guidance is told to the model, which then draws once a step."""
DECODE_TFLOP = 2.5
"""The autoencoder of Stable Diffusion for a picture of 512 px, counted like those below; FLUX's have the same layers."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Seconds of one base on a modest machine."""

    view_s: float
    """A picture that is learned from, once."""
    forward_s: float
    """A picture that is drawn, one evaluation of the network."""
    px: int
    """The side of the square at which these hold; the area counts."""
    checkpoint_s: float
    """Writing and measuring a checkpoint, besides its previews; for a sweep, the packing."""
    decode_s: float = 0.0
    """Decoding a drawn picture; the pocket's is in its forwards."""


def _on_card(forward_tflop: float, px: int) -> Pace:
    forward_s = forward_tflop / CARD_TFLOPS
    decode_s = DECODE_TFLOP * (px / 512) ** 2 / CARD_TFLOPS
    return Pace(view_s=STEP_OVER_FORWARD * forward_s, forward_s=forward_s, px=px, checkpoint_s=15.0, decode_s=decode_s)


POCKET = Pace(view_s=0.45 / 8, forward_s=0.018, px=64, checkpoint_s=1.0)
"""Measured on two hyperthreads of one core: 0.45 s a step of 8 views, 7 s a checkpoint with 12 previews of 14 guided steps."""
PACES: dict[str, Pace] = {
    "pocket": POCKET,
    "sd15": _on_card(0.80, 512),
    "sdxl": _on_card(6.76, 1024),
    "flux1-dev": _on_card(74.4, 1024),
    "flux2-klein-4b": _on_card(34.8, 1024),
    "flux2-klein-9b": _on_card(75.5, 1024),
    "z-image": _on_card(56.6, 1024),
}
"""TFLOP of a forward pass of one picture: counted with torch's FlopCounterMode on the models' configurations."""


def turn_s(plan: Plan, kind: str) -> float:
    """Seconds of a turn of this plan: of the whole sweep, or of a training from one checkpoint to the next, on average."""
    return _sweep_s(plan) if kind == "sweep" else training_s(plan) / max(1, len(plan.checkpoint_steps))


def training_s(plan: Plan, upto: int | None = None) -> float:
    """Seconds of the whole training, or of it up to the checkpoint `upto`: what is learned, drawn and measured on the way.

    The base draws the panel once, before the first checkpoint.
    """
    marks = sum(upto is None or step <= upto for step in plan.checkpoint_steps)
    panel = sum(len(prompt.seeds) for prompt in plan.prompts)
    learning = learning_s(plan, plan.steps if upto is None else upto)
    return learning + drawing_s(plan, panel * (marks + 1)) + marks * _pace(plan).checkpoint_s


def _sweep_s(plan: Plan) -> float:
    return drawing_s(plan, drawn_in_sweep(plan) + drawn_in_strip(plan)) + _pace(plan).checkpoint_s


def drawn_in_sweep(plan: Plan) -> int:
    """Pictures of a sweep: at every scale, and once without the LoRA (`trainer/gpu/scale.py`)."""
    prompts = scale_prompts(plan)
    return sum(len(prompt.seeds) for prompt in prompts) + plan.scales * len(prompts)


def drawn_in_strip(plan: Plan) -> int:
    """Pictures of the strip, in the same turn: at three strengths; without the LoRA they are the grids'."""
    return 3 * len(strip_prompts(plan))


def learning_s(plan: Plan, steps: int) -> float:
    """Seconds of so many training steps of this plan, without what is drawn and measured on the way."""
    pace = _pace(plan)
    return steps * plan.batch_size * plan.accumulation * pace.view_s * _area(plan, pace)


def drawing_s(plan: Plan, pictures: int) -> float:
    """Seconds of drawing so many pictures as this plan draws them."""
    pace = _pace(plan)
    evaluations = plan.preview_steps * (2 if plan.guidance > 1 and plan.base not in TOLD_GUIDANCE else 1)
    return pictures * (evaluations * pace.forward_s + pace.decode_s) * _area(plan, pace)


def _pace(plan: Plan) -> Pace:
    return PACES.get(plan.base, PACES["sdxl"])


def _area(plan: Plan, pace: Pace) -> float:
    return (plan.resolution / pace.px) ** 2
