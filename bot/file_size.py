"""How large an order's LoRA will be: with that the plan card says, before Start, how it will reach its owner."""

from __future__ import annotations

from storage.domain.plan import Plan

NUMBERS_A_RANK: dict[tuple[str, str], int] = {
    ("sdxl", "attention"): 1_451_520,
    ("sdxl", "attention+ff"): 2_659_840,
    ("sdxl", "attention+ff+conv"): 3_009_920,
    ("pocket", "attention"): 13_888,
    ("pocket", "attention+ff"): 28_288,
    ("pocket", "attention+ff+conv"): 57_408,
}
"""Numbers that one rank adds: inputs plus outputs (times the kernel's area for convolutions) over all adapted layers of the
denoiser, counted on its published configuration. A base that is not listed counts as SDXL, the largest one."""
BYTES_A_NUMBER = 2
"""Files are written in fp16."""
HEADER_BYTES = 160 * 1024
"""Names, shapes and metadata of a thousand or so tensors."""


def file_bytes(plan: Plan) -> int:
    """The expected size of the LoRA file of a plan."""
    numbers = NUMBERS_A_RANK.get((plan.base, plan.targets), NUMBERS_A_RANK["sdxl", plan.targets])
    return numbers * plan.rank * BYTES_A_NUMBER + HEADER_BYTES
