"""What the pictures and texts of an order take once they are encoded: on disk, and in memory where `Fit.caches` says so. Pure.

A picture is kept plain and mirrored, in fp32, at every side that it is seen at; a text is kept in the base's own precision.
"""

from __future__ import annotations

from dataclasses import dataclass

from storage.domain.plan import Plan

LATENT_BYTES = 4
PIXEL_BYTES = 4
"""Of a decoded picture, which stays for the judge: Pillow keeps RGB in four."""


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """What a base's encoders make of pictures and texts."""

    channels: int
    """Of a latent."""
    factor: int
    """Pixels along the side of one latent."""
    tokens: int
    """Of a text; Z-Image keeps texts at their own length, which a caption's bound of 300 letters holds below this."""
    width: int
    pooled: int = 0
    """Width of the one vector a text that some have beside."""

    def latent_bytes(self, px: int) -> int:
        """Of one picture of this area, unmirrored."""
        return self.channels * (px // self.factor) ** 2 * LATENT_BYTES

    def text_bytes(self, number_bytes: int) -> int:
        """Of one text."""
        return (self.tokens * self.width + self.pooled) * number_bytes


ENCODINGS: dict[str, Encoding] = {
    "pocket": Encoding(channels=12, factor=4, tokens=24, width=192, pooled=96),
    "sd15": Encoding(channels=4, factor=8, tokens=77, width=768),
    "sdxl": Encoding(channels=4, factor=8, tokens=77, width=2048, pooled=1280),
    "flux1-dev": Encoding(channels=16, factor=8, tokens=512, width=4096, pooled=768),
    "flux2-klein-4b": Encoding(channels=128, factor=16, tokens=512, width=7680),
    "flux2-klein-9b": Encoding(channels=128, factor=16, tokens=512, width=12288),
    "z-image": Encoding(channels=16, factor=8, tokens=128, width=2560),
}
"""`trainer/gpu/counted.py` puts these shapes through the full-size denoisers, which take no others."""


def most_texts(plan: Plan, pictures: int) -> int:
    """How many texts (`trainer/gpu/captions.texts`) a run shows to its base, where every picture has a caption of its own."""
    concepts = max(1, len(plan.concepts))
    captions = concepts * len(plan.captions) + pictures
    prior = 0 if plan.prior == "none" else concepts * (len(plan.captions) + pictures + len(plan.prior_prompts))
    return 1 + 2 * len(plan.prompts) + captions * (1 + plan.caption_shuffle) + prior


def latent_bytes(plan: Plan, pictures: int) -> int:
    """Of all pictures of a plan, class pictures too."""
    encoding, ways = ENCODINGS[plan.base], 2 * (2 if plan.latents == "sampled" else 1)
    own = sum(encoding.latent_bytes(px) for px in (plan.resolution, *plan.resolutions))
    return ways * (pictures * own + _drawn(plan) * encoding.latent_bytes(plan.resolution))


def text_bytes(plan: Plan, pictures: int, number_bytes: int) -> int:
    """Of all texts, at most."""
    return most_texts(plan, pictures) * ENCODINGS[plan.base].text_bytes(number_bytes)


def picture_bytes(plan: Plan, pictures: int) -> int:
    """Of the decoded pictures, which lie in main memory wherever the caches are."""
    own = sum(px**2 for px in (plan.resolution, *plan.resolutions))
    return PIXEL_BYTES * (pictures * own + _drawn(plan) * plan.resolution**2)


def _drawn(plan: Plan) -> int:
    return plan.prior_pictures if plan.prior == "class_pictures" else 0
