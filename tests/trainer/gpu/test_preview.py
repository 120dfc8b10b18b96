"""Previews show the file that is handed over, not what happens to be in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.builders import tiny_plan
from trainer.events import Checkpointed, Finished
from trainer.gpu import preview
from trainer.gpu.grid import GAP, LEAST_CELL, Row, cell_px, sheet
from trainer.gpu.memory import halving

Job = Callable[..., Path]


def panel(desk: Any) -> dict[tuple[int, int], bytes]:
    bench = desk.child._bench
    drawn = preview.panel(bench.base, bench.task.plan, bench.words)
    return {cell: image.tobytes() for cell, image in drawn.items()}


def test_previews_come_from_the_file_and_not_from_the_adapter_in_memory(desk: Any, job: Job, one: Any) -> None:
    folder = job(plan=replace(tiny_plan(6, 2), learning_rate=2e-2))
    mark = one(desk.train(folder, 2), Checkpointed)
    base = desk.child._bench.base
    with torch.no_grad():
        for parameter in desk.child._training.adapter.parameters.values():
            parameter.fill_(1e3)
    plain = panel(desk)
    base.wear(folder / mark.lora)
    worn = panel(desk)
    base.wear(None)
    kept = {(p.row, p.seed): Image.open(folder / p.file).convert("RGB").tobytes() for p in mark.previews if not p.base}
    assert worn == kept
    assert worn != plain
    assert panel(desk) == plain


def test_the_base_column_is_drawn_once_an_order(desk: Any, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = job(plan=replace(tiny_plan(6, 2), checkpoint_steps=(1, 2)))
    desk.train(folder, 1)
    desk.forget()
    calls = []
    draw = preview.panel
    monkeypatch.setattr(preview, "panel", lambda *a, **k: calls.append(1) or draw(*a, **k))
    desk.train(folder, 2)
    assert len(calls) == 1  # the checkpoint's own


def test_the_strength_of_a_worn_file_can_be_turned_down_to_nothing(desk: Any, job: Job, one: Any) -> None:
    folder = job(plan=replace(tiny_plan(6, 2), learning_rate=2e-2))
    mark = one(desk.train(folder, 2), Checkpointed)
    base = desk.child._bench.base
    plain = panel(desk)
    base.wear(folder / mark.lora)
    base.weigh(0.0)
    assert panel(desk) == plain
    base.weigh(0.5)
    assert panel(desk) != plain
    base.wear(None)


def test_the_delivered_preview_carries_prompt_strength_and_workflow(desk: Any, job: Job, one: Any) -> None:
    folder = job()
    desk.train(folder, 2)
    done = one(desk.finish(folder, 2), Finished)
    with Image.open(folder / done.files["preview"]) as image:
        assert min(image.size) >= 512
        assert "<lora:blue-toy-4k7m2p9x:" in image.text["parameters"]  # type: ignore[attr-defined]
        assert "LoraLoader" in image.text["workflow"]  # type: ignore[attr-defined]


def test_a_sheet_shows_every_cell_at_a_readable_size() -> None:
    cells = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    rows = [Row(label="a very long prompt " * 20, note="without the trigger", cells=cells)]
    made = sheet("name " * 100, "step 1 of 2", ["without", "with it"], rows)
    colours = made.getcolors(maxcolors=100_000) or []
    counted = {colour: count for count, colour in colours}
    assert counted[255, 0, 0] == counted[0, 0, 255] == LEAST_CELL * LEAST_CELL


@pytest.mark.parametrize(
    ("rows", "columns", "px", "cell"), [(1, 2, 300, 300), (6, 3, 1024, 372), (6, 3, 64, LEAST_CELL)]
)
def test_large_pictures_are_shown_as_large_as_a_sheet_can_be_posted(
    rows: int, columns: int, px: int, cell: int
) -> None:
    heads = ["seed"] * columns
    made = [Row(label="p", note="", cells=[Image.new("RGB", (px, px), "red")] * columns) for _ in range(rows)]
    assert cell_px(heads, made) == cell
    drawn = sheet("name", "step", heads, made)
    assert drawn.height > rows * (cell + GAP)
    assert 2 * drawn.width * drawn.height < 10_000_000, "bytes of a PNG of photographs"


def test_a_long_drawing_is_told_of_at_every_step_of_the_sampler(desk: Any, job: Job) -> None:
    folder = job()
    desk.train(folder, 2)
    bench, told = desk.child._bench, []
    plan = replace(bench.task.plan, preview_steps=5)
    preview.panel(bench.base, plan, bench.words, prompts=plan.prompts[:1], tell=lambda: told.append(1))
    assert len(told) >= 5, "one batch of two pictures: once would be after minutes"
    preview.panel(bench.base, plan, bench.words, prompts=plan.prompts[:1])
    assert len(told) <= 11, "nobody listens to the next drawing"


def test_pictures_are_drawn_in_smaller_batches_when_memory_runs_out() -> None:
    tried = []

    def work(most: int) -> None:
        tried.append(most)
        if most > 2:
            raise torch.OutOfMemoryError("no memory")

    halving(16, work)
    assert tried == [16, 8, 4, 2]
    with pytest.raises(ValueError, match="other"):
        halving(4, lambda _: (_ for _ in ()).throw(ValueError("other")))
