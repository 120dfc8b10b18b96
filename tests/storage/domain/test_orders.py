"""Words of an order: ids, marks, triggers, what people typed, file names."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.domain.lifecycle import Stage
from storage.domain.orders import clean_word, file_stem, mark, order_id, seed_for, trigger_for

snowflakes = st.integers(10**17, 10**19).map(str)


@given(snowflakes)
def test_ids_seeds_and_triggers_are_functions_of_the_interaction(interaction: str) -> None:
    id_ = order_id(interaction)
    assert id_ == order_id(interaction)
    assert len(id_) == 8
    assert not set(id_) & set("01ilou")
    assert 0 <= seed_for(id_) < 2**31
    assert trigger_for(id_).isascii()
    assert trigger_for(id_).isalpha()


def test_ids_hardly_ever_meet() -> None:
    assert len({order_id(str(10**18 + n)) for n in range(20_000)}) == 20_000


@given(snowflakes, st.integers(1, 99_999))
def test_marks_fit_a_nonce_for_every_step_and_word(interaction: str, step: int) -> None:
    id_ = order_id(interaction)
    words = [str(step), "plan", "sheet", "card", "status", "choice", "failed"]
    marks = [mark(id_, w) for w in words]
    assert len(set(marks)) == len(words)
    assert all(len(m) <= 25 for m in marks)
    assert all(m.startswith(f"{id_}-") for m in marks)


def test_a_mark_that_is_too_long_is_an_error() -> None:
    with pytest.raises(ValueError, match="25"):
        mark("a" * 8, "x" * 17)


@given(st.text(max_size=200))
def test_what_was_typed_can_neither_ping_nor_format(text: str) -> None:
    clean = clean_word(text)
    assert len(clean) <= 32
    assert not set(clean) & set("@#<>*_~`|\\/:[]()\n\r\t\u202e\u200b")
    assert clean == clean.strip()
    assert "  " not in clean
    assert clean_word(clean) == clean


@pytest.mark.parametrize(
    ("typed", "clean"),
    [
        ("@everyone", "everyone"),
        ("**bold** _cat_", "bold cat"),
        ("<@&123>", "123"),
        ("Süße Katze", "Süße Katze"),
        ("猫", "猫"),
        ("  a   b ", "a b"),
        ("```", ""),
    ],
)
def test_names_stay_readable(typed: str, clean: str) -> None:
    assert clean_word(typed) == clean


@given(st.text(max_size=100), snowflakes)
def test_file_names_are_plain_on_every_system(name: str, interaction: str) -> None:
    stem = file_stem(name, order_id(interaction))
    assert file_stem(name, order_id(interaction), 40) == f"{stem}-step40"
    assert set(stem) <= set(string.ascii_lowercase + string.digits + "-")
    assert stem.endswith(order_id(interaction))
    assert len(stem) <= 49
    assert not stem.startswith("-")


def test_every_stage_is_one_word() -> None:
    assert all(stage.value.isalpha() for stage in Stage)
