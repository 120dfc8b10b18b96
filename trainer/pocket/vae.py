"""The autoencoder: an encoder that is a matrix product written into stock layers, and a decoder that is trained.

Patches of 4 x 4 pixels are reduced by principal components in two steps (12 numbers to 8, four of those to 12
latents). Nothing of the encoder is trained, so latents can be had by one matrix product before the decoder exists.
Construction and numbers: EXPERIMENTS.md, "Pocket base".
"""

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from trainer.pocket.architecture import LATENT_CHANNELS

# Legend: B pictures, C channels, H height, W width, N samples, D numbers per sample, K components.
FIRST_COMPONENTS = 8
ANCHOR = 150.0  # two constant channels of +-150 fix the variance that the last GroupNorm divides by
LOG_VARIANCE = -9.0


@dataclass(frozen=True, kw_only=True)
class PatchBasis:
    """Two steps of principal components: `first` (8, 12) and `second` (12, 32) with its shift (12)."""

    first: Tensor
    second: Tensor
    shift: Tensor

    def encode(self, pictures_BCHW: Tensor) -> Tensor:
        """Latents (B, 12, H/4, W/4) of pictures in -1..1."""
        halves = torch.einsum("kd,bdhw->bkhw", self.first.to(pictures_BCHW), folded(pictures_BCHW))
        quarters = torch.einsum("kd,bdhw->bkhw", self.second.to(pictures_BCHW), folded(halves))
        return quarters + self.shift.to(pictures_BCHW)[None, :, None, None]

    def decode(self, latents_BCHW: Tensor) -> Tensor:
        """The linear inverse (least squares): the roughest picture of the latents, for progress grids."""
        moved = latents_BCHW - self.shift.to(latents_BCHW)[None, :, None, None]
        halves = torch.einsum("dk,bkhw->bdhw", torch.linalg.pinv(self.second).to(moved), moved)
        return unfolded(torch.einsum("dk,bkhw->bdhw", torch.linalg.pinv(self.first).to(moved), unfolded(halves)))


def folded(values_BCHW: Tensor) -> Tensor:
    """2 x 2 squares as channels; channel 4 taps x C in the order (0,0), (0,1), (1,0), (1,1)."""
    return torch.cat([values_BCHW[:, :, dy::2, dx::2] for dy in (0, 1) for dx in (0, 1)], dim=1)


