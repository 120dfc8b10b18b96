"""Texts are encoded once an order, and what is kept of them is exactly what was heard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch

from storage.domain.plan import Fit
from tests.builders import CPU_FIT
from tests.tiny_bases import TINY
from trainer.events import Checkpointed
from trainer.gpu import words
from trainer.gpu.families import FAMILIES, Base, Words

TEXTS = ("", "a zorvex toy on grass", "toy")


class Counted:
    """A base that counts what it encodes."""

    def __init__(self, base: Base) -> None:
        self.device, self.words_sha256, self.said = base.device, base.words_sha256, []  # type: ignore[var-annotated]
        self._base = base

    def encode_texts(self, texts: list[str]) -> Words:
        self.said += texts
        return self._base.encode_texts(texts)


def same(one: Words, other: Words) -> bool:
    pairs = [(getattr(one, field.name), getattr(other, field.name)) for field in fields(Words)]
    return all((a is None and b is None) or (a.dtype == b.dtype and torch.equal(a, b)) for a, b in pairs)


def loaded(name: str, folder: Path, fit: Fit = CPU_FIT) -> Base:
    return FAMILIES[name](str(TINY[name](folder)), fit)


@pytest.mark.parametrize("name", ["sdxl", "flux1-dev", "z-image"])
def test_words_from_the_cache_equal_those_that_were_heard_first(name: str, tmp_path: Path) -> None:
    base = loaded(name, tmp_path / "base")
    first = Counted(base)
    heard = words.heard(first, TEXTS, tmp_path / "cache")  # type: ignore[arg-type]
    assert first.said == list(TEXTS)
    again = Counted(base)
    kept = words.heard(again, [*TEXTS, "one more"], tmp_path / "cache")  # type: ignore[arg-type]
    assert again.said == ["one more"]
    assert all(same(heard[text], kept[text]) for text in TEXTS)


def test_another_encoder_or_another_precision_hears_anew_and_a_damaged_file_too(tmp_path: Path) -> None:
    base: Any = loaded("flux1-dev", tmp_path / "base")
    words.heard(base, TEXTS, tmp_path / "cache")
    before = base.words_sha256
    with torch.no_grad():
        next(iter(base._pipeline.text_encoder_2.parameters())).mul_(1.01)
    other = Counted(base)
    other.words_sha256 = words_of(base)
    assert other.words_sha256 != before
    words.heard(other, TEXTS, tmp_path / "cache")  # type: ignore[arg-type]
    assert other.said == list(TEXTS)
    base._pipeline.text_encoder.to(torch.bfloat16)
    assert words_of(base) not in (before, other.words_sha256)
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(file.read_bytes()[:40])
    again = Counted(base)
    words.heard(again, TEXTS, tmp_path / "cache")  # type: ignore[arg-type]
    assert again.said == list(TEXTS)


def words_of(base: Any) -> str:
    from trainer.gpu.families.fingerprints import of_encoders

    return of_encoders(base._pipeline)


def test_a_child_that_starts_again_encodes_no_text_of_its_order_and_makes_the_same_file(
    desk: Any, job: Callable[..., Path], one: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = job()
    first = one(desk.train(folder, 2), Checkpointed)
    desk.forget()
    said: list[str] = []
    base = desk.child._loaded.base
    monkeypatch.setattr(base, "encode_texts", said.extend)
    again = one(desk.train(folder, 2), Checkpointed)
    assert said == []
    assert again.lora_sha256 == first.lora_sha256
