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


def test_several_subjects_and_mixed_folders_are_refused(tmp_path: Path) -> None:
    pictures(tmp_path / "10_sks dog", "a.jpg")
    (tmp_path / "loose.jpg").write_bytes(b"")
    with pytest.raises(LorasmithError, match=r"holds files beside 10_sks dog"):
        gathered(tmp_path)
    pictures(tmp_path / "5_zwx cat", "a.jpg")
    with pytest.raises(LorasmithError, match=r"several subjects \(10_sks dog, 5_zwx cat\)"):
        gathered(tmp_path)
    with pytest.raises(LorasmithError, match="is not a folder"):
        gathered(tmp_path / "nowhere")
