"""`lorasmith evaluate`: LoRA files in, a folder with a comparison out, with the real child on the pocket."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage.lora_file import read_header, read_tensor, write_lora
from tests.builders import drawn_pictures
from tests.lora_files import ours
from trainer.evaluation import main, parse


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two LoRAs with few modules, the second of zeros; training pictures; two prompts."""
    for name, value in {"THREADS": "1", "NICE": "0"}.items():
        monkeypatch.setenv(f"LORASMITH_{name}", value)
    file = ours(tmp_path / "toy.safetensors")
    header = read_header(file)
    read = {name: read_tensor(file, name, header=header, max_bytes=1 << 20) for name in header.tensors}
    zeros = {name: np.zeros_like(v) if name.endswith("up.weight") else v for name, v in read.items()}
    write_lora(tmp_path / "zeros.safetensors", zeros, header.metadata)
    (tmp_path / "pictures").mkdir()
    for n, picture in enumerate(drawn_pictures(4)):
        picture.save(tmp_path / "pictures" / f"{n}.png")
    (tmp_path / "pictures/notes.md").write_text("no picture")
    (tmp_path / "prompts.txt").write_text("a {} on grass\na {} at sea\n")
    return tmp_path


def asked(place: Path, *more: str, loras: tuple[str, ...] = ("toy", "zeros"), out: str = "out") -> list[str]:
    files = [str(place / f"{name}.safetensors") for name in loras]
    return [*files, "--prompts", str(place / "prompts.txt"), "--out", str(place / out), "--seeds", "2", *more]


def numbers(result: dict[str, Any]) -> dict[str, Any]:
    """By name, without what a clock says."""
    return {
        one["name"]: {key: value for key, value in one.items() if key != "seconds"} for one in result["contestants"]
    }


def test_loras_and_base_are_compared_and_the_same_command_gives_the_same_numbers(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = ("--pictures", str(place / "pictures"))
    assert main(asked(place, *pictures, "--json")) == 0
    said = capsys.readouterr()
    result = json.loads(said.out)
    assert "notes.md is not a picture" in said.err
    found = numbers(result)
    assert list(found) == ["base", "toy", "zeros"]
    assert result["training_pictures"] == 4
    for name in ("base", "zeros"):
        measures = found[name]["measures"]
        assert (measures["likeness"]["mean"], measures["variety"]["mean"]) == (0.0, 1.0)
        assert measures["adherence"] is None or measures["adherence"]["mean"] == 1.0
    assert found["zeros"]["by_prompt"] == found["base"]["by_prompt"] != found["toy"]["by_prompt"]
    out = place / "out"
    assert len(list((out / "drawn").rglob("*.png"))) == 12
    assert (out / "grid.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "page.html").read_text().count("<img ") == 6
    assert "| toy (zorvex toy, scale 1) |" in (out / "table.md").read_text()

    # in another order, with pictures of an interrupted run missing: the same numbers, in the new order
    shutil.rmtree(next((out / "drawn").glob("zeros-*")))
    assert main(asked(place, *pictures, "--json", loras=("zeros", "toy"))) == 0
    said = capsys.readouterr()
    again = json.loads(said.out)
    assert "begun before" in said.err
    assert list(numbers(again)) == ["base", "zeros", "toy"]
    assert numbers(again) == found

    # another comparison does not go on in its folder, and nothing is drawn for it
    assert main(asked(place, "--scale", "0.5", *pictures)) == 1
    assert "holds another comparison" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize(
    ("more", "answer"),
    [
        (["--base", "sdxl"], "is a LoRA for pocket, and the base model is sdxl"),
        (["--prompts", "objectt"], "object is near to it"),
        (["--pictures", "nowhere"], "nowhere is not a folder"),
        (["--out", "full"], "full is not empty; give another --out"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_written(
    more: list[str], answer: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    (place / "full").mkdir()
    (place / "full/mine.txt").write_text("mine")
    assert main(asked(place, *more)) == 1
    assert answer in capsys.readouterr().err.replace("\n", " ")
    assert not (place / "out").exists()
    assert [path.name for path in (place / "full").iterdir()] == ["mine.txt"]


def test_a_style_needs_prompts_of_its_own(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours(place / "style.safetensors", lorasmith__subject="style")
    assert main(asked(place, "--prompts", "live", loras=("style",))) == 1
    assert "is a style, and the prompts live are for things" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize(
    "wrong", [["--seeds", "0"], ["--seeds", "17"], ["--scale", "9"], ["--scale", "nan"], ["--sclae", "1"]]
)
def test_numbers_out_of_bounds_are_refused_on_the_command_line(wrong: list[str], place: Path) -> None:
    with pytest.raises(SystemExit):
        parse(asked(place, *wrong))
