"""Words for pictures: what a captioner is to the rest, and the one of the Qwen-VL class.

Weights are read from a folder on this machine, safetensors only, and no code of the model's is run. The pictures are prepared
by the Pillow-made processor of transformers and the prompt is laid out here, so that torchvision is not needed. Qwen2-VL,
Qwen2.5-VL and Qwen3-VL share both (Bai et al. 2025, arXiv 2511.21631, section 2).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoTokenizer, Qwen2VLImageProcessorPil

from storage.domain.captions import clean, question, unwanted
from storage.domain.orders import SubjectType

CLASSES = frozenset({"qwen2_vl", "qwen2_5_vl", "qwen3_vl"})
MOST_TOKENS = 96
"""Of an answer: 40 words are asked for."""
MOST_PIXELS = 768 * 768
"""What is looked at: enough for a sentence, a quarter of the memory of a full picture."""
IMAGE = "<|image_pad|>"


class Captioner(Protocol):
    """Says what a picture shows."""

    def say(self, image: Image.Image, ask: str) -> str:
        """An answer about an RGB picture; a tagger passes over what is asked."""


class QwenVl:
    """A vision-language model of the Qwen-VL class; it answers the same every time."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Raises `OSError` where there is no such model, or one of another class."""
        self._model: Any = AutoModelForImageTextToText.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.bfloat16 if device.type == "cuda" else torch.float32,
        )
        if self._model.config.model_type not in CLASSES:
            raise OSError(f"{folder.name} is no captioner of the Qwen-VL class")
        self._model.eval().requires_grad_(requires_grad=False).to(device)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        self._pictures: Any = Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True)
        self._device = device

    @torch.no_grad()
    def say(self, image: Image.Image, ask: str) -> str:
        """The model's answer, as it is."""
        seen = self._pictures(images=[_smaller(image)], return_tensors="pt")
        tokens = self._tokenizer([self._prompt(seen["image_grid_thw"], ask)], return_tensors="pt")
        ids_1L = tokens.input_ids.to(self._device)
        answer_1L = self._model.generate(
            input_ids=ids_1L,
            attention_mask=tokens.attention_mask.to(self._device),
            pixel_values=seen["pixel_values"].to(self._device, self._model.dtype),
            image_grid_thw=seen["image_grid_thw"].to(self._device),
            mm_token_type_ids=(ids_1L == self._model.config.image_token_id).long(),
            max_new_tokens=MOST_TOKENS,
            do_sample=False,
        )
        return str(self._tokenizer.decode(answer_1L[0, ids_1L.shape[1] :], skip_special_tokens=True))

    def _prompt(self, grid_13: torch.Tensor, ask: str) -> str:
        """The question with a place for every patch of the picture: the grid's cells, merged in squares."""
        content = [{"type": "image"}, {"type": "text", "text": ask.replace("<|", "< |")}]
        text = str(
            self._tokenizer.apply_chat_template(
                [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
            )
        )
        places = int(grid_13[0].prod()) // int(self._pictures.merge_size) ** 2
        return text.replace(IMAGE, IMAGE * places, 1)


def caption_of(captioner: Captioner, image: Image.Image, *, subject: SubjectType, class_word: str) -> str:
    """A caption that leaves out what is to be learned; empty where the captioner cannot, and the templates are used.

    Where an answer says too much it is asked once more, with the words to avoid.
    """
    ask = question(subject, class_word)
    said = _sentence(captioner.say(image, ask))
    if wrong := unwanted(said, subject):
        said = _sentence(captioner.say(image, f"{ask} Do not use the words: {', '.join(wrong)}."))
    return "" if unwanted(said, subject) or _declines(said) else said


def _sentence(answer: str) -> str:
    """Without thoughts, quotes and the ways in which models begin."""
    plain = clean(re.sub(r"<think>.*?</think>", " ", answer, flags=re.DOTALL)).strip("\"'*` ")
    return re.sub(r"^(the|this) (image|picture|photo) (shows|depicts|features) ", "", plain, flags=re.IGNORECASE)


def _declines(said: str) -> bool:
    return re.match(r"(i'?m sorry|i cannot|i can'?t|as an ai|sorry)\b", said, re.IGNORECASE) is not None


def _smaller(image: Image.Image) -> Image.Image:
    scale = (MOST_PIXELS / (image.width * image.height)) ** 0.5
    if scale >= 1.0:
        return image
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.LANCZOS)
