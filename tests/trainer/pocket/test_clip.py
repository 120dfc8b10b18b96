"""The tiny CLIP: its loss, its rough pictures, and how far its frozen text keeps the classes apart."""

import torch
from torch.nn.functional import normalize
from transformers import CLIPModel

from trainer.pocket import WEIGHTS
from trainer.pocket.architecture import build_tokenizer
from trainer.pocket.captions import prompt
from trainer.pocket.clip import contrastive, roughened, text_embedding, tokens_of
from trainer.pocket.vocabulary import BACKGROUNDS, CLASSES, COLOURS


def test_matching_pairs_have_the_lower_loss() -> None:
    vectors_BE, scale = torch.eye(4), torch.tensor(3.0)
    right = contrastive(vectors_BE, vectors_BE, scale)
    assert right < 0.01
    assert contrastive(vectors_BE, vectors_BE.roll(1, 0), scale) > 10


def test_rough_pictures_stay_pictures_and_follow_the_generator() -> None:
    pictures = torch.rand(40, 3, 64, 64, generator=torch.manual_seed(1)) * 2 - 1
    first = roughened(pictures, torch.Generator().manual_seed(5))
    assert first.shape == pictures.shape
    assert first.abs().max() <= 1
    assert not torch.equal(first, pictures)
    assert torch.equal(first, roughened(pictures, torch.Generator().manual_seed(5)))


@torch.no_grad()
def test_the_shipped_text_half_keeps_every_two_words_of_a_kind_apart() -> None:
    clip = CLIPModel.from_pretrained(WEIGHTS / "judge", dtype=torch.float32, local_files_only=True)
    kinds = (
        [prompt(word, "red", "grass") for word in CLASSES],
        [prompt("dog", word, "grass") for word in COLOURS],
        [prompt("dog", "red", word) for word in BACKGROUNDS],
    )
    for texts in kinds:
        embedding = normalize(text_embedding(clip, tokens_of(build_tokenizer(), texts)), dim=-1)
        alike = embedding @ embedding.T - 2 * torch.eye(len(texts))
        assert alike.max() < 0.85
