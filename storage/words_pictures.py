"""Why a picture is not used and what to do about it: the same sentence on Discord and in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from storage.domain.errors import PictureFault
from storage.domain.orders import MAX_PICTURES

_SENTENCES: dict[PictureFault, str] = {
    PictureFault.NOT_A_PICTURE: "is not a picture that I can read. Save it as JPEG, PNG, WebP or HEIC.",
    PictureFault.EMPTY: "is an empty file. Save it again and add it once more.",
    PictureFault.TRUNCATED: "is damaged or ends in the middle, as if copying it had been cut off. "
    "Open it, save it again and add it once more.",
    PictureFault.TOO_MANY_BYTES: "is too large a file. Save it smaller, for example as JPEG.",
    PictureFault.TOO_MANY_PIXELS: "has too many pixels. Make it smaller, 4000 pixels a side is plenty.",
    PictureFault.TOO_SMALL: "is too small to learn from. Use a larger version of it.",
    PictureFault.DUPLICATE: "is the same picture as {other}. A different picture teaches more.",
    PictureFault.NEAR_DUPLICATE: "is almost the same picture as {other}. A different angle or place teaches more.",
    PictureFault.TOO_SLOW: "took too long to open. Save it as a plain JPEG or PNG and add it once more.",
    PictureFault.LINK_EXPIRED: "is gone: Discord's link to it has run out. Attach it once more.",
    PictureFault.DOWNLOAD_FAILED: "could not be fetched. Add it once more in a moment.",
    PictureFault.ONE_TOO_MANY: f"is one too many: an order has at most {MAX_PICTURES}. Start anew without others to use it.",
    PictureFault.LEFT_OUT: "was left out, as you asked.",
}
_MANY_TOO_MANY = f"are too many: an order has at most {MAX_PICTURES}. Start anew without others to use them."
_TWINS = frozenset({PictureFault.DUPLICATE, PictureFault.NEAR_DUPLICATE})


def pictures_refused(refused: Sequence[tuple[str, str, str]]) -> list[str]:
    """A sentence for each (name, fault, detail), and a single one for all that found no place."""
    late = [name for name, fault, _ in refused if fault == PictureFault.ONE_TOO_MANY.value]
    if len(late) < 2:
        return [picture_refused(*one) for one in refused]
    others = [picture_refused(*one) for one in refused if one[1] != PictureFault.ONE_TOO_MANY.value]
    return [*others, f"{late[0]} and {len(late) - 1} more {_MANY_TOO_MANY}"]


def picture_refused(name: str, fault: str, detail: str = "") -> str:
    """The sentence for one picture; `name` and `detail` (for a twin the other's name) are shown as they are given."""
    kind = PictureFault(fault)
    said = _SENTENCES[kind]
    if kind in _TWINS:
        return f"{name} {said.replace('{other}', detail or 'another one')}"
    if detail and kind is not PictureFault.ONE_TOO_MANY:
        said = f"{said} ({detail})"
    return f"{name} {said}"
