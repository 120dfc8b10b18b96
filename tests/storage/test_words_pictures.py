"""Every picture that is not used is spoken of by name, with what to do."""

from __future__ import annotations

import re

import pytest

from bot import wording
from storage.domain.errors import PictureFault
from storage.tables import Picture
from storage.words_pictures import picture_refused
from trainer import terminal


@pytest.mark.parametrize("fault", list(PictureFault))
def test_every_picture_fault_has_a_sentence_with_the_name_and_what_to_do(fault: PictureFault) -> None:
    said = picture_refused("cat.heic", fault.value, "some detail")
    assert said.startswith("cat.heic ")
    asked_for = fault is PictureFault.LEFT_OUT  # there is nothing to do about it
    assert asked_for or re.search(r"\b(Save|Open|Make|Use|Attach|Add|Start|teaches)\b", said)
    assert "{" not in said + picture_refused("cat.heic", fault.value)


def test_a_twin_is_named_with_its_other_even_where_that_has_odd_signs_in_its_name() -> None:
    assert "the same picture as a{0}.png. A diff" in picture_refused("b.png", PictureFault.DUPLICATE.value, "a{0}.png")
    assert "the same picture as another one." in picture_refused("b.png", PictureFault.DUPLICATE.value)


@pytest.mark.parametrize("fault", list(PictureFault))
def test_discord_and_the_terminal_say_the_same(fault: PictureFault, capsys: pytest.CaptureFixture[str]) -> None:
    row = Picture(
        id="o-p0",
        order_id="o",
        position=0,
        source_url="",
        source_name="cat.png",
        state="refused",
        fault=fault.value,
        fault_detail="other.png",
    )
    terminal.pictures([row])
    assert wording.picture_refused("cat.png", fault.value, "other.png") in capsys.readouterr().err
