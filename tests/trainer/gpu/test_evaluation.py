"""Several LoRAs and their base on the same prompts and seeds, as the child draws and measures them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from storage.lora_file import read_header, read_tensor, write_lora
from tests.builders import CPU_FIT, drawn_pictures
from trainer.comparison import Comparison, Scored
from trainer.events import Checkpointed, Evaluate, Evaluated, Failed

Job = Callable[..., Path]
PLAINS = ["a toy on grass", "a toy at sea", "a red toy"]
TEXTS = ["a zorvex toy on grass", "a zorvex toy at sea", "a red zorvex toy"]


def trained(desk: Any, job: Job, one: Any, folder: Path) -> tuple[Path, Path, Path]:
    """A LoRA after two steps, one that is ten times as strong, and one of zeros."""
    made = one(desk.train(job(), 2), Checkpointed)
    lora = folder / "a.safetensors"
    shutil.copy(folder / "job" / made.lora, lora)
    header = read_header(lora)
    tensors = {name: read_tensor(lora, name, header=header, max_bytes=1 << 20) for name in header.tensors}
    for name, factor in (("strong", 30.0), ("zeros", 0.0)):
        changed = {k: v * np.array(factor, v.dtype) if k.endswith("up.weight") else v for k, v in tensors.items()}
        write_lora(folder / f"{name}.safetensors", changed, header.metadata)
    return lora, folder / "strong.safetensors", folder / "zeros.safetensors"


def asked(folder: Path, source: Path, files: list[Path], **changed: Any) -> Path:
    """A comparison's folder, as the supervisor writes it."""
    (folder / ".lorasmith/pictures").mkdir(parents=True, exist_ok=True)
    pictures = []
    for n, picture in enumerate(drawn_pictures(4)):
        pictures.append(f".lorasmith/pictures/{n}.png")
        picture.save(folder / pictures[-1])
    entrants = [{"key": "base", "name": "base", "call": 0}]
    entrants += [
        {
            "key": file.stem,
            "name": file.stem,
            "call": 0,
            "lora": str(file),
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }
        for file in files
    ]
    wanted = {
        "base": "pocket",
        "source": str(source),
        "fit": CPU_FIT.to_json(),
        "resolution": 32,
        "preview_steps": 2,
        "guidance": 2.0,
        "seeds": [[1, 2], [3, 4], [5, 6]],
        "labels": PLAINS,
        "calls": [{"texts": TEXTS, "plains": PLAINS}],
        "entrants": entrants,
        "pictures": pictures,
    }
    said = Comparison.model_validate(wanted | changed)
    (folder / ".lorasmith/evaluation.json").write_text(said.model_dump_json())
    return folder


def told(desk: Any, folder: Path) -> Any:
    before = len(desk.told())
    desk.child.obey(Evaluate(folder=str(folder)))
    return desk.told()[before:]


def scores(event: Evaluated) -> dict[str, Scored]:
    """By key, without what a clock says."""
    return {score.key: score.model_copy(update={"seconds": 0.0}) for score in event.scores}


def pictures(folder: Path, key: str) -> dict[str, bytes]:
    return {p.name: Image.open(p).tobytes() for p in sorted((folder / "drawn" / key).glob("*.png"))}


def test_loras_and_base_are_drawn_and_measured_alike_whatever_their_order_and_interruptions(
    desk: Any, job: Job, one: Any, tmp_path: Path, random_base: Path
) -> None:
    lora, strong, zeros = trained(desk, job, one, tmp_path)
    first = asked(tmp_path / "first", random_base, [lora, strong, zeros])
    event = one(told(desk, first), Evaluated)
    found = scores(event)
    assert event.eyed
    assert [score.pictures for score in event.scores] == [6, 6, 6, 6]
    assert all(score.seconds > 0 for score in event.scores)

    # a LoRA of zeros is the base, bit for bit, and has not moved
    assert pictures(first, "zeros") == pictures(first, "base")
    assert found["zeros"].model_copy(update={"key": "base"}) == found["base"]
    assert found["base"].likeness == [0.0, 0.0, 0.0]
    assert pictures(first, "strong") != pictures(first, "base")
    assert found["strong"].text != found["base"].text
    assert all(len(getattr(found["a"], name)) == 3 for name in ("text", "picture", "likeness", "contrast", "spread"))

    # the sheet has a column an entrant and a row a prompt
    with Image.open(first / "grid.png") as sheet:
        assert sheet.width > 4 * 192
        assert sheet.height > 3 * 192
    assert len(list((first / ".lorasmith/shown").rglob("*.jpg"))) == 12

    # in another order, and interrupted: what is missing or damaged is drawn again, the numbers are the same
    other = asked(tmp_path / "other", random_base, [zeros, strong, lora])
    shutil.copytree(first / "drawn", other / "drawn")
    (other / "drawn/strong/001-2.png").unlink()
    (other / "drawn/strong/003-5.png").write_bytes(b"\x89PNG half")
    shutil.rmtree(other / "drawn/a")
    kept = json.loads((other / "drawn/zeros/seconds.json").read_text())
    again = one(told(desk, other), Evaluated)
    assert scores(again) == found
    assert [score.key for score in again.scores] == ["base", "zeros", "strong", "a"]
    assert all(pictures(first, key) == pictures(other, key) for key in found)
    assert json.loads((other / "drawn/zeros/seconds.json").read_text()) == kept

    # without training pictures there is no likeness, with one seed no variety; a changed file is refused by name
    bare = asked(tmp_path / "bare", random_base, [lora], pictures=[], seeds=[[1], [3], [5]])
    score = one(told(desk, bare), Evaluated).scores[1]
    assert (score.likeness, score.picture, score.spread) == ([], [], [])
    assert len(score.contrast) == 3
    shutil.rmtree(bare / "drawn/a")
    lora.write_bytes(strong.read_bytes())
    (failed,) = [event for event in told(desk, bare) if isinstance(event, Failed)]
    assert failed.reason == "a is not the LoRA any more that was looked at"


@pytest.mark.parametrize(
    "changed",
    [
        {"base": "sdxxl"},
        {"labels": PLAINS[:2]},
        {"entrants": [{"key": "base", "name": "base", "call": 1}]},
        {"entrants": [{"key": "base", "name": "base", "call": 0}, {"key": "other", "name": "other", "call": 0}]},
        {"calls": [{"texts": TEXTS, "plains": PLAINS[:1]}]},
    ],
)
def test_a_comparison_whose_parts_do_not_belong_together_is_refused(
    changed: dict[str, Any], desk: Any, tmp_path: Path, random_base: Path
) -> None:
    folder = asked(tmp_path / "wrong", random_base, [], **changed)
    (failed,) = [event for event in told(desk, folder) if isinstance(event, Failed)]
    assert "evaluation.json cannot be used" in failed.reason
    assert not (folder / "drawn").exists()
