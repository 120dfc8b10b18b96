"""What a comparison of LoRAs says: means, intervals, ratios to the base, the table and the page."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from storage.evaluation import Contestant, Evaluation, Scores, mean_of, ratio_of, result_of, values_of
from storage.evaluation_bars import Bar, bars
from storage.evaluation_page import evaluation_page
from storage.evaluation_words import table

BASE = Scores(
    text=[0.30, 0.28, 0.33],
    picture=[0.50, 0.52, 0.48],
    likeness=[0.0, 0.0, 0.0],
    contrast=[0.05, 0.06, 0.07],
    spread=[0.2, 0.3, 0.25],
)
LORA = Scores(
    text=[0.29, 0.30, 0.31],
    picture=[0.70, 0.72, 0.68],
    likeness=[0.5, 0.7, 0.9],
    contrast=[0.04, 0.06, 0.08],
    spread=[0.1, 0.15, 0.125],
)


def contestant(name: str, scores: Scores, *, file: str | None = None) -> Contestant:
    return Contestant(
        name=name,
        file=file,
        sha256="ab" * 32 if file else None,
        scale=0.8 if file else None,
        trigger="zorvex",
        class_word="dog",
        pictures=6,
        seconds=1.25,
        scores=scores,
        values=values_of(scores, BASE),
    )


@pytest.fixture
def found() -> Evaluation:
    return Evaluation(
        base="pocket",
        labels=["a dog on grass", "a dog at sea", "a <b>red</b> dog"],
        lines=[
            "a {trigger} {class_word} on grass",
            "a {trigger} {class_word} at sea",
            "a <b>red</b> {trigger} {class_word}",
        ],
        seeds=[[1, 2], [1001, 1002], [2001, 2002]],
        training_pictures=8,
        eyed=True,
        contestants=[
            contestant("base", BASE),
            contestant("<script>|one", LORA, file="/somewhere/one.safetensors"),
        ],
    )


def test_the_base_against_itself_is_one_hundred_percent_and_a_lora_is_a_ratio_of_means() -> None:
    base, lora = values_of(BASE, BASE), values_of(LORA, BASE)
    for name in ("adherence", "variety"):
        value = base[name]
        assert value is not None
        assert (value.mean, value.low, value.high) == (1.0, 1.0, 1.0)
    assert lora["variety"] is not None
    assert (lora["variety"].mean, lora["variety"].low) == (pytest.approx(0.5), pytest.approx(0.5))
    assert lora["likeness"] is not None
    assert lora["likeness"].mean == pytest.approx(0.7)
    assert lora["likeness"].low is not None
    assert lora["likeness"].high is not None
    assert 0.5 <= lora["likeness"].low < 0.7 < lora["likeness"].high <= 0.9
    assert lora["adherence"] is not None
    assert lora["adherence"].mean == pytest.approx(1.0), "a mean of ratios would be 0.98"


def test_intervals_come_from_prompts_are_repeatable_and_shrink_with_their_number() -> None:
    few, many = mean_of([0.1, 0.5, 0.9]), mean_of([0.1, 0.5, 0.9] * 20)
    assert few is not None
    assert many is not None
    assert few == mean_of([0.1, 0.5, 0.9])
    assert few.low is not None
    assert few.high is not None
    assert many.low is not None
    assert many.high is not None
    assert (many.high - many.low) < (few.high - few.low) / 3
    alone = mean_of([0.4])
    assert alone is not None
    assert (alone.mean, alone.low, alone.high) == (0.4, None, None)


@pytest.mark.parametrize("base", [[0.1, -0.2, 0.05], [0.0, 0.0, 0.0], [0.3, 0.2]])
def test_a_base_that_does_not_surely_do_it_itself_is_nothing_to_hold_others_against(base: list[float]) -> None:
    assert ratio_of([0.1, 0.1, 0.1], base) is None


def test_the_result_holds_every_number_and_null_for_what_was_not_measured(found: Evaluation) -> None:
    result = result_of(found)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    base, lora = result["contestants"]
    assert (base["file"], base["scale"], lora["scale"]) == (None, None, 0.8)
    assert set(lora["measures"]) == {"clip_text", "clip_picture", "likeness", "adherence", "variety"}
    assert lora["by_prompt"]["likeness"] == [0.5, 0.7, 0.9]
    bare = replace(LORA, likeness=[], picture=[], spread=[])
    blind = result_of(replace(found, contestants=[contestant("base", bare)]))["contestants"][0]
    assert blind["measures"]["likeness"] is blind["by_prompt"]["likeness"] is None
    assert blind["measures"]["clip_text"]["mean"] == pytest.approx(0.3)


def test_the_table_and_the_page_show_what_was_measured_and_format_nothing_of_a_file_name(found: Evaluation) -> None:
    said = table(found)
    rows = [line for line in said.splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 9 for row in rows), "a bar in a name begins no column"
    assert "\\<script\\>" in said
    jpeg = io.BytesIO()
    Image.new("RGB", (8, 6), "teal").save(jpeg, "JPEG")
    page = evaluation_page(found, {(0, 0): jpeg.getvalue(), (0, 1): jpeg.getvalue()})
    assert "<script" not in page
    assert "<b>red" not in page
    assert page.count('width="8" height="6" src="data:image/jpeg') == 2
    assert (
        'alt="a dog on grass, drawn by &lt;script&gt;|one: CLIP text 0.290, likeness 50 % over all its seeds"' in page
    )
    assert page.count("No picture.") == 4
    assert page.count('role="img"') == 5


def test_what_is_missing_is_said_with_its_reason(found: Evaluation) -> None:
    bare = replace(LORA, likeness=[], picture=[], spread=[], contrast=[])
    without = replace(found, seeds=[[1]] * 3, training_pictures=0, contestants=[contestant("base", bare)])
    for text in (table(without), evaluation_page(without, {})):
        assert "it needs the training pictures" in text
        assert "it needs two seeds or more" in text
        assert "does not surely follow these prompts" in text
    blind = replace(without, eyed=False, contestants=[contestant("base", Scores())])
    assert "no encoder beside this base model" in table(blind)
    assert "<svg" not in evaluation_page(blind, {})


def test_shares_are_bars_from_nothing_and_cosines_dots_on_an_axis_of_their_own() -> None:
    def bar(name: str, mean: float | None) -> Bar:
        around = (None, None) if mean is None else (mean - 0.02, mean + 0.02)
        return Bar(name=name, mean=mean, low=around[0], high=around[1], said="x", label="y")

    drawn = ET.fromstring(bars("t", [bar("a" * 90, 0.5), bar("&b", None)], percent=True))  # noqa: S314 -- our own
    assert [float(rect.attrib["x"]) for rect in drawn.iter("rect")] == [8.0]
    assert "not measured" in "".join(drawn.itertext())
    dots = ET.fromstring(bars("t", [bar("a", 0.31), bar("b", 0.33)], percent=False))  # noqa: S314 -- as above
    assert not list(dots.iter("rect"))
    at = [float(circle.attrib["cx"]) for circle in dots.iter("circle")]
    assert at[1] - at[0] > 40
    assert bars("t", [bar("a", None)], percent=True) == ""
