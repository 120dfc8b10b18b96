"""Small charts: what was chosen stands inside the frame, every number can be read aloud, axes have round numbers."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest

from storage.axes import BOTTOM, HEIGHT, TOP, WIDTH, round_numbers
from storage.charts import Line, chart


def test_a_chart_marks_the_chosen_step_and_shades_the_band_inside_its_frame() -> None:
    drawn = chart(Line(title="t <x>", points=[(0, 0.1), (1, 0.4), (2, 0.2)], marked=1, band=(-5, 9)))
    assert drawn.count("<circle") == 3
    assert "t &lt;x&gt;" in drawn
    width = float(re.search(r'class="band"[^>]*width="([\d.]+)"', drawn)[1])  # type: ignore[index]
    assert 0 < width <= 340
    assert chart(Line(title="t", points=[])) == ""


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.3, 0.76, (0.2, 0.4, 0.6, 0.8)),
        (0.94, 0.97, (0.94, 0.95, 0.96, 0.97)),
        (1.0, 1.0, (1.0, 1.01)),
        (0.0, 1.29, (0.0, 0.5, 1.0, 1.5)),
    ],
)
def test_the_upright_axis_has_round_numbers_around_all_points(
    low: float, high: float, expected: tuple[float, ...]
) -> None:
    assert round_numbers(low, high) == pytest.approx(expected)


def test_how_sure_a_point_is_and_what_happened_are_drawn_inside_and_read_aloud() -> None:
    line = Line(
        title="Error", points=[(40, 0.9), (80, 0.8)], whiskers=[(40, 0.5, 1.3)], second=[(40, 0.7), (80, 0.6)],
        second_name="training", name="unseen", events=[(60, "rate <halved>"), (900, "outside")], span=(0, 160), level=1.0,
    )  # fmt: skip
    drawn = chart(line)
    spoken = re.search(r'aria-label="([^"]+)"', drawn)[1]  # type: ignore[index]
    assert spoken.startswith("Error. step 40: 0.90, from 0.50 to 1.30, training 0.70; step 80: 0.80, training 0.60")
    assert "rate &lt;halved&gt; at step 60" in spoken
    assert drawn.count('class="event"') == 1, "what lies outside of the axis is not drawn"
    heights = [float(y) for y in re.findall(r"V([\d.]+)", drawn.partition('class="whisker"')[2].partition("/>")[0])]
    assert all(TOP <= y <= HEIGHT - BOTTOM for y in heights), "the axis has room for the whisker"
    ends = re.findall(r'<text class="name"[^>]*>(\w+)<', drawn)
    assert ends == ["unseen", "training"]


def test_a_curve_that_begins_at_nothing_does_not_make_much_of_little() -> None:
    flat = [(0.0, 1.0), (10.0, 1.0)]
    assert ">0\u00a0%<" in chart(Line(title="t", points=flat, percent=True, from_zero=True))
    assert ">0\u00a0%<" not in chart(Line(title="t", points=flat, percent=True))


def test_numbers_below_a_chart_stand_apart_and_inside() -> None:
    close = [(x, 1.0 + x) for x in (0.25, 0.5, 0.75, 1.0, 1.125, 1.25, 1.375)]
    below = re.findall(
        r'<text x="([\d.]+)" y="\d+" text-anchor="middle">([\d.]+)<', chart(Line(title="t", points=close))
    )
    reach = [(float(x) - 3 * len(text), float(x) + 3 * len(text)) for x, text in below]
    assert all(right < left for (_, right), (left, _) in pairwise(reach))
    assert reach[-1][1] <= WIDTH
    assert [text for _, text in below][:4] == ["0.25", "0.5", "0.75", "1"]


def test_the_name_of_a_curve_keeps_off_its_last_whisker() -> None:
    line = Line(
        title="t", points=[(0, 1.0), (9, 1.0)], name="unseen", whiskers=[(9, 0.8, 1.4)], second=[(0, 0.6), (9, 0.6)],
        second_name="training",
    )  # fmt: skip
    drawn = chart(line)
    top = float(re.search(r'class="whisker" d="M[\d.]+ [\d.]+V([\d.]+)', drawn)[1])  # type: ignore[index]
    name = float(re.search(r'class="name" x="[\d.]+" y="([\d.]+)"', drawn)[1])  # type: ignore[index]
    assert name < top


def test_numbers_that_went_wrong_are_left_out_and_the_rest_is_drawn() -> None:
    nan, inf = math.nan, math.inf
    line = Line(
        title="Error", points=[(40, 0.9), (80, nan), (120, inf), (160, 0.8)], whiskers=[(40, nan, 1.0), (160, 0.7, inf)],
        second=[(40, 0.7), (80, -inf)], fitted=[(40, 0.9), (80, nan)], marked=nan, level=inf, band=(nan, 80),
        doubt=(40, inf), events=[(nan, "never")], span=(nan, 200),
    )  # fmt: skip
    drawn = chart(line)
    assert drawn.count("<circle") == 2
    assert "nan" not in drawn
    assert "inf" not in drawn
    assert chart(Line(title="t", points=[(0, nan)], level=1.0)) == ""
