"""Errors say what happened in plain words and carry their data."""

from __future__ import annotations

import inspect

from storage.domain import errors
from storage.domain.errors import LorasmithError, OrderFault, OrderRefused, PictureFault, PictureRefused, SecondBot


def test_every_error_of_the_product_is_in_one_tree_and_says_something() -> None:
    ours = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, Exception)]
    assert len(ours) > 10
    assert all(issubclass(c, LorasmithError) for c in ours)
    assert all((c.__doc__ or "").strip() for c in ours)
    assert all(c.__name__ in (errors.__doc__ or "") for c in ours), "the tree at the head of the file is whole"


def test_the_docstring_is_the_message_until_there_is_a_better_one() -> None:
    assert str(SecondBot()).startswith("Another bot is running")
    assert str(SecondBot("host1")) == "host1"


def test_refusals_carry_their_fault_and_detail() -> None:
    picture = PictureRefused(PictureFault.TOO_SMALL, "10 x 10")
    assert (picture.fault, picture.detail, str(picture)) == (PictureFault.TOO_SMALL, "10 x 10", "too_small: 10 x 10")
    assert str(OrderRefused(OrderFault.DISK_FULL)) == "disk_full"
