"""Our loss is the one that diffusers' published example scripts compute, on the same weights, pictures, noise and times."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.builders import CPU_FIT
from tests.tiny_bases import filled
from tests.trainer.gpu.families.golden import (
    BUILDS,
    FILE,
    INDICES,
    NOISE_SEED,
    PROMPTS,
    PX,
    family_of,
    main,
    named_commit,
    pictures,
)
from trainer.gpu.families import FAMILIES, stacked
from trainer.gpu.loop import losses
from trainer.gpu.pictures import Framing, Shape
from trainer.gpu.schedules import Shift
from trainer.gpu.views import Batch

GOLDEN = json.loads(FILE.read_text())
UNSHIFTED = ("flux1-dev", "flux2-klein-4b")
"""The scripts leave out a shift that depends on the picture's size; a constant one they have."""
PREDICTS = {"sd15": "epsilon", "sdxl": "epsilon", "sdxl-v": "v_prediction"}


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_the_loss_is_the_published_scripts(name: str, tmp_path: Path) -> None:
    base = FAMILIES[family_of(name)](str(filled(tmp_path, BUILDS[name])), CPU_FIT)
    if name in PREDICTS:
        assert base.schedule.prediction == PREDICTS[name]  # type: ignore[union-attr]
    if name in UNSHIFTED:
        base.schedule = replace(base.schedule, shift=Shift())  # type: ignore[misc, type-var]
    latents = base.posteriors(pictures()).mean_BCHW
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(NOISE_SEED))
    batch = Batch(
        latents_BCHW=latents,
        noise_BCHW=noise,
        t_B=torch.tensor([999 - at for at in INDICES]),
        words=stacked([base.encode_texts([text]) for text in PROMPTS]),
        framing=(Framing(original=(PX, PX), shape=Shape(height=PX, width=PX)),) * 2,
    )
    wanted = GOLDEN[name]
    with torch.no_grad():
        found = losses(base, base.denoiser, batch)
        noisy = base.schedule.noisy(latents, noise, batch.t_B)
        said = base.predict(base.denoiser, noisy, batch.t_B, batch.words, batch.framing)
    target = base.schedule.target(latents, noise, batch.t_B)
    assert target[:, 1, 2, :4].flatten().tolist() == pytest.approx(wanted["target"], abs=1e-4)
    assert said[:, 1, 2, :4].flatten().tolist() == pytest.approx(wanted["prediction"], abs=2e-4)
    assert float(found.mean()) == pytest.approx(wanted["loss"], rel=1e-4)


def test_numbers_come_from_one_named_commit_and_no_other_checkout_moves_it(tmp_path: Path) -> None:
    before = FILE.read_bytes()
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "another"], check=True)
    with pytest.raises(SystemExit, match=f"lacks {named_commit()}: fetch that one"):
        main([str(tmp_path)])
    assert FILE.read_bytes() == before
