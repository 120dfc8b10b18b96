"""The judge's eyes on bases without one: real classes with random weights, and onnx files that stand for faces."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from transformers import Dinov2Config, Dinov2Model

from storage.domain.measurement import Measurement
from storage.domain.orders import SubjectType
from tests.builders import drawn_pictures, make_job
from tests.trainer.gpu.conftest import Desk, only
from tests.trainer.gpu.test_faces import SIDE, model
from trainer.events import Checkpointed
from trainer.gpu.judge.dino import Dino
from trainer.gpu.judge.eye import eye_of
from trainer.gpu.judge.eyes import ROOM, Eyes, Found, _room, found
from trainer.gpu.judge.identity import PX, TEMPLATE, Identity, similarity
from trainer.gpu.judge.sight import FLOORS, likeness, toward
from trainer.pocket import WEIGHTS
from trainer.pocket.subjects import test_subject

CPU = torch.device("cpu")
WIDE = 3.0
"""Cells that a face takes, where the detector below says that its eyes and mouth are."""


@pytest.fixture(scope="module")
def folders(random_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Any, str]:
    """As `lorasmith fetch eyes` leaves them: CLIP with its tokenizer, DINOv2, a detector and a face embedding."""
    home = tmp_path_factory.mktemp("eyes")
    shutil.copytree(random_base / "judge", home / "judge")
    shutil.copytree(random_base / "tokenizer", home / "judge", dirs_exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 56, "patch_size": 14}
        Dinov2Model(Dinov2Config(**size)).save_pretrained(home / "likeness")
    points = (TEMPLATE / PX - 0.5) * WIDE + 0.5
    model(home / "faces.onnx", points=points)
    embedding(home / "identity.onnx")
    files = {"judge": "judge", "likeness": "likeness", "faces": "faces.onnx", "identity": "identity.onnx"}
    return {name: str(home / file) for name, file in files.items()}


def embedding(file: Path) -> None:
    """A straight face's colours, in 4 x 4 fields, less their middle."""
    onnx = pytest.importorskip("onnx", reason="extra [tags] is not installed")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    tensors = [
        helper.make_tensor("middle", kind, [1], [128.0]),
        helper.make_tensor("row", onnx.TensorProto.INT64, [2], [1, 48]),
    ]
    nodes = [
        helper.make_node("AveragePool", ["data"], ["fields"], kernel_shape=[28, 28], strides=[28, 28]),
        helper.make_node("Sub", ["fields", "middle"], ["centred"]),
        helper.make_node("Reshape", ["centred", "row"], ["fc1"]),
    ]
    taken = [helper.make_tensor_value_info("data", kind, [1, 3, PX, PX])]
    given = [helper.make_tensor_value_info("fc1", kind, [1, 48])]
    graph = helper.make_graph(nodes, "identity", taken, given, tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), file)


def portrait(left: str, right: str, at: tuple[int, int]) -> Image.Image:
    """A face of two halves around the magenta cell that the detector finds."""
    image, reach = Image.new("RGB", (SIDE, SIDE), "green"), int(8 * WIDE / 2)
    x, y = at[0] + 4, at[1] + 4
    draw = ImageDraw.Draw(image)
    draw.rectangle((x - reach, y - reach, x - 1, y + reach - 1), fill=left)
    draw.rectangle((x, y - reach, x + reach - 1, y + reach - 1), fill=right)
    draw.rectangle((at[0], at[1], at[0] + 7, at[1] + 7), fill="magenta")
    return image


def test_a_face_is_known_again_elsewhere_and_another_is_not(folders: dict[Any, str]) -> None:
    eye = Identity(Path(folders["identity"]), Path(folders["faces"]))
    same = [portrait("yellow", "navy", at) for at in ((24, 24), (32, 16))]
    other, nobody = portrait("navy", "yellow", (24, 24)), Image.new("RGB", (SIDE, SIDE), "green")
    seen = eye.look([*same, other, nobody])["face"]
    assert float(seen[0] @ seen[1]) > 0.98
    assert float(seen[0] @ seen[2]) < 0.7
    assert not seen[3].any()


def test_a_face_that_is_turned_and_large_is_laid_onto_the_template() -> None:
    turn = 2.0 * np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]], dtype=np.float32)
    a, b, x, y = similarity(TEMPLATE, TEMPLATE @ turn.T + np.float32([5, -3]))
    assert (a, b) == pytest.approx((2.0 * np.cos(0.4), 2.0 * np.sin(0.4)), abs=1e-4)
    assert (x, y) == pytest.approx((5, -3), abs=1e-2)


def test_a_detector_without_points_is_no_help(tmp_path: Path, folders: dict[Any, str]) -> None:
    with pytest.raises(OSError, match="does not say where eyes and mouth are"):
        Identity(Path(folders["identity"]), model(tmp_path / "pointless.onnx"))


def test_dinov2_sees_a_picture_the_same_in_any_company(folders: dict[Any, str]) -> None:
    eye, pictures = Dino(Path(folders["likeness"])), drawn_pictures(3)
    together, alone = eye.look(pictures)["dinov2"], eye.look(pictures[1:2])["dinov2"]
    assert torch.allclose(together[1], alone[0], atol=1e-5)
    assert together.norm(dim=-1).tolist() == pytest.approx([1.0] * 3)
    assert eye.bytes > 32 * 14 * 14 * 3 * 4


