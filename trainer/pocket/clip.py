"""The tiny CLIP: its text half becomes the second text encoder, its image half the embedded judge.

Loss: the symmetric contrastive loss of https://arxiv.org/abs/2103.00020 plus two helpers that are thrown away
afterwards: linear heads for class, colour and background (the contrastive loss alone needs far more pictures), and,
for the judge, two pictures of one thing drawn close to each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, interpolate, normalize
from transformers import CLIPModel, CLIPTokenizer

from trainer.pocket.architecture import TEXT_WIDTH
from trainer.pocket.captions import prompt
from trainer.pocket.pools import UNTOLD, Pictures
from trainer.pocket.vocabulary import BACKGROUNDS, CLASSES, COLOURS

# Legend: B pictures, C channels, H height, W width, E embedding width.
HEADS = (len(CLASSES), len(COLOURS), len(BACKGROUNDS))


def floats(pictures: Pictures, device: str = "cpu") -> Tensor:
    """Pictures (B, 64, 64, 3) of bytes as (B, 3, 64, 64) in -1..1: the judge's and the autoencoder's input."""
    return torch.from_numpy(pictures.copy()).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def roughened(pictures_BCHW: Tensor, generator: torch.Generator) -> Tensor:
    """Some pictures blurred, some coarse, all a little noisy and off in brightness: what generated ones look like."""
    count = len(pictures_BCHW)
    soft = avg_pool2d(pictures_BCHW, 3, stride=1, padding=1, count_include_pad=False)
    coarse = interpolate(avg_pool2d(pictures_BCHW, 2), scale_factor=2.0, mode="bilinear")
    dice = torch.rand(count, 1, 1, 1, generator=generator)
    mixed = torch.where(dice < 0.25, soft, torch.where(dice < 0.4, coarse, pictures_BCHW))
    gain = 1 + 0.1 * torch.randn(count, 1, 1, 1, generator=generator)
    shift = 0.06 * torch.randn(count, 3, 1, 1, generator=generator)
    depth = 0.12 * torch.rand(count, 1, 1, 1, generator=generator)
    noise = torch.randn(mixed.shape, generator=generator)
    return (mixed * gain + shift + depth * noise).clamp(-1, 1)


class Heads(nn.Module):
    """Class, colour and background from an embedding; only there while training."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(TEXT_WIDTH, width) for width in HEADS)

    def loss(self, embedding_BE: Tensor, labels_B3: Tensor) -> Tensor:
        """Mean cross-entropy over the three questions; pictures without an answer do not count."""
        losses = [
            cross_entropy(head(embedding_BE), labels_B3[:, place], ignore_index=UNTOLD)
            for place, head in enumerate(self.heads)
        ]
        return torch.stack(losses).mean()


def image_embedding(clip: CLIPModel, pictures_BCHW: Tensor) -> Tensor:
    """Unnormalised image embeddings (B, 96) of pictures in -1..1."""
    return clip.visual_projection(clip.vision_model(pixel_values=pictures_BCHW).pooler_output)


def text_embedding(clip: CLIPModel, tokens_BT: Tensor) -> Tensor:
    """Unnormalised text embeddings (B, 96)."""
    return clip.text_projection(clip.text_model(input_ids=tokens_BT).pooler_output)


def contrastive(image_BE: Tensor, text_BE: Tensor, scale: Tensor) -> Tensor:
    """Symmetric contrastive loss; equal captions in a batch need no care: their sum of losses is the same."""
    logits_BB = scale.exp().clamp(max=50) * normalize(image_BE.float(), dim=-1) @ normalize(text_BE.float(), dim=-1).T
    target_B = torch.arange(len(logits_BB), device=logits_BB.device)
    return (cross_entropy(logits_BB, target_B) + cross_entropy(logits_BB.T, target_B)) / 2


def tokens_of(tokenizer: CLIPTokenizer, captions: Sequence[str]) -> Tensor:
    """Caption tokens (B, 24), padded as the SDXL pipeline pads them."""
    done = tokenizer(
        list(captions),
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    ids: Tensor = done.input_ids
    return ids


@dataclass(frozen=True, kw_only=True)
class ZeroShot:
    """Accuracies of naming class, colour and background by the nearest prompt."""

    class_word: float
    colour: float
    background: float


@torch.no_grad()
def zero_shot(clip: CLIPModel, tokenizer: CLIPTokenizer, pictures: Pictures, labels_B3: Tensor) -> ZeroShot:
    """Zero-shot naming on labelled pictures: every prompt of three attributes is a candidate."""
    device = clip.logit_scale.device
    image_BE = torch.cat(
        [
            normalize(image_embedding(clip, floats(pictures[at : at + 200], str(device))), dim=-1)
            for at in range(0, len(pictures), 200)
        ]
    )
    told = [prompt(*words) for words in product(CLASSES, COLOURS, BACKGROUNDS)]
    text_PE = normalize(text_embedding(clip, tokens_of(tokenizer, told).to(device)), dim=-1)
    scores = (image_BE @ text_PE.T * 30).exp().view(-1, *HEADS)
    sums = (scores.sum(dim=(2, 3)), scores.sum(dim=(1, 3)), scores.sum(dim=(1, 2)))
    right = [
        (guess.argmax(dim=1).cpu() == labels_B3[:, place]).float().mean().item() for place, guess in enumerate(sums)
    ]
    return ZeroShot(class_word=right[0], colour=right[1], background=right[2])
