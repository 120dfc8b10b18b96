"""How much disk an order takes, said before it begins: in the artifacts, and in its job folder while it is trained. Pure."""

from __future__ import annotations

from storage.domain.adapters import layers, learning_numbers
from storage.domain.caches import latent_bytes, picture_bytes, text_bytes
from storage.domain.footprint import OPTIMISER_BYTES
from storage.domain.plan import Plan

FILE_BYTES = {"fp16": 2, "bf16": 2, "fp32": 4}
LAYER_BYTES = 430
"""Of a file's header for each layer: names, types, shapes and places of its two matrices and its alpha, at most."""
PREVIEW_BYTES_PX = 2.0
"""Of a PNG of a drawn picture, a pixel; photographs are 1.5 to 2."""
GRID_BYTES = 10_000_000
"""A sheet is never larger: it has to be posted."""
STATES = 3
"""Resume states in the job folder: the newest, the one before, and the one that is being written."""


def file_bytes(plan: Plan) -> int:
    """One LoRA file; `kept_energy` below 1 makes a smaller one of it, how much is seen once it is trained."""
    found = layers(plan)
    return found.numbers * plan.rank * FILE_BYTES[plan.file_dtype] + found.count * LAYER_BYTES


def state_bytes(plan: Plan) -> int:
    """One resume state: the adapter in fp32, what its optimiser keeps, and the running mean."""
    return learning_numbers(plan) * (4 + OPTIMISER_BYTES[plan.optimizer] + (4 if plan.ema_decay else 0))


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
    cached = latent_bytes(plan, pictures) + text_bytes(plan, pictures, 4) + picture_bytes(plan, pictures)
    return len(plan.checkpoint_steps) * checkpoint_bytes(plan) + STATES * state_bytes(plan) + cached
