"""The look at all pictures, by the real child's own code on a tiny base."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from storage.domain.doctor import from_json
from tests.builders import make_job, tiny_base
from trainer.events import Examine
from trainer.gpu import examination, job
from trainer.gpu.bench import Loaded, load


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    base = tiny_base(tmp_path_factory.mktemp("base"))
    folder = tmp_path_factory.mktemp("job")
    make_job(folder, base)
    return load(job.read(folder))


def test_pictures_and_trigger_are_looked_at_and_nothing_is_changed(loaded: Loaded, tmp_path: Path) -> None:
    make_job(tmp_path, loaded.source)
    before = sorted(p.name for p in tmp_path.rglob("*"))
    said = examination.examined(job.read(tmp_path), loaded, {"p0": "on grass"})
    assert said.captions == {"p0": "on grass"}
    assert all(from_json(text) for text in said.pictures.values())
    assert said.trigger_pieces >= 2
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


def test_what_cannot_be_done_costs_no_order(loaded: Loaded, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_job(tmp_path, loaded.source)
    task = job.read(tmp_path)
    assert examination.captions(task, Examine(folder=str(tmp_path))) == {}
    assert examination.captions(task, Examine(folder=str(tmp_path), captioner=str(tmp_path / "nowhere"))) == {}
    assert "there are no captions" in caplog.text
    (tmp_path / "pictures" / "0.png").write_bytes(b"broken")
    assert examination.examined(task, loaded, {}).pictures == {}
    assert "were not looked at" in caplog.text


def test_only_pictures_without_words_are_captioned(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_job(tmp_path, loaded.source)
    written = json.loads((tmp_path / "job.json").read_text())
    for picture in written["pictures"][:5]:
        picture["caption"] = "words"
    (tmp_path / "job.json").write_text(json.dumps(written))
    monkeypatch.setattr(examination, "_speaker", lambda *_: lambda image: f"{image.width} px")
    said = examination.captions(job.read(tmp_path), Examine(folder=str(tmp_path), captioner="x"))
    assert said == {"p5": "80 px"}
