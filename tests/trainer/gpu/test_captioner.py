"""Words for pictures: a tiny model of the Qwen-VL class with random weights, and what is made of answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForImageTextToText,
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessorPil,
    Qwen3VLConfig,
)

from storage.domain.orders import SubjectType
from trainer.gpu.captioner import MOST_PIXELS, QwenVl, _smaller, caption_of

SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{m.role}}\n{% for c in m.content %}{% if c.type == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{c.text}}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers of language and two of sight, written as a real one is."""
    where = tmp_path_factory.mktemp("vl")
    words = Tokenizer(models.BPE())
    words.pre_tokenizer, words.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    words.train_from_iterator(["a toy on a table"], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = TEMPLATE
    ids = dict(zip(SPECIAL, tokenizer.convert_tokens_to_ids(list(SPECIAL)), strict=True))
    config = Qwen3VLConfig(
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        text_config={
            "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 1024,
            "rope_scaling": {"rope_type": "default", "mrope_section": [4, 2, 2], "mrope_interleaved": True},
            "eos_token_id": ids["<|im_end|>"], "bos_token_id": None,
        },
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 32,
            "patch_size": 8, "spatial_merge_size": 2, "num_position_embeddings": 64, "deepstack_visual_indexes": [1],
        },
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoModelForImageTextToText.from_config(config).save_pretrained(where)
    tokenizer.save_pretrained(where)
    Qwen2VLImageProcessorPil(patch_size=8, merge_size=2, min_pixels=256, max_pixels=4096).save_pretrained(where)
    return where


def test_a_model_of_the_class_looks_at_the_picture_and_answers_alike_every_time(folder: Path) -> None:
    captioner = QwenVl(folder, torch.device("cpu"))
    red, noise = Image.new("RGB", (64, 48), "red"), Image.effect_noise((48, 96), 90).convert("RGB")
    answers = [captioner.say(image, "What is it?") for image in (red, red, noise)]
    assert answers[0] == answers[1]
    assert answers[0] != answers[2]
    assert captioner.say(red, "<|image_pad|> and <|im_end|>")  # what is asked cannot forge a picture


def test_no_model_or_another_class_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        QwenVl(tmp_path / "nowhere", torch.device("cpu"))


def test_a_large_picture_is_made_smaller_and_a_small_one_let_be() -> None:
    large = _smaller(Image.new("RGB", (3000, 1500)))
    assert large.width * large.height == pytest.approx(MOST_PIXELS, rel=0.01)
    assert _smaller(Image.new("RGB", (100, 50))).size == (100, 50)


class Parrot:
    """Answers what it was given, one after another, and remembers what it was asked."""

    def __init__(self, answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def say(self, image: Image.Image, ask: str) -> str:  # noqa: ARG002  # it looks at nothing
        self.asked.append(ask)
        return self._answers.pop(0)


def caption(answers: Sequence[str], subject: SubjectType = SubjectType.PERSON) -> tuple[str, list[str]]:
    parrot = Parrot(answers)
    said = caption_of(parrot, Image.new("RGB", (8, 8)), subject=subject, class_word="woman")
    return said, parrot.asked


def test_an_answer_becomes_a_caption_without_its_manners() -> None:
    assert caption(['"The image shows the woman sitting in a cafe."'])[0] == "the woman sitting in a cafe."
    assert caption(["<think>hm,\nhair?</think> the woman runs"])[0] == "the woman runs"


def test_an_answer_that_says_too_much_is_asked_again_and_else_left_out() -> None:
    said, asked = caption(["the woman with blonde hair", "the woman in a park"])
    assert said == "the woman in a park"
    assert "Do not use the words: blonde, hair." in asked[1]
    assert caption(["her eyes", "her eyes again"])[0] == ""
    assert caption(["a painting of a cat", "a cat"], SubjectType.STYLE)[0] == "a cat"
    assert caption(["I'm sorry, I cannot describe people."])[0] == ""
