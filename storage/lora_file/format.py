"""The safetensors format as this program reads and writes it: dtypes, layout and limits.

The format: eight bytes (little-endian length n), n bytes of JSON, then the bytes of every tensor without a gap
(https://github.com/huggingface/safetensors#format). Storage does without that library, so that the bot's image stays
small and so that every limit below is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Bits of one number. Sub-byte dtypes are part of the format; no LoRA uses them, but a file with one is not broken.
BITS: Mapping[str, int] = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "I64": 64,
    "U64": 64,
    "F64": 64,
    "C64": 64,
}

METADATA_KEY = "__metadata__"
# An SDXL LoRA with every module needs 0.4 MB; the rest is room for tag lists and a thumbnail.
MAX_HEADER_BYTES = 8 << 20
MAX_BRACKETS = 400_000  # "{" and "[" in the header: three a tensor; bounds what parsing can allocate
MAX_QUOTES = 1_000_000  # ten a tensor, and those of tag lists
MAX_TENSORS = 50_000
MAX_NAME_CHARS = 1_024
MAX_DIMENSIONS = 8


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Where one tensor lies."""

    dtype: str  # a key of BITS
    shape: tuple[int, ...]
    start: int  # bytes from the first byte after the header
    end: int

    @property
    def count(self) -> int:
        """How many numbers the tensor holds (1 for a scalar)."""
        count = 1
        for size in self.shape:
            count *= size
        return count


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a safetensors file says about itself, checked against the file's length."""

    metadata: Mapping[str, str]
    tensors: Mapping[str, Entry]
    data_start: int  # bytes from the start of the file to the first tensor byte
    file_bytes: int
