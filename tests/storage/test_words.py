"""What is said of a scale and of what a plan draws."""

from __future__ import annotations

from dataclasses import replace

from storage import words
from storage.domain.measurement import ScaleChoice, ScalePoint
from storage.domain.orders import SubjectType
from storage.domain.recipes import PictureOf, plan_for
from storage.plan_file import written

POINT = ScalePoint(scale=0.8, likeness=0.62, adherence=0.9, leakage=0.07, utility=0.7)
CHOICE = ScaleChoice(recommended=0.8, low=0.6, high=1.0, points=(POINT,))


def test_a_scale_is_said_with_its_band_its_doubt_and_what_it_measures_on_pictures_that_did_not_choose_it() -> None:
    assert words.scale_sentence(CHOICE) == "Recommended scale 0.80; good from 0.60 to 1.00 (measured at 1 scales)."
    told = words.scale_sentence(replace(CHOICE, between=(0.35, 0.90), reported=POINT))
    assert "With other prompts it would have been between 0.35 and 0.90." in told, "rarely as far up as down"
    assert told.endswith("had no part in choosing it: likeness 62\u00a0%, prompt 90\u00a0%, spill 7\u00a0%.")
    assert words.scale_sentence(replace(CHOICE, between=(0.8, 0.8))).endswith(
        "With other prompts it would have been the same."
    )
    assert words.scale_sentence(replace(CHOICE, measured=False)).endswith("none was better.")


def test_a_plan_says_how_many_pictures_it_draws_and_what_part_of_its_time_that_takes() -> None:
    plan = plan_for(
        base="pocket",
        subject_type=SubjectType.OBJECT,
        class_word="toy",
        trigger="zorvex",
        seed=7,
        pictures=[PictureOf(id=f"p{n}", dhash=n) for n in range(8)],
    )
    said = words.plan_sentences(plan, 8)
    assert (
        "At most 141 pictures drawn for grids, scale and strip: 50\u00a0% of the time of learning and drawing." in said
    )
    fewer = " ".join(written(replace(plan, scales=3)).split())
    assert "It draws at most 117 pictures, each in the time of about 1.12 steps: 45 % of the time" in fewer.replace(
        " # ", " "
    )
