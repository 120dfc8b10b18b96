"""Why a picture is not used and what to do about it: the same sentence on Discord and in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from storage.domain.errors import PictureFault
from storage.domain.orders import MAX_PICTURES
from storage.speech import Sentence, _, later, ngettext
from storage.words import aside

_SENTENCES: dict[PictureFault, Sentence] = {
    PictureFault.NOT_A_PICTURE: later("{name} is not a picture that I can read. Save it as JPEG, PNG, WebP or HEIC."),
    PictureFault.EMPTY: later("{name} is an empty file. Save it again and add it once more."),
    PictureFault.TRUNCATED: later(
        "{name} is damaged or ends in the middle, as if copying it had been cut off. Open it, save it again and add it once more."
    ),
    PictureFault.TOO_MANY_BYTES: later("{name} is too large a file. Save it smaller, for example as JPEG."),
    PictureFault.TOO_MANY_PIXELS: later("{name} has too many pixels. Make it smaller, 4000 pixels a side is plenty."),
    PictureFault.TOO_SMALL: later("{name} is too small to learn from. Use a larger version of it."),
    PictureFault.DUPLICATE: later("{name} is the same picture as {other}. A different picture teaches more."),
    PictureFault.NEAR_DUPLICATE: later(
        "{name} is almost the same picture as {other}. A different angle or place teaches more."
    ),
    PictureFault.TOO_SLOW: later("{name} took too long to open. Save it as a plain JPEG or PNG and add it once more."),
    PictureFault.LINK_EXPIRED: later("{name} is gone: Discord's link to it has run out. Attach it once more."),
    PictureFault.DOWNLOAD_FAILED: later("{name} could not be fetched. Add it once more in a moment."),
    PictureFault.ONE_TOO_MANY: later(
        "{name} is one too many: an order has at most {most}. Start anew without others to use it."
    ),
    PictureFault.LEFT_OUT: later("{name} was left out, as you asked."),
}
_TWINS = frozenset({PictureFault.DUPLICATE, PictureFault.NEAR_DUPLICATE})


def pictures_refused(refused: Sequence[tuple[str, str, str]]) -> list[str]:
    """A sentence for each (name, fault, detail), and a single one for all that found no place."""
    late = [name for name, fault, _detail in refused if fault == PictureFault.ONE_TOO_MANY.value]
    if len(late) < 2:
        return [picture_refused(*one) for one in refused]
    others = [picture_refused(*one) for one in refused if one[1] != PictureFault.ONE_TOO_MANY.value]
    many = ngettext(
        "{name} and {count} more are too many: an order has at most {most}. Start anew without others to use them.",
        "{name} and {count} more are too many: an order has at most {most}. Start anew without others to use them.",
        len(late) - 1,
        name=late[0],
        most=MAX_PICTURES,
    )
    return [*others, many]


def picture_refused(name: str, fault: str, detail: str = "") -> str:
    """The sentence for one picture; `name` and `detail` (for a twin the other's name) are shown as they are given."""
    kind = PictureFault(fault)
    said = _SENTENCES[kind](name=name, other=detail or _("another one"), most=MAX_PICTURES)
    if kind in _TWINS or kind is PictureFault.ONE_TOO_MANY or not (more := aside(detail)):
        return said
    return _("{sentence} ({aside})", sentence=said, aside=more)
