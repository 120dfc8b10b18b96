"""Which LoRA files may take part in a comparison, and by which words and at which strength."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from storage.evaluation_entry import EntryRefused, Said, entries
from storage.lora_file import read_header, read_tensor, write_lora
from tests.lora_files import lora, ours


def test_words_and_strength_come_from_our_own_files_and_the_command_line_has_the_last_word(tmp_path: Path) -> None:
    file = ours(tmp_path / "a.safetensors", lorasmith__recommended_scale="0.8")
    (entry,) = entries([file], Said())
    assert (entry.base, entry.trigger, entry.class_word, entry.style) == ("pocket", "zorvex", "toy", False)
    assert (entry.scale, entry.scale_from, entry.name) == (0.8, "header", "a")
    (tmp_path / "a.json").write_text(json.dumps({"preferred weight": 0.65}))
    assert entries([file], Said())[0].scale == 0.65
    said = Said(base="pocket", trigger="quadax", class_word="cat", scale=1.2)
    told = entries([file], said)[0]
    assert (told.trigger, told.class_word, told.scale, told.scale_from) == ("quadax", "cat", 1.2, "command")
    other = lora(tmp_path / "theirs.safetensors", seed=1)
    assert (entries([other], said)[0].scale, entries([other], replace(said, scale=None))[0].scale) == (1.2, 1.0)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (
            Said(class_word="dog"),
            "theirs.safetensors does not say which word calls its subject; give it with --trigger",
        ),
        (Said(trigger="zorvex"), "does not say what kind of thing it shows; give it with --class-word"),
        (Said(base="sdxl"), "theirs.safetensors is a LoRA for pocket, and the base model is sdxl"),
    ],
)
def test_what_a_file_does_not_say_is_asked_for_by_name(said: Said, answer: str, tmp_path: Path) -> None:
    with pytest.raises(EntryRefused, match=answer):
        entries([lora(tmp_path / "theirs.safetensors")], said)


def test_of_several_subjects_one_is_named(tmp_path: Path) -> None:
    file = ours(tmp_path / "two.safetensors", lorasmith__concepts='[["zorvex", "toy"], ["kredax", "robot"]]')
    with pytest.raises(EntryRefused, match="--trigger zorvex --class-word toy or --trigger kredax --class-word robot"):
        entries([file], Said())
    assert entries([file], Said(trigger="kredax"))[0].class_word == "robot"


def test_files_that_are_missing_broken_foreign_or_of_different_bases_are_refused_by_name(tmp_path: Path) -> None:
    one, far = ours(tmp_path / "one.safetensors"), lora(tmp_path / "far.safetensors", base="sdxl", only=8)
    said = Said(trigger="zorvex", class_word="toy")
    (tmp_path / "text.safetensors").write_text("no LoRA")
    strange = tmp_path / "strange.safetensors"
    write_lora(strange, {"a.lora_down.weight": np.ones((2, 4), np.float16)}, {})
    dropped = tmp_path / "dropped.safetensors"
    _with_stranger(one, dropped)
    for files, answer in (
        ([tmp_path / "none.safetensors"], "there is no LoRA file"),
        ([tmp_path / "text.safetensors"], "is no LoRA that can be read"),
        ([strange], "strange.safetensors is a LoRA for no base model that is known here"),
        ([one, far], "one.safetensors is for pocket and .*far.safetensors is for sdxl: compare them apart"),
        ([one, one], "is the same LoRA as"),
        ([one] * 9, "9 LoRAs are too many"),
        ([dropped], "keys would be dropped, such as lora_unet_nowhere"),
    ):
        with pytest.raises(EntryRefused, match=answer):
            entries(files, said)


def _with_stranger(file: Path, out: Path) -> None:
    """The same LoRA with a module that the base does not have."""
    header = read_header(file)
    tensors = {name: read_tensor(file, name, header=header, max_bytes=1 << 20) for name in header.tensors}
    tensors["lora_unet_nowhere.lora_down.weight"] = np.ones((2, 4), np.float16)
    tensors["lora_unet_nowhere.lora_up.weight"] = np.ones((4, 2), np.float16)
    write_lora(out, tensors, header.metadata)


def test_files_of_one_name_are_told_apart_by_their_folders_whatever_their_order(tmp_path: Path) -> None:
    files = [ours(tmp_path / run / "lora.safetensors", seed=n) for n, run in enumerate(("first", "second"))]
    names = {entry.sha256: entry.name for entry in entries(files, Said())}
    assert sorted(names.values()) == ["first/lora", "second/lora"]
    assert {entry.sha256: entry.name for entry in entries(files[::-1], Said())} == names
    assert entries(files[:1], Said())[0].name == "lora"
