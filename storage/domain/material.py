"""The part of a plan that says what is looked at: pictures, how they are shown, and what they are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from storage.domain.knobs import Knob


@dataclass(frozen=True, kw_only=True)
class Concept:
    """One of several things that a LoRA learns, each with a word of its own."""

    trigger: str
    class_word: str
    pictures: tuple[str, ...]
    """Ids; in a plan file names or hashes."""
    repeats: int = 1
    """How often a round shows each of its pictures."""


@dataclass(frozen=True, kw_only=True)
class Material:
    """See the knobs."""

    resolution: Annotated[
        int,
        Knob(
            meaning="Side of the square whose area every bucket has",
            unit="px",
            change="the size that the base was made for; less to save memory",
            least=16,
            most=2048,
            source="habits.py: the side of the base's own training, as Podell et al. 2023, arXiv 2307.01952, section 2.3",
        ),
    ]
    crop: Annotated[
        Literal["whole", "face"],
        Knob(
            meaning="Whole pictures, or head and shoulders of those in which a face was found",
            change="face for a LoRA of a face alone, beside another of the whole person; it needs a face detector",
            source="a choice of this program for persons as two LoRAs (portraits.py); not measured",
        ),
    ] = "whole"
    flip: Annotated[
        bool,
        Knob(
            meaning="Mirror half of the views",
            change="off where the subject has a left and a right: people, lettering",
            source="flip_aug of kohya-ss/sd-scripts, docs/train_README-en.md; off for persons, whose faces have sides",
        ),
    ]
    caption_dropout: Annotated[
        float,
        Knob(
            meaning="Share of views whose caption is empty, so that guidance keeps working",
            change="0.05 to 0.1 as a rule",
            source="Ho and Salimans 2022, arXiv 2207.12598, section 3.2",
            least=0.0,
            most=1.0,
        ),
    ]
    captions: Annotated[
        tuple[str, ...],
        Knob(
            meaning="Caption templates; {trigger} and {class_word} are filled in, one drawn a view",
            least=1,
            most=32,
            longest=300,
            change="where they say something untrue of pictures that have no captions of their own",
            source="panels.py, a choice of this program; one drawn at random as in Gal et al. 2022, arXiv 2208.01618",
        ),
    ]
    caption_shuffle: Annotated[
        int,
        Knob(
            meaning="In how many orders of its tags (parts between commas) each caption is heard; 0 keeps the one written",
            unit="orders",
            change="8 for captions made of tags; each order is encoded once and kept",
            source="shuffle_caption of kohya-ss/sd-scripts, docs/train_README-en.md; a fixed number as in diffusion-pipe",
            least=0,
            most=64,
        ),
    ] = 0
    keep_tokens: Annotated[
        int,
        Knob(
            meaning="Tags at a caption's start that stay where they are when the others are shuffled",
            unit="tags",
            change="so many that the trigger is among them",
            source="keep_tokens of kohya-ss/sd-scripts, docs/train_README-en.md",
            least=0,
            most=64,
        ),
    ] = 1
    repeats: Annotated[
        tuple[str, ...],
        Knob(
            meaning="Pictures that are seen more often: one more time a round for each time that one stands here; "
            "ids, in a plan file names or hashes",
            change="for the best pictures of a mixed set, or to balance few close-ups against many others",
            most=512,
            longest=300,
            source="repeats of kohya-ss/sd-scripts, docs/train_README-en.md, of single pictures instead of folders",
        ),
    ] = ()
    concepts: Annotated[
        tuple[Concept, ...],
        Knob(
            meaning="Several things learned together, each with its trigger, class_word, pictures (ids, in a plan file names or "
            "hashes) and repeats: how often a round shows each of its pictures. Every picture is in one of them; the first has "
            "the plan's own trigger and class_word. Empty learns one thing",
            change="for one LoRA of several people or things; raise the repeats of the one with fewer pictures",
            source="Kumari et al. 2023, arXiv 2212.04488, section 3.2: the pictures of all concepts are one training set; repeats "
            "as in the folders of kohya-ss/sd-scripts, docs/train_README-en.md, and as OneTrainer balances concepts",
            most=13,
        ),
    ] = ()
    resolutions: Annotated[
        tuple[int, ...],
        Knob(
            meaning="Further sides at which the pictures are seen, one drawn a view; none that a picture had to be enlarged for",
            unit="px",
            change="512 and 768 beside 1024 for a LoRA that holds at several sizes, and for speed",
            source="ai-toolkit trains on 512, 768 and 1024; Podell et al. 2023, arXiv 2307.01952, section 2.2, for small pictures",
            least=0,
            most=8,
        ),
    ] = ()
    latents: Annotated[
        Literal["mode", "sampled"],
        Knob(
            meaning="Of what the autoencoder says of a picture: the most likely latents, or a fresh draw a view",
            change="sampled for autoencoders with a wide posterior",
            source="Rombach et al. 2022, arXiv 2112.10752, appendix G; Kingma and Welling 2014, arXiv 1312.6114, section 2.4",
        ),
    ] = "mode"
