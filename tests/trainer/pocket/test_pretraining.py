"""Pretraining learns, can be killed and resumed, and reads no picture file."""

import hashlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trainer.pocket import curriculum, denoiser_training, pretrain
from trainer.pocket.architecture import build_text_encoder_2, build_tokenizer
from trainer.pocket.clip import tokens_of
from trainer.pocket.curriculum import SERIES, mixture, rate_share
from trainer.pocket.denoiser_training import Denoiser, Shelf, Sizes, timesteps
from trainer.pocket.snapshots import load_snapshot

PICTURE_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"BM")


@pytest.fixture
def shelf() -> Shelf:
    latents = torch.randn(1, 12, 16, 16, generator=torch.manual_seed(0)).half().expand(8, -1, -1, -1)
    return Shelf(latents=latents, tokens=tokens_of(build_tokenizer(), ["a red dog on grass"] * 8))


def _denoiser() -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(build_text_encoder_2(), Sizes(batch=4, dtype=torch.float32), "cpu")


def _steps(denoiser: Denoiser, shelf: Shelf, first: int, last: int) -> list[float]:
    silent = tokens_of(build_tokenizer(), [""])
    losses = []
    for step in range(first, last):
        loss = denoiser_training._sample_loss(denoiser, shelf, silent, torch.Generator().manual_seed(step))
        denoiser.update(loss, 1e-3 * rate_share(0.0, 100))
        losses.append(loss.item())
    return losses


def test_the_loss_falls_on_one_picture(shelf: Shelf) -> None:
    losses = _steps(_denoiser(), shelf, 0, 25)
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(shelf: Shelf, tmp_path: Path) -> None:
    whole = _denoiser()
    _steps(whole, shelf, 0, 6)
    first = _denoiser()
    _steps(first, shelf, 0, 3)
    denoiser_training.save_snapshot(tmp_path / "s.safetensors", first.tensors(), {"step": 3})
    second = _denoiser()
    second.restore(*load_snapshot(tmp_path / "s.safetensors"))
    _steps(second, shelf, 3, 6)
    assert all(torch.equal(a, b) for a, b in zip(whole.owners, second.owners, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(whole.average.values, second.average.values, strict=True))


def test_the_second_text_encoder_is_not_trained(shelf: Shelf) -> None:
    denoiser = _denoiser()
    before = {name: value.clone() for name, value in denoiser.text_2.state_dict().items()}
    _steps(denoiser, shelf, 0, 2)
    assert all(torch.equal(value, before[name]) for name, value in denoiser.text_2.state_dict().items())


def test_the_schedule_ends_in_pure_noise_and_timesteps_cover_it() -> None:
    assert denoiser_training.noise_levels()[-1] < 1e-6
    drawn = timesteps(4000, torch.Generator().manual_seed(0))
    assert drawn.min() < 10
    assert drawn.max() == 999
    assert ((drawn >= 400) & (drawn < 900)).float().mean() > 0.6


def test_the_curriculum_starts_centred_and_opens_one_series_after_the_other() -> None:
    assert mixture(0.0) == (1.0, 0.0, 0.0, 0.0, 0.0)
    assert mixture(1.0) == pytest.approx(curriculum.LAST_MIXTURE)
    widest = [mixture(place / 50)[-1] for place in range(51)]
    assert widest == sorted(widest)
    assert [one.spread for one in SERIES] == sorted(one.spread for one in SERIES)


def _opened_by(act: Callable[[], object]) -> list[Path]:
    opened: list[Path] = []
    listening = True

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        if listening and event == "open" and isinstance(arguments[0], str) and "r" in str(arguments[1] or "r"):
            opened.append(Path(arguments[0]))

    sys.addaudithook(hear)
    act()
    listening = False
    return [path for path in opened if path.is_file()]


def test_all_stages_run_and_read_no_picture_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photos: Path) -> None:
    tiny = tuple(replace(one, count=128) for one in SERIES)
    for module in (curriculum, denoiser_training):
        monkeypatch.setattr(module, "SERIES", tiny)
    monkeypatch.setattr(pretrain, "WITHOUT_PAIRS", tiny[:-1])
    monkeypatch.setattr(pretrain, "PAIR_SERIES", tiny[-1:])
    monkeypatch.setattr(pretrain, "TEXTURES", 64)
    monkeypatch.setattr(pretrain, "ORACLE_SERIES", tiny[:1])
    known = {hashlib.sha256(path.read_bytes()).hexdigest() for path in photos.rglob("*") if path.is_file()}
    arguments = ["--stage", "all", "--minutes", "0.05", "--run", str(tmp_path / "run"), "--out", str(tmp_path / "out")]
    opened = _opened_by(lambda: pretrain.main(arguments))
    assert (tmp_path / "out" / "model_index.json").exists()
    assert opened
    assert not {hashlib.sha256(path.read_bytes()).hexdigest() for path in opened} & known
    assert [path for path in opened if path.read_bytes()[:4].startswith(PICTURE_STARTS)] == []
