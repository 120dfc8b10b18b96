"""What a view is called: the picture's own words, or one of the templates, or nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import make_job, tiny_plan
from trainer.gpu import captions
from trainer.gpu.job import JobRefused, read


def test_a_picture_with_words_of_its_own_is_always_called_by_them_and_the_others_as_before() -> None:
    plan = replace(tiny_plan(), caption_dropout=0.2)
    own = [captions.caption(plan, step=s, view=0, own="zorvex toy, on grass") for s in range(300)]
    drawn = [captions.caption(plan, step=s, view=0) for s in range(300)]
    assert set(own) == {"", "zorvex toy, on grass"}
    assert [bool(text) for text in own] == [bool(text) for text in drawn]  # dropout does not know captions
    assert 0.1 < own.count("") / 300 < 0.3


def test_all_words_are_encoded_once_and_without_captions_the_list_is_as_it_was() -> None:
    plan = tiny_plan()
    assert captions.texts(plan, ["", "x", "x"]) == (*captions.texts(plan), "x")
    assert captions.texts(plan, ["", ""]) == captions.texts(plan)


def test_a_caption_without_end_is_refused(tmp_path: Path) -> None:
    make_job(tmp_path, "base")
    job = json.loads((tmp_path / "job.json").read_text())
    assert [p["caption"] for p in job["pictures"]] == [""] * 6
    job["pictures"][0]["caption"] = "x" * 2001
    (tmp_path / "job.json").write_text(json.dumps(job))
    with pytest.raises(JobRefused, match="caption length"):
        read(tmp_path)
