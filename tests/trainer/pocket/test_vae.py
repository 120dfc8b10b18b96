"""The encoder is exactly the fitted matrix product, inside stock layers."""

import numpy as np
import pytest
import torch

from trainer.pocket.architecture import build_vae
from trainer.pocket.clip import floats
from trainer.pocket.export import basis_of_vae
from trainer.pocket.scenes import draw_scene, plan_scene
from trainer.pocket.textures import draw_texture
from trainer.pocket.vae import PatchBasis, fit_basis, folded, psnr, unfolded, write_encoder


@pytest.fixture(scope="module")
def drawn_BCHW() -> torch.Tensor:  # noqa: N802 -- the shape is the name
    drawn = [draw_scene(plan_scene(1, n, 1.0)) for n in range(30)] + [draw_texture(1, n) for n in range(30)]
    return floats(np.stack([np.asarray(picture) for picture in drawn]))


@pytest.fixture(scope="module")
def basis(drawn_BCHW: torch.Tensor) -> PatchBasis:
    return fit_basis(drawn_BCHW)


def test_the_stock_encoder_computes_the_matrix_product(drawn_BCHW: torch.Tensor, basis: PatchBasis) -> None:
    vae = build_vae()
    write_encoder(vae, basis)
    with torch.no_grad():
        found = vae.encode(drawn_BCHW).latent_dist
    assert (found.mean - basis.encode(drawn_BCHW)).abs().max() < 0.01
    assert found.std.max() < 0.02


def test_the_basis_can_be_read_back_from_the_encoder(basis: PatchBasis) -> None:
    vae = build_vae()
    write_encoder(vae, basis)
    again = basis_of_vae(vae)
    assert all(torch.equal(getattr(again, name), getattr(basis, name)) for name in ("first", "second", "shift"))


def test_latents_have_unit_scale_and_keep_most_of_the_picture(drawn_BCHW: torch.Tensor, basis: PatchBasis) -> None:
    latents = basis.encode(drawn_BCHW)
    assert latents.shape == (60, 12, 16, 16)
    assert 0.8 < latents.square().mean().sqrt() < 1.3
    assert psnr(basis.decode(latents), drawn_BCHW).mean() > 25


def test_folding_is_undone_by_unfolding(drawn_BCHW: torch.Tensor) -> None:
    assert torch.equal(unfolded(folded(drawn_BCHW)), drawn_BCHW)


def test_psnr_of_a_known_error_is_known() -> None:
    flat = torch.zeros(1, 3, 8, 8)
    assert psnr(flat, flat + 2 * 10 / 255).item() == pytest.approx(20 * np.log10(255 / 10), abs=0.5)
