"""Whether a word is new to a base: the pocket's own tokenizer and judge are asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import CLIPTokenizer

from storage.domain.orders import trigger_for
from trainer.gpu.judge.eye import Eye, eye_of
from trainer.gpu.trigger import heard

WEIGHTS = Path(__file__).parents[3] / "trainer/pocket/weights"


@pytest.fixture(scope="module")
def eye() -> Eye | None:
    return eye_of(str(WEIGHTS), torch.device("cpu"))


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(WEIGHTS / "tokenizer", local_files_only=True)


@pytest.mark.parametrize("word", ["cat", "Toy", "snow"])
def test_a_word_that_the_base_knows_is_not_new(word: str, tokenizer: CLIPTokenizer, eye: Eye | None) -> None:
    said = heard(word, [tokenizer], eye)
    assert not said.new
    assert said.like == word.lower()
    assert said.pieces == (1,)


def test_every_word_that_is_made_up_here_is_new(tokenizer: CLIPTokenizer, eye: Eye | None) -> None:
    for number in range(40):
        said = heard(trigger_for(f"order{number}"), [tokenizer], eye)
        assert said.new
        assert said.pieces[0] >= 2


def test_without_a_judge_the_tokens_alone_tell(tokenizer: CLIPTokenizer) -> None:
    assert not heard("cat", [tokenizer], None).new
    assert heard("zorvex", [tokenizer, tokenizer], None).pieces == (6, 6)