def test_a_style_is_told_from_another_style_whatever_is_shown() -> None:
    """The pocket's judge; what is drawn has other things in other places than the pictures of the style."""
    eye = eye_of(str(WEIGHTS), CPU)
    assert eye is not None
    plain = [replace(test_subject("style", 0), style=None).render("grass", 90 + n) for n in range(6)]
    for number in (1, 4):
        own, other = (test_subject("style", n) for n in (number, number + 1))
        base, way = eye.look(plain)["style"], eye.look(own.pictures(6))["style"]
        drawn = [replace(test_subject("style", 0), style=one.style) for one in (own, other)]
        right, wrong = (eye.look([one.render("grass", 90 + n) for n in range(6)])["style"] for one in drawn)
        toward_it = toward(base, way, FLOORS["style"])
        assert likeness(right, base, toward_it) > 0.8
        assert likeness(wrong, base, toward_it) < likeness(right, base, toward_it) - 0.2
        assert likeness(base, base, toward_it) == 0.0


@pytest.mark.parametrize(
    ("subject", "outside", "own"),
    [
        (SubjectType.OBJECT, ("dinov2", "clip"), ("clip",)),
        (SubjectType.CHARACTER, ("dinov2", "clip"), ("clip",)),
        (SubjectType.PERSON, ("face", "dinov2", "clip"), ("clip",)),
        (SubjectType.STYLE, ("style", "clip"), ("style", "clip")),
    ],
)
def test_who_says_likeness_is_for_the_subject_to_say(
    subject: SubjectType, outside: tuple[str, ...], own: tuple[str, ...], folders: dict[Any, str], random_base: Path
) -> None:
    there, beside = found("elsewhere", folders, CPU), found(str(random_base), folders, CPU)
    assert isinstance(there, Found)
    assert isinstance(beside, Found)
    assert (there.own, beside.own, beside.others) == (False, True, {})
    eyes = Eyes(there, subject)
    assert eyes.order == outside
    assert set(eyes.look(drawn_pictures(1))) == {"clip", *outside}
    assert Eyes(beside, subject).order == own


def test_an_eye_that_cannot_be_opened_is_done_without(folders: dict[Any, str], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    there = found("elsewhere", {**folders, "likeness": str(tmp_path)}, CPU)
    assert there is not None
    assert set(there.others) == {"face"}
    assert found("elsewhere", {**folders, "judge": str(tmp_path)}, CPU) is None
    assert found("elsewhere", {}, CPU) is None


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_an_order_on_a_base_without_a_judge_is_measured_by_what_was_fetched(
    folders: dict[Any, str], random_base: Path, tmp_path: Path, job: Callable[..., Path]
) -> None:
    base = tmp_path / "base"
    shutil.copytree(random_base, base, ignore=shutil.ignore_patterns("judge"))
    make_job(tmp_path / "job", base)
    said = json.loads((tmp_path / "job" / "job.json").read_text())
    (tmp_path / "job" / "job.json").write_text(json.dumps(said | {"eyes": folders}))
    desk = Desk(tmp_path / "told.jsonl")
    measured = Measurement.from_json(only(desk.train(tmp_path / "job", 2), Checkpointed).measurement)
    assert (measured.likeness_by, measured.second_by) == ("dinov2", "clip")
    assert None not in (measured.likeness, measured.second_likeness, measured.adherence, measured.utility)
    assert {"adherence", "likeness"} - measured.intervals.keys() == {"adherence", "likeness"}, "one prompt says nothing"
    assert measured.costs.keys() == {"drawing", "base", "validation", "encoders", "statistics"}
    assert desk.child._loaded is not None
    assert desk.child._loaded.own_eye is None, "what is said of training pictures was not measured with this eye"


@pytest.fixture
def travels(folders: dict[Any, str], monkeypatch: pytest.MonkeyPatch) -> tuple[Found, list[str]]:
    """An eye beside a base on a device that computes nothing, and where it went."""
    there, gone = found("elsewhere", folders, torch.device("meta")), list[str]()
    assert there is not None
    monkeypatch.setattr(there.eye, "travel", lambda device: gone.append(device.type))
    return there, gone


def test_an_eye_visits_the_bases_device_only_where_there_is_room(
    travels: tuple[Found, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    there, gone = travels
    assert there.through(there.eye, lambda: [*gone]) == [], "there is no knowing what room this device has"
    monkeypatch.setattr("trainer.gpu.judge.eyes._room", lambda device, wanted: device.type == "meta" and wanted > 1000)
    assert there.through(there.eye, lambda: [*gone]) == [], "once decided, all of an order is seen alike"
    there = replace(there, _visits={})

    def fail() -> None:
        raise RuntimeError("unheard of")

    with pytest.raises(RuntimeError, match="unheard of"):
        there.through(there.eye, fail)
    assert gone == ["meta", "cpu"], "it goes home whatever happens"
    monkeypatch.setattr("trainer.gpu.judge.eyes._room", lambda *_: False)
    assert there.through(there.eye, lambda: [*gone]) == ["meta", "cpu", "meta"]


def test_an_eye_for_which_room_ran_out_looks_again_at_home_and_stays_there(
    travels: tuple[Found, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    there, gone = travels
    monkeypatch.setattr("trainer.gpu.judge.eyes._room", lambda *_: True)

    def look() -> str:
        if gone[-1] == "meta":
            raise torch.OutOfMemoryError
        return gone[-1]

    assert there.through(there.eye, look) == "cpu"
    assert there.through(there.eye, lambda: len(gone)) == 2


def test_room_is_what_an_eye_takes_and_what_it_computes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (ROOM + 4, 0))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 16)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 10)
    assert _room(torch.device("cuda"), 9), "what the allocator keeps is free too"
    assert not _room(torch.device("cuda"), 10)
    assert not _room(CPU, 9)
