"""What only eyes can tell of a set of pictures: one that does not belong, two subjects, one background everywhere.

By the directions that the judge sees (cosines between pictures). With few pictures every number is loose, so nothing is said
of fewer than six, and all of it is a proposal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from storage.domain.doctor import Ailment, Finding
from storage.domain.orders import SubjectType
from storage.domain.plan import Plan
from trainer.gpu.judge.eye import Eye
from trainer.gpu.pictures import Framed

FEWEST = 6
FAR = 3.0
"""Robust deviations (median and MAD, at least `EVEN`) below the others' likeness."""
EVEN = 0.02
LEAST_GAP = 0.2
"""Cosine that an outlier must lack. Measured with the pocket's judge on 15 drawn subjects of 8 pictures: at most 0.18 within a
set; with one stranger among eight 25 of 30 strangers lack more. Not measured with other judges."""
TWO_GROUPS = 0.22
"""Mean silhouette (Rousseeuw 1987) of the best split in two. Measured as above: at most 0.17 for one subject; 29 of 30 sets of
two subjects with four pictures each have more."""
LEAST_APART = 0.3
"""Mean distance (1 - cosine) between the groups: pictures that are nearly one have no groups."""
SMALLEST_GROUP = 0.25
"""Share of the pictures; a smaller group is a few outliers."""
ONE_PLACE = 0.8
"""Mean cosine between the pictures' corners from which they are one place. Measured as above: 0.32 to 0.41 in changing places,
0.94 and more in one."""
CORNER = 0.3
"""Side of a corner over the shorter side."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Findings of single pictures by id, and of the set."""

    pictures: dict[str, Finding]
    whole: tuple[Finding, ...]


def diagnosed(eye: Eye, images: Sequence[Image.Image], ids: Sequence[str], subject: SubjectType) -> Diagnosis:
    """What the judge finds. Pictures of a style may show anything: only their outliers are told."""
    if len(images) < FEWEST:
        return Diagnosis(pictures={}, whole=())
    seen_ND = eye.pictures(images)
    out = outliers(seen_ND)
    whole: list[Finding] = []
    if subject is not SubjectType.STYLE:
        if (split := two_groups(seen_ND)) >= TWO_GROUPS:
            whole.append(Finding(ailment=Ailment.MIXED, measure=round(split, 3)))
            out = {}
        if (alike := one_place(eye, images)) >= ONE_PLACE:
            whole.append(Finding(ailment=Ailment.ONE_BACKGROUND, measure=round(alike, 3)))
    found = {ids[n]: Finding(ailment=Ailment.OUTLIER, measure=round(far, 3)) for n, far in out.items()}
    return Diagnosis(pictures=found, whole=tuple(whole))


def diagnosed_by_concept(eye: Eye, plan: Plan, pictures: Sequence[Framed]) -> Diagnosis:
    """What the judge finds, each concept looked at by itself: together they are always two groups, and strangers to each other."""
    groups = [[p for p in pictures if p.id in concept.pictures] for concept in plan.concepts] or [[*pictures]]
    found = [diagnosed(eye, [p.image for p in g], [p.id for p in g], plan.subject_type) for g in groups]
    return Diagnosis(
        pictures={id_: finding for each in found for id_, finding in each.pictures.items()},
        whole=tuple(finding for each in found for finding in each.whole),
    )


def outliers(seen_ND: Tensor) -> dict[int, float]:
    """Pictures whose median cosine to the others lies far below what is usual in the set, with how many deviations below."""
    count = len(seen_ND)
    cosines_NN = seen_ND @ seen_ND.T
    off_diagonal = ~torch.eye(count, dtype=torch.bool)
    likeness_N = torch.stack([cosines_NN[n][off_diagonal[n]].median() for n in range(count)])
    middle = likeness_N.median()
    spread = max(float((likeness_N - middle).abs().median()) / 0.6745, EVEN)
    below_N = middle - likeness_N
    return {
        n: float(below_N[n]) / spread
        for n in range(count)
        if float(below_N[n]) / spread >= FAR and float(below_N[n]) >= LEAST_GAP
    }


def two_groups(seen_ND: Tensor) -> float:
    """Mean silhouette of the best split in two, over splits around every pair of pictures; 0 where one group is tiny."""
    count = len(seen_ND)
    distance_NN = (1.0 - seen_ND @ seen_ND.T).clamp(min=0.0)
    best = 0.0
    for a in range(count):
        for b in range(a + 1, count):
            with_a_N = distance_NN[a] <= distance_NN[b]
            if min(int(with_a_N.sum()), count - int(with_a_N.sum())) < max(2, SMALLEST_GROUP * count):
                continue
            if float(distance_NN[with_a_N][:, ~with_a_N].mean()) < LEAST_APART:
                continue
            best = max(best, float(_silhouettes(distance_NN, with_a_N).mean()))
    return best


def _silhouettes(distance_NN: Tensor, with_a_N: Tensor) -> Tensor:
    """(b - a) / max(a, b) a picture: a is its mean distance to its own group without itself, b to the other."""
    own_NN = with_a_N[:, None] == with_a_N[None, :]
    to_own_N = (distance_NN * own_NN).sum(dim=1) / (own_NN.sum(dim=1) - 1)
    to_other_N = (distance_NN * ~own_NN).sum(dim=1) / (~own_NN).sum(dim=1)
    return (to_other_N - to_own_N) / torch.maximum(to_own_N, to_other_N).clamp(min=1e-6)


def one_place(eye: Eye, images: Sequence[Image.Image]) -> float:
    """Mean cosine between the surroundings: the mean direction of the four corners, where the subject is least often."""
    rims_ND = normalize(torch.stack([eye.pictures(_corners(image)).mean(dim=0) for image in images]), dim=-1)
    cosines_NN = rims_ND @ rims_ND.T
    count = len(images)
    return float((cosines_NN.sum() - count) / (count * (count - 1)))


def _corners(image: Image.Image) -> list[Image.Image]:
    side = max(8, round(CORNER * min(image.size)))
    right, low = image.width - side, image.height - side
    places = ((0, 0), (right, 0), (0, low), (right, low))
    return [image.crop((x, y, x + side, y + side)) for x, y in places]
