"""The pocket's tokenizer: listed words whole, everything else in bytes."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.pocket.architecture import CAPTION_TOKENS, build_tokenizer
from trainer.pocket.scenes import plan_scene
from trainer.pocket.vocabulary import BACKGROUNDS, CLASSES, COLOURS, nonce, words

TOKENIZER = build_tokenizer()


def test_every_listed_word_is_one_token() -> None:
    assert [word for word in words() if len(TOKENIZER(word).input_ids) != 3] == []


def test_there_are_24_classes_10_colours_and_8_backgrounds() -> None:
    assert (len(CLASSES), len(COLOURS), len(BACKGROUNDS)) == (24, 10, 8)
    assert {"dog", "cat", "toy", "teapot", "man", "woman"} <= set(CLASSES)


@pytest.mark.parametrize("trigger", ["zorvex", "sks", "ohwx", "mömö42"])
def test_a_trigger_becomes_several_tokens_and_comes_back_whole(trigger: str) -> None:
    ids = TOKENIZER(trigger).input_ids
    assert len(ids) > 3
    assert TOKENIZER.decode(ids, skip_special_tokens=True).replace(" ", "") == trigger


@given(st.text(min_size=1, max_size=20))
def test_no_text_holds_an_unknown_token(text: str) -> None:
    inside = TOKENIZER(text, add_special_tokens=False).input_ids
    assert TOKENIZER.unk_token_id not in inside or "endoftext" in text.lower()


def test_made_up_words_are_not_listed() -> None:
    random = Random(0)
    assert not {nonce(random) for _ in range(500)} & set(words())


def test_nearly_every_caption_fits_the_24_tokens() -> None:
    lengths = [len(TOKENIZER(plan_scene(1, index, 1.0).caption).input_ids) for index in range(2000)]
    assert sum(length > CAPTION_TOKENS for length in lengths) < 100
