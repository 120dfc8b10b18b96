"""How much disk an order takes, said before it begins: in the artifacts, and in its job folder while it is trained. Pure."""

from __future__ import annotations

from storage.domain.footprint import FOOTPRINTS, OPTIMISER_BYTES
from storage.domain.plan import Plan

POCKET_NUMBERS = 57_408
"""What one rank of a LoRA adds on the pocket with every layer adapted, counted on its configuration."""
FILE_BYTES = {"fp16": 2, "bf16": 2, "fp32": 4}
HEADER_BYTES = 160 * 1024
"""Names, shapes and metadata of a thousand or so tensors."""
PREVIEW_BYTES_PX = 2.0
"""Of a PNG of a drawn picture, a pixel; photographs are 1.5 to 2."""
GRID_BYTES = 10_000_000
"""A sheet is never larger: it has to be posted."""
ENCODED_BYTES = 2 * 2 * 16 * 128 * 128 * 4 + 8_000_000
"""A picture of 1024 px, plain and mirrored, with its spread, in fp32; and its texts."""
STATES = 3
"""Resume states in the job folder: the newest, the one before, and the one that is being written."""


def numbers(plan: Plan) -> int:
    """Numbers that the adapter of a plan has, at most."""
    size = FOOTPRINTS.get(plan.base)
    each = POCKET_NUMBERS if size is None else size.numbers.get(plan.targets, max(size.numbers.values()))
    return each * plan.rank


def file_bytes(plan: Plan) -> int:
    """One LoRA file."""
    return numbers(plan) * FILE_BYTES[plan.file_dtype] + HEADER_BYTES


def state_bytes(plan: Plan) -> int:
    """One resume state: the adapter in fp32, what its optimiser keeps, and the running mean."""
    return numbers(plan) * (4 + OPTIMISER_BYTES[plan.optimizer] + (4 if plan.ema_decay else 0))


def checkpoint_bytes(plan: Plan) -> int:
    """File, grid and single previews; those of the base lie beside them in the job folder."""
    cells = sum(len(prompt.seeds) for prompt in plan.prompts)
    return file_bytes(plan) + GRID_BYTES + int(2 * cells * PREVIEW_BYTES_PX * plan.resolution**2)


def kept_bytes(plan: Plan, pictures: int) -> int:
    """In the artifacts, at most: all checkpoints until the vote is over, two states, the delivery, the pictures."""
    delivery = 2 * file_bytes(plan) + 2 * GRID_BYTES
    return len(plan.checkpoint_steps) * checkpoint_bytes(plan) + 2 * state_bytes(plan) + delivery + pictures * 4_000_000


def working_bytes(plan: Plan, pictures: int) -> int:
    """In the job folder, at most."""
    cached = (pictures * (1 + len(plan.resolutions)) + plan.prior_pictures) * ENCODED_BYTES
    return len(plan.checkpoint_steps) * checkpoint_bytes(plan) + STATES * state_bytes(plan) + cached
