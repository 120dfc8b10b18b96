"""How a file reaches its owner: decided the same way for the plan card, at Start, at delivery and for "Take this one"."""

from __future__ import annotations

from typing import Literal

from storage.domain.orders import attachable_bytes

Way = Literal["attach", "download", "compact"]


def fits(size: int, limit_bytes: int) -> bool:
    """Whether a file of so many bytes goes through an upload of at most `limit_bytes`."""
    return size <= attachable_bytes(limit_bytes)


def way(size: int, limit_bytes: int, *, linkable: bool, compact: bool = True) -> Way:
    """Attached where it fits; else a download where members can reach one; else a compact version where there is one.

    Where there is none of these, a download: its button says what is missing.
    """
    if fits(size, limit_bytes):
        return "attach"
    return "compact" if compact and not linkable else "download"
