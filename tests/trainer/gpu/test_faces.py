"""The face detector: a real, tiny onnx model with YuNet's inputs and outputs, which takes magenta squares for faces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from trainer.gpu.faces import STRIDES, THRESHOLD, Faces, apart, decoded

onnx = pytest.importorskip("onnx", reason="extra [tags] is not installed")
pytest.importorskip("onnxruntime", reason="extra [tags] is not installed")

SIDE = 64
WIDE = 2.0
"""Of a found box, over its cell."""


def model(file: Path, *, side: int = SIDE, without: str = "", cells: int = 0, points: Any = None) -> Path:
    """How red a cell of 8 px is says cls, how blue obj; the coarser grids see nothing. Every box lies around its cell.

    So do the five `points` (5, 2), in cells, where there are any.
    """
    helper, kind, whole = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    nodes, tensors, outputs = [], [helper.make_tensor("most", kind, [1], [255.0])], []

    def constant(name: str, values: Any) -> None:
        array = np.asarray(values)
        tensors.append(
            helper.make_tensor(
                name, whole if array.dtype == np.int64 else kind, array.shape, array.reshape(-1).tolist()
            )
        )

    constant("axes", np.array([1], dtype=np.int64))
    for kind_, channel in (("cls", 2), ("obj", 0)):  # blue comes first
        constant(f"from_{kind_}", np.array([channel], dtype=np.int64))
        constant(f"to_{kind_}", np.array([channel + 1], dtype=np.int64))
        constant(f"row_{kind_}", np.array([1, cells or (side // 8) ** 2, 1], dtype=np.int64))
        nodes += [
            helper.make_node("Slice", ["input", f"from_{kind_}", f"to_{kind_}", "axes"], [f"one_{kind_}"]),
            helper.make_node("AveragePool", [f"one_{kind_}"], [f"mean_{kind_}"], kernel_shape=[8, 8], strides=[8, 8]),
            helper.make_node("Div", [f"mean_{kind_}", "most"], [f"share_{kind_}"]),
            helper.make_node("Reshape", [f"share_{kind_}", f"row_{kind_}"], [f"{kind_}_8"]),
        ]
    for stride in STRIDES:
        many = (side // stride) ** 2
        constant(f"box{stride}", np.tile([0.5, 0.5, np.log(WIDE), np.log(WIDE)], (1, many, 1)).astype(np.float32))
        nodes.append(helper.make_node("Identity", [f"box{stride}"], [f"bbox_{stride}"]))
        for kind_ in ("cls", "obj") if stride > 8 else ():
            constant(f"none_{kind_}{stride}", np.zeros((1, many, 1), dtype=np.float32))
            nodes.append(helper.make_node("Identity", [f"none_{kind_}{stride}"], [f"{kind_}_{stride}"]))
        if points is not None:
            constant(f"five{stride}", np.tile(np.asarray(points).reshape(-1), (1, many, 1)).astype(np.float32))
            nodes.append(helper.make_node("Identity", [f"five{stride}"], [f"kps_{stride}"]))
        names = [f"{kind_}_{stride}" for kind_ in ("cls", "obj", "bbox", *(["kps"] if points is not None else []))]
        outputs += [helper.make_tensor_value_info(name, kind, None) for name in names if name != without]
    taken = [helper.make_tensor_value_info("input", kind, [1, 3, side, side])]
    graph = helper.make_graph(nodes, "faces", taken, outputs, tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), file)
    return file


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Faces:
    return Faces(model(tmp_path_factory.mktemp("faces") / "tiny.onnx"))


def drawn(size: tuple[int, int], *boxes: tuple[int, int, int, int], colour: str = "magenta") -> Image.Image:
    image = Image.new("RGB", size, "green")
    for left, top, right, bottom in boxes:
        ImageDraw.Draw(image).rectangle((left, top, right - 1, bottom - 1), fill=colour)
    return image


def test_a_face_is_found_where_it_is_whatever_the_pictures_size(faces: Faces) -> None:
    (found,) = faces.of(drawn((64, 64), (16, 24, 24, 32)))
    assert found.box == pytest.approx((12 / 64, 20 / 64, 28 / 64, 36 / 64))
    (found,) = faces.of(drawn((640, 320), (160, 80, 240, 160)))  # scaled to 64 by 32
    assert found.box == pytest.approx((120 / 640, 40 / 320, 280 / 640, 200 / 320))
    (corner,) = faces.of(drawn((64, 64), (0, 0, 8, 8)))
    assert corner.box == pytest.approx((0, 0, 12 / 64, 12 / 64)), "what lies outside is cut off"


@pytest.mark.parametrize("colour", ["red", "blue", "white", "green"])
def test_colours_come_in_the_order_that_the_detector_learned(faces: Faces, colour: str) -> None:
    found = faces.of(drawn((64, 64), (16, 24, 24, 32), colour=colour))
    assert len(found) == (1 if colour == "white" else 0), "sure of a face is red, sure of an object is blue"


def test_the_score_is_the_root_of_both(faces: Faces) -> None:
    sure, doubtful = (int(255 * (THRESHOLD + off) ** 2) + 1 for off in (0.0, -0.03))
    for blue, many in ((sure, 1), (doubtful, 0)):
        image = Image.new("RGB", (64, 64))
        image.paste((255, 0, blue), (16, 24, 24, 32))
        assert len(faces.of(image)) == many


def test_the_largest_comes_first_and_boxes_of_one_face_are_one(faces: Faces) -> None:
    assert len(faces.of(drawn((64, 64), (16, 24, 32, 32)))) == 1, "two cells side by side are one face"
    two = faces.of(drawn((64, 64), (0, 0, 8, 8), (40, 40, 48, 48)))
    assert [face.left > 0.5 for face in two] == [True, False], "the one at the rim is cut and so smaller"


def test_where_nothing_is_found_the_picture_is_shown_smaller(faces: Faces, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = faces._seen(drawn((64, 64), (16, 16, 32, 32)), 32)  # eight px wide at half the size
    assert found.box == pytest.approx((8 / 64, 8 / 64, 40 / 64, 40 / 64))
    looks, look = [], faces._seen
    monkeypatch.setattr(faces, "_seen", lambda image, longest: looks.append(longest) or look(image, longest))
    assert faces.of(drawn((64, 64), (16, 24, 24, 32)))
    assert faces.of(drawn((64, 64))) == ()
    assert looks == [64, 64, 32, 16]


def test_boxes_and_scores_are_those_of_the_published_sums() -> None:
    """Cell by cell, as OpenCV's FaceDetectorYN has it."""
    rng, side = np.random.default_rng(0), 96
    said = {}
    for stride in STRIDES:
        many = (side // stride) ** 2
        said[f"cls_{stride}"] = rng.uniform(-0.2, 1.4, (1, many, 1)).astype(np.float32)
        said[f"obj_{stride}"] = rng.uniform(0.0, 1.4, (1, many, 1)).astype(np.float32)
        said[f"bbox_{stride}"] = rng.normal(0, 0.7, (1, many, 4)).astype(np.float32)
    wanted = []
    for stride in STRIDES:
        cells = side // stride
        for row in range(cells):
            for column in range(cells):
                n = row * cells + column
                sure = min(max(float(said[f"cls_{stride}"][0, n, 0]), 0.0), 1.0)
                score = np.sqrt(sure * min(max(float(said[f"obj_{stride}"][0, n, 0]), 0.0), 1.0))
                if score < THRESHOLD:
                    continue
                dx, dy, dw, dh = (float(v) for v in said[f"bbox_{stride}"][0, n])
                x, y, w, h = (column + dx) * stride, (row + dy) * stride, np.exp(dw) * stride, np.exp(dh) * stride
                wanted.append((x - w / 2, y - h / 2, x + w / 2, y + h / 2, score))
    boxes, scores = decoded(said, side)
    assert len(wanted) > 20
    assert np.allclose(np.column_stack([boxes, scores]), np.array(wanted), atol=1e-3)


def test_of_boxes_that_overlap_the_surest_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 2], [20, 0, 30, 10]], dtype=np.float32)
    assert apart(boxes, np.array([0.85, 0.9, 0.99, 0.81], dtype=np.float32)) == [2, 1, 3]
    assert apart(boxes[:2], np.array([0.85, 0.9], dtype=np.float32)) == [1]


def test_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no face detector"):
        Faces(tmp_path / "nothing.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"nothing")
    with pytest.raises(OSError, match="cannot be used"):
        Faces(tmp_path / "broken.onnx")
    with pytest.raises(OSError, match="does not say bbox_16"):
        Faces(model(tmp_path / "less.onnx", without="bbox_16"))
    with pytest.raises(OSError, match="takes no square pictures"):
        Faces(model(tmp_path / "odd.onnx", side=72))
