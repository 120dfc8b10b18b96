"""How a file reaches its owner: one answer for the plan card, Start, delivery and every button."""

from __future__ import annotations

import pytest

from storage.domain.handing import way
from storage.domain.orders import attachable_bytes

LIMIT = 10 * 1024 * 1024
FITS = attachable_bytes(LIMIT)


@pytest.mark.parametrize(
    ("size", "there_is", "wanted"),
    [
        (FITS, {"compact"}, "attach"),
        (FITS + 1, {"compact"}, "compact"),
        (FITS + 1, {"compact", "linkable"}, "download"),
        (LIMIT, set(), "download"),
    ],
)
def test_a_file_is_attached_only_where_it_fits_with_what_surrounds_it(
    size: int, there_is: set[str], wanted: str
) -> None:
    assert way(size, LIMIT, linkable="linkable" in there_is, compact="compact" in there_is) == wanted
