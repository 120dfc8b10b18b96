"""The comparison of designs compares: on recorded curves the product's own loses less than one parabola, and no constant does."""

from __future__ import annotations

from tests.benchmarks.scale_designs import DESIGNS, regrets
from tests.benchmarks.trainings import interval


def test_the_product_s_own_design_loses_less_than_one_parabola_and_far_less_than_any_constant() -> None:
    few = [design for design in DESIGNS if design.name in ("always 1.0", "5 even, one parabola", "4 + 2, 4 others")]
    found = regrets(few, 16)
    constant, parabola, ours = (interval(found[design.name])[0] for design in few)
    assert all(regret >= 0.0 for many in found.values() for regret in many)
    assert ours < 0.8 * parabola
    assert ours < constant / 3
