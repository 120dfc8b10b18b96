"""The look at all pictures, by the real child's own code on a tiny base."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from storage.domain.captions import question
from storage.domain.doctor import from_json
from storage.domain.orders import SubjectType
from tests.builders import make_job, tiny_base, tiny_plan
from trainer.events import Examine
from trainer.gpu import examination, job
from trainer.gpu.bench import Loaded, load
from trainer.gpu.child import failure
from trainer.gpu.cropping import Face
from trainer.gpu.examination import NoDetector, NoFaces


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


def a_person(folder: Path, loaded: Loaded, **fields: Any) -> job.Task:
    plan = replace(tiny_plan(), subject_type=SubjectType.PERSON, **fields)
    make_job(folder, loaded.source, plan=plan)
    return job.read(folder)


class OneFace:
    """Finds a face in the first three pictures, and remembers whom it was shown."""

    def __init__(self, file: Path) -> None:  # noqa: ARG002  # it needs none
        self.shown = 0

    def of(self, image: Image.Image) -> tuple[Face, ...]:
        assert image.mode == "RGB"
        self.shown += 1
        found = Face(left=0.1, top=0.2, right=0.3, bottom=0.4), Face(left=0.8, top=0.8, right=0.9, bottom=0.9)
        return found if self.shown <= 3 else ()


def test_faces_are_looked_for_in_people_and_characters_alone(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "Faces", OneFace)
    command = Examine(folder=str(tmp_path), faces="somewhere.onnx")
    task = a_person(tmp_path, loaded)
    found = examination.faces(task, command)
    assert list(found) == ["p0", "p1", "p2"]
    said = examination.examined(task, loaded, {}, found)
    assert said.faces == dict.fromkeys(("p0", "p1", "p2"), (0.1, 0.2, 0.3, 0.4)), "the largest one of each"
    assert not any("faceless" in text for text in said.pictures.values()), "a person's back is fine"
    assert examination.faces(task, Examine(folder=str(tmp_path))) == {}
    make_job(tmp_path, loaded.source)  # an object
    assert examination.faces(job.read(tmp_path), command) == {}
    make_job(tmp_path, loaded.source, plan=replace(tiny_plan(), subject_type=SubjectType.CHARACTER))
    assert len(examination.faces(job.read(tmp_path), command)) == 3


def test_a_plan_of_faces_alone_needs_them_and_says_where_there_is_none(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, command = a_person(tmp_path, loaded, crop="face"), Examine(folder=str(tmp_path), faces="nowhere.onnx")
    with pytest.raises(NoDetector, match="lorasmith fetch faces"):
        examination.faces(task, Examine(folder=str(tmp_path)))
    with pytest.raises(NoDetector, match="cannot be used") as broken:
        examination.faces(task, command)
    assert (failure(broken.value).fault, failure(broken.value).retry) == ("machine", False)
    monkeypatch.setattr(examination, "Faces", OneFace)
    said = examination.examined(task, loaded, {}, examination.faces(task, command))
    assert sorted(id_ for id_, text in said.pictures.items() if "faceless" in text) == ["p3", "p4", "p5"]
    monkeypatch.setattr(OneFace, "of", lambda *_: ())
    with pytest.raises(NoFaces, match="none was found in any of the pictures") as none:
        examination.faces(task, command)
    assert failure(none.value).fault == "pictures"


def test_a_detector_that_fails_costs_no_order_that_can_do_without(
    loaded: Loaded, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert examination.faces(a_person(tmp_path, loaded), Examine(folder=str(tmp_path), faces="nowhere.onnx")) == {}
    assert "no faces were looked for" in caplog.text


@pytest.mark.parametrize(
    "case",
    [
        (SubjectType.PERSON, "the toy with freckles", ""),
        (SubjectType.PERSON, "the toy runs", "the toy runs"),
        (SubjectType.CHARACTER, "the toy shows its paws", ""),
        (SubjectType.STYLE, "an impressionist street", ""),
        (SubjectType.STYLE, "a street", "a street"),
        (SubjectType.OBJECT, "the toy on a shelf", "the toy on a shelf"),
    ],
)
def test_what_the_captioner_is_asked_and_what_of_its_answer_is_kept_go_by_the_plan(
    case: tuple[SubjectType, str, str], loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, answer, kept = case
    asked: list[str] = []

    class Says:
        def __init__(self, folder: Path, device: object) -> None:
            assert (folder, str(device)) == (tmp_path / "model", "cpu")

        def say(self, image: Image.Image, ask: str) -> str:
            assert image.mode == "RGB"
            asked.append(ask)
            return answer

    monkeypatch.setattr(examination, "QwenVl", Says)
    make_job(tmp_path, loaded.source, plan=replace(tiny_plan(), subject_type=subject))
    task = job.read(tmp_path)
    said = examination.captions(task, Examine(folder=str(tmp_path), captioner=str(tmp_path / "model")))
    assert set(said.values()) == ({kept} if kept else set())
    assert asked[0] == question(subject, "toy")
    assert all(task.plan.trigger not in text for text in asked), "a new word would only confuse it"
    assert len(asked) == (6 if kept else 12), "asked once more where it said too much, then left to the templates"


def test_only_pictures_without_words_are_captioned(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_job(tmp_path, loaded.source)
    written = json.loads((tmp_path / "job.json").read_text())
    for picture in written["pictures"][:5]:
        picture["caption"] = "words"
    (tmp_path / "job.json").write_text(json.dumps(written))
    monkeypatch.setattr(examination, "_speaker", lambda *_: lambda image, word: f"{image.width} px of a {word}")
    said = examination.captions(job.read(tmp_path), Examine(folder=str(tmp_path), captioner="x"))
    assert said == {"p5": "80 px of a toy"}
