"""Whether a word is new to a base: the pocket's own tokenizer and judge are asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import CLIPTokenizer

from storage.domain.orders import trigger_for
from storage.words_doctor import checkup_lines
from trainer.gpu.families import published
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


@pytest.fixture(scope="module")
def clip() -> CLIPTokenizer:
    """The vocabulary that SD 1.5, SDXL and FLUX.1 share, whole."""
    return published.tokenizer("<|endoftext|>")


def test_every_word_that_is_made_up_here_is_two_tokens_of_clip(clip: CLIPTokenizer) -> None:
    """One to three in Ruiz et al. 2023, section 3.2; none is a word that the vocabulary holds whole."""
    words = {trigger_for(f"order{number}") for number in range(3000)}
    assert len(words) == 256, "all of them"
    for word in words:
        said = heard(word, [clip], None)
        assert (said.pieces, said.cut, said.new) == ((2,), 2, True), word


@pytest.mark.parametrize(("word", "pieces"), [("xxy5syt00", 7), ("zqxjkvbw", 6)])
def test_a_word_that_is_spelled_letter_by_letter_is_not_new(word: str, pieces: int, clip: CLIPTokenizer) -> None:
    """The first one is the bad example of Ruiz et al. 2023, section 3.2."""
    said = heard(word, [clip], None)
    assert not said.new
    assert not said.known
    assert said.cut == said.spelled == pieces
    (line,) = checkup_lines([], [], trigger=word, like=None, pieces=said.cut)
    assert f"reads the trigger {word} in {pieces} pieces, nearly letter by letter" in line
    assert not checkup_lines([], [], trigger="jorvex", like=None, pieces=3)


def test_a_vocabulary_that_spells_every_unknown_word_is_not_asked_how_many(
    tokenizer: CLIPTokenizer, clip: CLIPTokenizer
) -> None:
    said = heard("zorvex", [tokenizer], None)
    assert (said.pieces, said.cut, said.new) == ((6,), 3, True)
    assert heard("zorvex", [tokenizer, clip], None).new