def unfolded(values_BCHW: Tensor) -> Tensor:
    """The inverse of `folded`."""
    batch, channels, height, width = values_BCHW.shape
    result = values_BCHW.new_empty(batch, channels // 4, 2 * height, 2 * width)
    for tap, part in enumerate(values_BCHW.chunk(4, dim=1)):
        result[:, :, tap // 2 :: 2, tap % 2 :: 2] = part
    return result


def _components(values_BDHW: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (D), leading components (count, D) and their variances (count)."""
    samples_ND = values_BDHW.permute(0, 2, 3, 1).reshape(-1, values_BDHW.shape[1]).double()
    mean_D = samples_ND.mean(dim=0)
    centred_ND = samples_ND - mean_D
    variances, vectors = torch.linalg.eigh(centred_ND.T @ centred_ND / len(centred_ND))
    components_KD = vectors.flip(1)[:, :count].T
    signs_K1 = components_KD.sum(dim=1, keepdim=True).sign()  # eigenvectors have no sign of their own
    return (
        mean_D,
        components_KD * torch.where(signs_K1 == 0, torch.ones_like(signs_K1), signs_K1),
        variances.flip(0)[:count],
    )


def fit_basis(pictures_BCHW: Tensor) -> PatchBasis:
    """The basis of those pictures; latents are half whitened (variance^-1/4) and have a mean square of 1."""
    halves = folded(pictures_BCHW)
    _, first_KD, _ = _components(halves, FIRST_COMPONENTS)
    quarters = folded(torch.einsum("kd,bdhw->bkhw", first_KD.float(), halves))
    mean_D, second_KD, variances_K = _components(quarters, LATENT_CHANNELS)
    scaled_KD = second_KD * variances_K[:, None] ** -0.25
    scaled_KD = scaled_KD / variances_K.sqrt().mean().sqrt()
    return PatchBasis(first=first_KD.float(), second=scaled_KD.float(), shift=-(scaled_KD @ mean_D).float())


@torch.no_grad()
def write_encoder(vae: AutoencoderKL, basis: PatchBasis) -> None:
    """Make the stock encoder compute `basis.encode` (largest difference about 0.005 at a latent scale of 1)."""
    encoder = vae.encoder
    for block in (*encoder.down_blocks, encoder.mid_block):
        for residual in block.resnets:
            _zero(residual.conv2)
    _centre_taps(encoder.conv_in, torch.eye(3))
    for level, channels in ((0, 3), (1, FIRST_COMPONENTS)):
        _space_to_depth(encoder.down_blocks[level].downsamplers[0].conv, channels)
    _shortcut(encoder.down_blocks[1].resnets[0].conv_shortcut, basis.first)
    both = torch.cat([basis.second, -basis.second])
    bias_K = torch.cat([basis.shift, -basis.shift, torch.tensor([ANCHOR, -ANCHOR])])
    _shortcut(encoder.down_blocks[2].resnets[0].conv_shortcut, both, bias_K)
    _transparent_end(vae)


def _transparent_end(vae: AutoencoderKL) -> None:
    """The last norm becomes a fixed scale, and silu(x) - silu(-x) = x undoes the activation."""
    norm, out = vae.encoder.conv_norm_out, vae.encoder.conv_out
    typical = 2 * LATENT_CHANNELS  # each latent has a mean square of about 1 and is carried twice
    norm.weight.fill_(((2 * ANCHOR**2 + typical) / norm.num_channels) ** 0.5)
    norm.bias.zero_()
    eye = torch.eye(LATENT_CHANNELS)
    _centre_taps(out, torch.cat([eye, -eye], dim=1))
    out.bias[LATENT_CHANNELS:] = LOG_VARIANCE
    _identity(vae.quant_conv)


def _zero(layer: nn.Conv2d) -> None:
    layer.weight.zero_()
    if layer.bias is not None:
        layer.bias.zero_()


def _centre_taps(layer: nn.Conv2d, matrix_KD: Tensor) -> None:
    _zero(layer)
    layer.weight[: matrix_KD.shape[0], : matrix_KD.shape[1], 1, 1] = matrix_KD


def _space_to_depth(layer: nn.Conv2d, channels: int) -> None:
    """Stride 2 with padding on the right and below only: tap (dy, dx) is pixel (2i + dy, 2j + dx)."""
    _zero(layer)
    for tap in range(4):
        for channel in range(channels):
            layer.weight[tap * channels + channel, channel, tap // 2, tap % 2] = 1.0


def _shortcut(layer: nn.Conv2d, matrix_KD: Tensor, bias_K: Tensor | None = None) -> None:
    _zero(layer)
    layer.weight[: matrix_KD.shape[0], : matrix_KD.shape[1], 0, 0] = matrix_KD
    if bias_K is not None and layer.bias is not None:
        layer.bias[: len(bias_K)] = bias_K


def _identity(layer: nn.Conv2d) -> None:
    _zero(layer)
    layer.weight[:, :, 0, 0] = torch.eye(layer.weight.shape[0])


@torch.no_grad()
def prepare_decoder(vae: AutoencoderKL) -> None:
    """A start that keeps absolute colour: weak residual branches and two constants for the last norm."""
    for block in (vae.decoder.mid_block, *vae.decoder.up_blocks):
        for residual in block.resnets:
            residual.conv2.weight.mul_(0.1)
    last = vae.decoder.up_blocks[-1].resnets[-1].conv2
    last.weight[-2:].zero_()
    last.bias[-2], last.bias[-1] = 6.0, -6.0
    vae.decoder.conv_norm_out.weight.fill_((2 * 36 / 16 + 0.3) ** 0.5)
    _identity(vae.post_quant_conv)


@torch.no_grad()
def psnr(first_BCHW: Tensor, second_BCHW: Tensor) -> Tensor:
    """Peak signal to noise in dB per picture (B), for values in -1..1; pictures are rounded to bytes first."""
    bytes_of = lambda values: ((values.clamp(-1, 1) + 1) * 127.5).round()  # noqa: E731 -- one expression, used twice
    error_B = (bytes_of(first_BCHW) - bytes_of(second_BCHW)).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(255**2 / error_B.clamp(min=1e-9))
