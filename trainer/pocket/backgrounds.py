"""Eight places, each with its own colours and texture; `spread` moves horizons and details about."""

import math
from collections.abc import Callable
from random import Random

from PIL import Image, ImageDraw

from trainer.pocket.pen import Colour, mixed

_RAMP = Image.linear_gradient("L")


def _ramp(px: int, top: Colour, bottom: Colour) -> Image.Image:
    mask = _RAMP.resize((px, px))
    return Image.composite(Image.new("RGB", (px, px), bottom), Image.new("RGB", (px, px), top), mask)


def _horizon(px: int, random: Random, spread: float, at: float = 0.62) -> int:
    return round(px * (at + 0.09 * spread * random.uniform(-1, 1)))


def _cloud(draw: ImageDraw.ImageDraw, px: int, x: float, y: float) -> None:
    size = 0.085
    for dx, dy, share in ((-0.9, 0.1, 0.7), (0, -0.2, 1.0), (0.9, 0.1, 0.75)):
        left, top, r = (x + dx * size) * px, (y + dy * size) * px, size * share * px
        draw.ellipse((left - r, top - r * 0.7, left + r, top + r * 0.7), fill=(250, 252, 255))


def grass(px: int, random: Random, spread: float) -> Image.Image:
    """Pale sky over a green field with blades."""
    picture = _ramp(px, (150, 205, 240), (205, 232, 246))
    draw, low = ImageDraw.Draw(picture), _horizon(px, random, spread)
    draw.rectangle((0, low, px, px), fill=(98, 178, 74))
    for _ in range(26):
        x, y = random.uniform(0, px), random.uniform(low + px * 0.03, px)
        draw.line((x, y, x + px * 0.015, y - px * 0.045), fill=(66, 140, 52), width=max(1, px // 90))
    return picture


def snow(px: int, random: Random, spread: float) -> Image.Image:
    """Grey-blue sky, white ground, falling flakes."""
    picture = _ramp(px, (168, 184, 204), (206, 216, 228))
    draw, low = ImageDraw.Draw(picture), _horizon(px, random, spread)
    draw.rectangle((0, low, px, px), fill=(240, 245, 252))
    draw.line((0, low, px, low), fill=(200, 212, 228), width=max(1, px // 64))
    for _ in range(22):
        x, y, r = random.uniform(0, px), random.uniform(0, px), px * 0.013
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(255, 255, 255) if y < low else (222, 230, 242))
    return picture


def sea(px: int, random: Random, spread: float) -> Image.Image:
    """Light sky over deep blue-green water with wave lines."""
    picture = _ramp(px, (176, 222, 240), (214, 240, 246))
    draw, low = ImageDraw.Draw(picture), _horizon(px, random, spread, 0.5)
    draw.rectangle((0, low, px, px), fill=(28, 110, 150))
    for row in range(5):
        y = low + px * (0.06 + 0.09 * row)
        shift = random.uniform(0, 6)
        points = [(px * step / 16, y + px * 0.012 * math.sin(step * 1.2 + shift)) for step in range(17)]
        draw.line(points, fill=(110, 185, 205), width=max(1, px // 64))
    return picture


def night(px: int, random: Random, spread: float) -> Image.Image:
    """Dark violet sky with stars and a moon."""
    picture = _ramp(px, (16, 14, 48), (44, 34, 84))
    draw = ImageDraw.Draw(picture)
    for _ in range(24):
        x, y, r = random.uniform(0, px), random.uniform(0, px), px * 0.009
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(240, 236, 200))
    x, y, r = px * (0.85 - 0.7 * (random.random() < spread / 2)), px * 0.14, px * 0.075
    draw.ellipse((x - r, y - r, x + r, y + r), fill=(250, 240, 190))
    return picture


def brick(px: int, random: Random, spread: float) -> Image.Image:
    """A wall of dull red bricks with pale joints."""
    picture = Image.new("RGB", (px, px), (208, 190, 176))
    draw = ImageDraw.Draw(picture)
    tall, wide, joint = px / 9, px / 4.5, px / 70
    left, top = spread * random.uniform(0, wide), spread * random.uniform(0, tall)
    for row in range(-1, 10):
        for column in range(-2, 6):
            x = left + column * wide + (wide / 2 if row % 2 else 0)
            y = top + row * tall
            tone = mixed((158, 84, 68), (140, 66, 54), random.random())
            draw.rectangle((x + joint, y + joint, x + wide - joint, y + tall - joint), fill=tone)
    return picture


def desert(px: int, random: Random, spread: float) -> Image.Image:
    """Warm yellow sky, sun, two rows of sand dunes."""
    picture = _ramp(px, (250, 214, 140), (253, 236, 190))
    draw, low = ImageDraw.Draw(picture), _horizon(px, random, spread, 0.6)
    x, y, r = px * 0.16, px * 0.15, px * 0.08
    draw.ellipse((x - r, y - r, x + r, y + r), fill=(255, 250, 224))
    shift = spread * random.uniform(0, 6)
    for row, tone in enumerate(((226, 178, 104), (208, 154, 82))):
        crest = [
            (px * s / 12, low + px * (0.16 * row + 0.035 * math.sin(s * 0.9 + shift + 2 * row))) for s in range(13)
        ]
        draw.polygon([*crest, (px, px), (0, px)], fill=tone)
    return picture


def room(px: int, random: Random, spread: float) -> Image.Image:
    """Beige wall with a framed window, brown floor, skirting board."""
    picture = Image.new("RGB", (px, px), (226, 208, 188))
    draw, low = ImageDraw.Draw(picture), _horizon(px, random, spread, 0.7)
    draw.rectangle((0, low, px, px), fill=(136, 96, 70))
    draw.rectangle((0, low, px, low + px // 36), fill=(250, 246, 240))
    left = px * (0.68 - 0.6 * (random.random() < spread / 2))
    draw.rectangle((left, px * 0.08, left + px * 0.26, px * 0.36), fill=(120, 84, 60))
    draw.rectangle((left + px * 0.03, px * 0.11, left + px * 0.23, px * 0.33), fill=(172, 214, 232))
    return picture


def sky(px: int, random: Random, spread: float) -> Image.Image:
    """Saturated blue from top to bottom with white clouds."""
    picture = _ramp(px, (62, 140, 226), (128, 188, 244))
    draw = ImageDraw.Draw(picture)
    for x, y in ((0.16, 0.16), (0.84, 0.3), (0.2, 0.86), (0.86, 0.8)):
        move = 0.12 * spread
        _cloud(draw, px, x + random.uniform(-move, move), y + random.uniform(-move, move))
    return picture


BACKGROUND_PAINTERS: dict[str, Callable[[int, Random, float], Image.Image]] = {
    "grass": grass,
    "snow": snow,
    "sea": sea,
    "night": night,
    "brick": brick,
    "desert": desert,
    "room": room,
    "sky": sky,
}
