"""What a view is called: the picture's own words, or one of the templates, or nothing."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.builders import make_job, tiny_plan
from trainer.gpu import captions
from trainer.gpu.job import JobRefused, read
from trainer.gpu.latents import Encoded
from trainer.gpu.pictures import Framed, Shape
from trainer.gpu.views import views


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


def test_tags_come_in_the_planned_number_of_orders_behind_those_that_stay() -> None:
    plan = replace(tiny_plan(), caption_shuffle=6, keep_tokens=1, caption_dropout=0.0)
    own = "zorvex toy, red, round, small, old"
    said = [captions.caption(plan, step=s, view=0, own=own) for s in range(400)]
    assert 4 <= len(set(said)) <= 6
    assert all(text.startswith("zorvex toy, ") for text in said)
    assert {tuple(sorted(text.split(", "))) for text in said} == {tuple(sorted(own.split(", ")))}
    assert set(said) <= set(captions.texts(plan, [own])), "each is encoded before the first step"
    where = [text.split(", ").index("red") for text in (captions.orders(own, replace(plan, caption_shuffle=64)))]
    assert all(where.count(place) > 5 for place in (1, 2, 3, 4)), "64 orders: 16 expected at each place"
    kept = replace(plan, keep_tokens=3)
    assert all(captions.orders(own, kept)[n].startswith("zorvex toy, red, round, ") for n in range(6))
    assert captions.orders("a zorvex toy", plan) == ("a zorvex toy",)


def test_shuffling_what_has_no_tags_is_refused_by_name(tmp_path: Path) -> None:
    make_job(tmp_path, "base", plan=replace(tiny_plan(), caption_shuffle=4))
    with pytest.raises(JobRefused, match="caption_shuffle"):
        read(tmp_path)


def test_repeated_pictures_are_seen_more_often_in_every_round(tmp_path: Path) -> None:
    plan = replace(tiny_plan(), repeats=("p1", "p1", "p3"), batch_size=4)
    seen = Counter(
        view.encoded.picture.id
        for step in range(1, 3)
        for view in views(plan, _pictures("p1", "p2", "p3", "p4"), 100, step)
    )
    assert sum(seen.values()) == 8, "a round is 3 + 1 + 2 + 1 views, and the next one has begun"
    long = Counter(
        view.encoded.picture.id
        for step in range(1, 71)
        for view in views(plan, _pictures("p1", "p2", "p3", "p4"), 100, step)
    )
    assert long == {"p1": 120, "p2": 40, "p3": 80, "p4": 40}


def test_a_repeated_picture_that_is_not_there_or_held_out_is_refused_by_name(tmp_path: Path) -> None:
    make_job(tmp_path, "base", plan=replace(tiny_plan(), repeats=("p9",)))
    with pytest.raises(JobRefused, match="repeats: a picture in it is not there"):
        read(tmp_path)
    plan = tiny_plan()
    make_job(tmp_path, "base", plan=replace(plan, repeats=plan.held_out))
    with pytest.raises(JobRefused, match="repeats: a picture in it is held out"):
        read(tmp_path)


def _pictures(*ids: str) -> list[Encoded]:
    blank, shape = Image.new("RGB", (8, 8)), Shape(height=8, width=8)
    return [
        Encoded(
            picture=Framed(id=id_, sha256=id_, image=blank, shape=shape, original=(8, 8), held_out=False),
            kept={"plain": torch.zeros(1, 1, 1), "mirrored": torch.zeros(1, 1, 1)},
        )
        for id_ in ids
    ]
