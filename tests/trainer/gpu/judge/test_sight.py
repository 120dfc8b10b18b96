"""An eye that looks for faces, and pictures without one: zeros are no place to move from or to."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from storage.domain.plan import PreviewPrompt
from trainer.gpu import judge
from trainer.gpu.judge.eyes import Eyes
from trainer.gpu.judge.sight import likeness, toward
from trainer.gpu.latents import Encoded
from trainer.gpu.pictures import Framed, Shape

SOMEBODY, NOBODY = normalize(torch.tensor([1.0, 0.5, 0.0]), dim=-1), torch.zeros(3)
MEMBER = normalize(torch.tensor([[0.3, 1.0, 0.1], [0.3, 1.0, -0.1], [0.2, 1.0, 0.0]]), dim=-1)
BASE = torch.stack([SOMEBODY, SOMEBODY])
WAY = toward(BASE, MEMBER)


def test_a_face_that_is_gone_is_not_the_members_and_half_of_them_gone_is_half_the_way() -> None:
    opposite = toward(-MEMBER[:2], MEMBER)
    assert likeness(torch.stack([NOBODY, NOBODY]), -MEMBER[:2], opposite) == 0.0, "gone is no halfway house"
    assert likeness(torch.stack([NOBODY, NOBODY]), BASE, WAY) == 0.0
    there = likeness(MEMBER[:2], BASE, WAY)
    assert there > 0.9
    assert likeness(torch.stack([MEMBER[0], NOBODY]), BASE, WAY) == pytest.approx(there / 2, abs=0.02)


def test_a_base_that_drew_nobody_in_one_place_starts_there_from_its_other_faces() -> None:
    base = torch.stack([SOMEBODY, NOBODY])
    way = toward(base, MEMBER)
    assert torch.equal(way.direction_D, WAY.direction_D)
    assert likeness(MEMBER[:2], base, way) == pytest.approx(likeness(MEMBER[:2], BASE, WAY))
    assert likeness(BASE, base, way) == 0.0, "its own stranger is no nearer for being seen"


class Faces(Eyes):
    """Sees somebody in every picture that is not black."""

    def __init__(self) -> None:
        self.order = ("face", "clip")

    def look(self, images: Sequence[Image.Image]) -> dict[str, Tensor]:
        """To the other eye all are alike."""
        faces = [SOMEBODY if image.getbbox() else NOBODY for image in images]
        return {"clip": torch.ones(len(images), 3), "face": torch.stack(faces)}

    def texts(self, texts: Sequence[str]) -> Tensor:
        """All alike."""
        return torch.ones(len(texts), 3)


def picture(face: str) -> Image.Image:
    return Image.new("RGB", (8, 8), "white" if face == "x" else "black")


def order(taught: str, drawn: str) -> tuple[str, ...]:
    """Who says likeness, where the base drew a face in some seeds of the triggered prompt and in all of the other one."""
    seeds = tuple(range(len(drawn)))
    prompts = [
        PreviewPrompt(text="a zorvex man", plain="a man", seeds=seeds),
        PreviewPrompt(text="a crowd", plain="a crowd", seeds=seeds, with_trigger=False),
    ]
    panel = {(row, seed): picture(drawn[seed] if row == 0 else "x") for row in (0, 1) for seed in seeds}
    side = Shape(height=8, width=8)
    pictures = [
        Framed(id=str(n), sha256="", image=picture(face), shape=side, original=(8, 8), held_out=False)
        for n, face in enumerate(taught)
    ]
    return judge.references(Faces(), prompts, [Encoded(picture=p, kept={}) for p in pictures], panel).order


@pytest.mark.parametrize(
    ("taught", "drawn", "says"),
    [
        ("xxxx", "xx", ("face", "clip")),
        ("xx--", "x-", ("face", "clip")),
        ("x---", "xx", ("clip",)),
        ("xxxx", "x--", ("clip",)),
    ],
)
def test_faces_say_likeness_where_half_of_what_is_taught_and_of_what_the_base_draws_has_one(
    taught: str, drawn: str, says: tuple[str, ...]
) -> None:
    assert order(taught, drawn) == says
