"""What eyes can tell of a set: strangers, mixed subjects and one place everywhere, on directions whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from storage.domain.doctor import Ailment
from storage.domain.orders import SubjectType
from storage.domain.plan import Concept
from tests.builders import tiny_plan
from trainer.gpu.doctor import diagnosed, diagnosed_by_concept, one_place, outliers, two_groups
from trainer.gpu.judge.eye import Eye, eye_of
from trainer.gpu.pictures import Framed, Shape
from trainer.pocket.subjects import test_subject as drawn

WEIGHTS = Path(__file__).parents[3] / "trainer/pocket/weights"


def around(seed: int, count: int, spread: float = 0.35) -> Tensor:
    """Directions around one, with cosines of about 1 / (1 + spread^2) between them."""
    generator = torch.Generator().manual_seed(seed)
    centre = normalize(torch.randn(64, generator=generator), dim=0)
    return normalize(centre + spread * torch.randn(count, 64, generator=generator) / 8, dim=-1)


def test_a_stranger_among_eight_is_found_and_an_even_set_has_none() -> None:
    assert outliers(around(1, 8)) == {}
    mixed = torch.cat([around(1, 7), around(2, 1)])
    assert list(outliers(mixed)) == [7]


def test_two_groups_have_the_silhouette_of_their_distances() -> None:
    """Within a group nothing, between them 1: the silhouette of a perfect split is 1."""
    a, b = torch.eye(64)[0], torch.eye(64)[1]
    assert two_groups(torch.stack([a] * 4 + [b] * 4)) == pytest.approx(1.0)
    assert two_groups(around(3, 8)) < 0.2
    assert two_groups(torch.stack([a] * 7 + [b])) == 0.0  # one picture is an outlier and no group


@pytest.fixture(scope="module")
def eye() -> Eye:
    found = eye_of(str(WEIGHTS), torch.device("cpu"))
    assert found is not None
    return found


def pictures(kind: str, index: int, count: int) -> list[Image.Image]:
    return [p.resize((64, 64)) for p in drawn(kind, index).pictures(count, px=128)]  # type: ignore[arg-type]


def test_drawn_sets_are_told_apart_by_the_pockets_judge(eye: Eye) -> None:
    ids = [f"p{n}" for n in range(8)]
    one = diagnosed(eye, pictures("character", 0, 8), ids, SubjectType.CHARACTER)
    assert (one.pictures, one.whole) == ({}, ())
    both = pictures("person", 2, 4) + pictures("character", 3, 4)
    assert [f.ailment for f in diagnosed(eye, both, ids, SubjectType.CHARACTER).whole] == [Ailment.MIXED]
    assert diagnosed(eye, both, ids, SubjectType.STYLE).whole == ()
    stranger = pictures("character", 0, 7) + pictures("person", 1, 1)
    found = diagnosed(eye, stranger, ids, SubjectType.CHARACTER).pictures
    assert {i: f.ailment for i, f in found.items()} == {"p7": Ailment.OUTLIER}


def test_several_concepts_are_looked_at_one_by_one(eye: Eye) -> None:
    """Together they would be mixed subjects; a stranger is one among its own."""
    images = pictures("character", 0, 7) + pictures("person", 1, 1) + pictures("person", 2, 8)
    ids = [f"p{n:02}" for n in range(16)]
    concepts = [
        Concept(trigger=word, class_word="one", pictures=tuple(own)) for word, own in (("a", ids[:8]), ("b", ids[8:]))
    ]
    framed = [
        Framed(id=id_, sha256=id_, image=i, shape=Shape(height=64, width=64), original=(64, 64), held_out=False)
        for id_, i in zip(ids, images, strict=True)
    ]
    plan = replace(tiny_plan(16), subject_type=SubjectType.CHARACTER)
    together = diagnosed_by_concept(eye, plan, framed)
    assert [f.ailment for f in together.whole] == [Ailment.MIXED]
    found = diagnosed_by_concept(eye, replace(plan, concepts=tuple(concepts)), framed)
    assert found.whole == ()
    assert {i: f.ailment for i, f in found.pictures.items()} == {"p07": Ailment.OUTLIER}


def test_one_place_everywhere_is_noticed(eye: Eye) -> None:
    first = pictures("object", 1, 1)[0]
    shifted = [first.transform(first.size, Image.Transform.AFFINE, (1, 0, n, 0, 1, 0)) for n in range(6)]
    found = diagnosed(eye, shifted, list("abcdef"), SubjectType.OBJECT)
    assert [f.ailment for f in found.whole] == [Ailment.ONE_BACKGROUND]
    assert one_place(eye, pictures("object", 1, 6)) < 0.6


def test_of_a_few_pictures_nothing_is_said(eye: Eye) -> None:
    found = diagnosed(eye, pictures("object", 1, 5), list("abcde"), SubjectType.OBJECT)
    assert (found.pictures, found.whole) == ({}, ())
