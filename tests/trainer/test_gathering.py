"""Folders as people keep them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from storage.captions import CaptionsRefused
from storage.domain.errors import LorasmithError
from trainer.gathering import gathered


def pictures(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"picture")
    return folder


def test_texts_beside_pictures_are_captions_and_other_texts_are_not(tmp_path: Path) -> None:
    folder = pictures(tmp_path, "a.jpg", "b.png", "c.webp")
    (folder / "a.txt").write_text("on grass\n")
    (folder / "b.caption").write_text("")
    (folder / "notes.txt").write_text("not a caption")
    found = gathered(folder)
    assert [p.name for p in found.files] == ["a.jpg", "b.png", "c.webp", "notes.txt"]
    assert (found.captions, found.empty) == ({"a.jpg": "on grass"}, ("b.png",))


def test_a_text_may_have_its_ending_behind_the_pictures(tmp_path: Path) -> None:
    folder = pictures(tmp_path, "a.jpg", "b.png")
    (folder / "a.jpg.txt").write_bytes(b"\xef\xbb\xbfon grass\r\n")
    (folder / "b.txt").write_text("at sea")
    found = gathered(folder)
    assert found.captions == {"a.jpg": "on grass", "b.png": "at sea"}
    assert [p.name for p in found.files] == ["a.jpg", "b.png"]


def test_pictures_one_folder_further_down_are_pointed_at(tmp_path: Path) -> None:
    pictures(tmp_path / "img" / "10_sks dog", "a.jpg")
    with pytest.raises(LorasmithError, match=r"there are no files in .*; if the pictures lie in img, name .*img"):
        gathered(tmp_path)


def test_metadata_holds_over_texts(tmp_path: Path) -> None:
    folder = pictures(tmp_path, "a.jpg", "b.png")
    (folder / "a.txt").write_text("old")
    (folder / "metadata.jsonl").write_text(json.dumps({"file_name": "a.jpg", "text": "new"}))
    found = gathered(folder)
    assert found.captions == {"a.jpg": "new"}
    assert "metadata.jsonl" not in [p.name for p in found.files]


def test_a_line_for_a_missing_picture_and_a_wrong_encoding_are_refused_by_name(tmp_path: Path) -> None:
    folder = pictures(tmp_path, "a.jpg")
    (folder / "metadata.jsonl").write_text(json.dumps({"file_name": "z.jpg", "text": "x"}))
    with pytest.raises(CaptionsRefused, match=r"z\.jpg"):
        gathered(folder)
    (folder / "metadata.jsonl").unlink()
    (folder / "a.txt").write_bytes("größer".encode("latin-1"))
    with pytest.raises(CaptionsRefused, match=r"a\.txt is not written in UTF-8"):
        gathered(folder)


@pytest.mark.parametrize("inside", [True, False])
def test_a_kohya_folder_brings_its_words(tmp_path: Path, *, inside: bool) -> None:
    folder = pictures(tmp_path / "set" / "10_sks old dog", "a.jpg")
    (folder / "a.txt").write_text("on grass")
    found = gathered(folder if inside else folder.parent)
    assert (found.trigger, found.class_word) == ("sks", "old dog")
    assert found.captions == {"a.jpg": "on grass"}


def test_several_such_folders_are_concepts_of_one_lora_whose_numbers_balance_them(tmp_path: Path) -> None:
    for name, files in {"10_sks old dog": "ab", "20_ohwx man": "ac"}.items():
        pictures(tmp_path / name, *(f"{letter}.jpg" for letter in files))
    (tmp_path / "20_ohwx man" / "a.txt").write_text("on grass")
    (tmp_path / "20_ohwx man" / "c.txt").write_text("")
    found = gathered(tmp_path)
    assert [(c.trigger, c.class_word, c.repeats, c.names) for c in found.concepts] == [
        ("sks", "old dog", 1, ("10_sks old dog/a.jpg", "10_sks old dog/b.jpg")),
        ("ohwx", "man", 2, ("20_ohwx man/a.jpg", "20_ohwx man/c.jpg")),
    ]
    assert [found.called(file) for file in found.files] == [name for c in found.concepts for name in c.names]
    assert (found.captions, found.empty) == ({"20_ohwx man/a.jpg": "on grass"}, ("20_ohwx man/c.jpg",))
    assert (found.trigger, found.class_word) == ("sks", "old dog")
    assert [found.trigger_of(name) for name in ("10_sks old dog/a.jpg", "20_ohwx man/a.jpg")] == ["sks", "ohwx"]


def test_mixed_folders_are_refused_with_what_to_do(tmp_path: Path) -> None:
    pictures(tmp_path / "10_sks dog", "a.jpg")
    (tmp_path / "loose.jpg").write_bytes(b"")
    with pytest.raises(LorasmithError, match=r"holds files beside 10_sks dog"):
        gathered(tmp_path)
    (tmp_path / "loose.jpg").unlink()
    pictures(tmp_path / "my cat", "a.jpg")
    with pytest.raises(
        LorasmithError, match=r"my cat does not say how they are called\. Name each subfolder like `1_zorvex dog`"
    ):
        gathered(tmp_path)
    (tmp_path / "my cat" / ".lorasmith").mkdir()  # what an earlier training wrote
    assert not gathered(tmp_path).concepts
    with pytest.raises(LorasmithError, match="is not a folder"):
        gathered(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ("5_SKS cat", "10_sks dog, 5_SKS cat have the same word"),
        ("5_cat", "5_cat says one word, and of several subjects each needs two"),
        ("0_zwx cat", "would be seen 0 times"),
    ],
)
def test_concepts_that_cannot_be_told_apart_or_are_never_seen_are_refused(other: str, why: str, tmp_path: Path) -> None:
    for name in ("10_sks dog", other):
        pictures(tmp_path / name, "a.jpg")
    with pytest.raises(LorasmithError, match=why):
        gathered(tmp_path)


def test_an_empty_concept_and_more_pictures_than_one_lora_learns_from_are_refused(tmp_path: Path) -> None:
    pictures(tmp_path / "10_sks dog", *(f"{n}.jpg" for n in range(21)))
    (tmp_path / "5_zwx cat").mkdir()
    with pytest.raises(LorasmithError, match=r"there are no files in .*5_zwx cat"):
        gathered(tmp_path)
    pictures(tmp_path / "5_zwx cat", "notes.txt", *(f"{n}.jpg" for n in range(20)))
    with pytest.raises(
        LorasmithError, match=r"41 pictures in 2 folders; one LoRA learns from at most 40 in all\. Take 1 out"
    ):
        gathered(tmp_path)
