"""Abstract textures for the autoencoder: dead leaves, lines and noise with random colour statistics.

Overlapping shapes with power-law sizes have the edge and scale statistics of natural pictures
(https://doi.org/10.1023/A:1011109015675), so the decoder meets photographs prepared although it never saw one.
"""

import math
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Field = NDArray[np.float64]


def draw_texture(seed: int, index: int, px: int = 64) -> Image.Image:
    """Texture number `index` of a series, RGB, px x px; reads no file."""
    random = Random(f"texture:{seed}:{index}")
    numbers = np.random.default_rng([seed, index])
    palette = _palette(numbers)
    picture = _noise(numbers, palette, px * 2)
    leaves = random.choice((0, 8, 25, 60, 120))
    _leaves(ImageDraw.Draw(picture), random, palette, px * 2, leaves)
    if random.random() < 0.3:
        _lines(ImageDraw.Draw(picture), random, palette, px * 2)
    if random.random() < 0.35:
        picture = picture.filter(ImageFilter.GaussianBlur(random.uniform(0.6, 5)))
    picture = picture.resize((px, px), Image.Resampling.BOX)
    return _light(picture, random, numbers)


def _palette(numbers: np.random.Generator) -> Field:
    """64 colours scattered around one or two centres with a random covariance: natural pictures have few hues."""
    centres = numbers.uniform(20, 235, (2, 3))
    spread = numbers.normal(0, 1, (3, 3)) * numbers.uniform(4, 45)
    grey = numbers.normal(0, numbers.uniform(5, 70), (64, 1))
    colours = centres[numbers.integers(0, 2, 64)] + numbers.normal(0, 1, (64, 3)) @ spread * 0.6 + grey
    if numbers.random() < 0.12:
        colours = np.repeat(colours.mean(axis=1, keepdims=True), 3, axis=1)
    return np.clip(colours, 0, 255)


def _noise(numbers: np.random.Generator, palette: Field, px: int) -> Image.Image:
    """1/f noise in the palette's colours."""
    low = np.fft.fftfreq(px)
    radius = np.hypot(low[:, None], low[None, :])
    radius[0, 0] = 1 / px
    slope = numbers.uniform(0.7, 1.8)
    waves = np.fft.fft2(numbers.normal(0, 1, (2, px, px))) / radius**slope
    field = np.real(np.fft.ifft2(waves))
    field /= np.abs(field).max() + 1e-9
    first, second, third = palette[:3]
    mixed = first + field[0, :, :, None] * (second - first) * 1.2 + field[1, :, :, None] * (third - first) * 0.8
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def _tone(random: Random, palette: Field) -> tuple[int, int, int]:
    red, green, blue = palette[random.randrange(64)]
    return int(red), int(green), int(blue)


def _leaves(draw: ImageDraw.ImageDraw, random: Random, palette: Field, px: int, count: int) -> None:
    for _ in range(count):
        size = min(px * 0.5, px * 0.02 / math.sqrt(random.uniform(0.002, 1)))
        x, y, turn = random.uniform(0, px), random.uniform(0, px), random.uniform(0, math.pi)
        corners = random.choice((3, 4, 4, 5, 12, 12))
        flat = random.uniform(0.25, 1)
        points = []
        for step in range(corners):
            angle = 2 * math.pi * step / corners
            a, b = size * math.cos(angle), flat * size * math.sin(angle)
            points.append((x + a * math.cos(turn) - b * math.sin(turn), y + a * math.sin(turn) + b * math.cos(turn)))
        draw.polygon(points, fill=_tone(random, palette))


def _lines(draw: ImageDraw.ImageDraw, random: Random, palette: Field, px: int) -> None:
    turn, pitch = random.uniform(0, math.pi), random.uniform(3, 16)
    tone, width = _tone(random, palette), random.randint(1, 4)
    across, along = (math.cos(turn), math.sin(turn)), (-math.sin(turn) * 2 * px, math.cos(turn) * 2 * px)
    first = random.uniform(-px, 0)
    for step in range(random.randint(1, 24)):
        x, y = px / 2 + across[0] * (first + step * pitch), px / 2 + across[1] * (first + step * pitch)
        draw.line((x - along[0], y - along[1], x + along[0], y + along[1]), fill=tone, width=width)


def _light(picture: Image.Image, random: Random, numbers: np.random.Generator) -> Image.Image:
    """A light gradient across the frame and some grain."""
    values = np.asarray(picture, dtype=np.float64)
    rows, columns = np.mgrid[-1 : 1 : values.shape[0] * 1j, -1 : 1 : values.shape[1] * 1j]
    turn, depth = random.uniform(0, 2 * math.pi), random.choice((0.0, 0.15, 0.4))
    values = values * (1 + depth * (rows * math.sin(turn) + columns * math.cos(turn)))[:, :, None]
    values += numbers.normal(0, random.choice((0.0, 0.0, 3.0, 8.0)), values.shape)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
