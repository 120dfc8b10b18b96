"""A tagger: a real, tiny onnx model that sees one thing, red."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from storage.domain.orders import SubjectType
from trainer.gpu.tagger import Tagger, tags_of

onnx = pytest.importorskip("onnx", reason="extra [tags] is not installed")
pytest.importorskip("onnxruntime", reason="extra [tags] is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Probabilities are the mean blue, green and red over 255, and one constant."""
    where = tmp_path_factory.mktemp("tagger")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("ReduceMean", ["picture", "axes"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "most"], ["share"]),
        helper.make_node("Concat", ["share", "sure"], ["tags"], axis=1),
    ]
    constants = [
        helper.make_tensor("axes", onnx.TensorProto.INT64, [2], [1, 2]),
        helper.make_tensor("most", kind, [1], [255.0]),
        helper.make_tensor("sure", kind, [1, 2], [0.9, 0.8]),
    ]
    graph = helper.make_graph(
        nodes,
        "tagger",
        [helper.make_tensor_value_info("picture", kind, [1, 32, 32, 3])],
        [helper.make_tensor_value_info("tags", kind, [1, 5])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, where / "model.onnx")
    rows = [
        "tag_id,name,category,count",
        "1,blue_sky,0,9",
        "2,green_eyes,0,9",
        "3,red_dress,0,9",
        "4,general,9,9",
        "5,^_^,0,9",
    ]
    (where / "selected_tags.csv").write_text("\n".join(rows) + "\n")
    return where


def test_tags_are_what_is_seen_above_the_threshold_likeliest_first(folder: Path) -> None:
    tagger = Tagger(folder)
    assert list(tagger.tags(Image.new("RGB", (40, 40), "red"))) == ["red dress", "^_^"]
    assert tagger.say(Image.new("RGB", (40, 40), "white"), "ignored") == "blue sky, green eyes, red dress, ^_^"
    wide = tagger.tags(Image.new("RGB", (80, 20), (255, 0, 0)))  # three quarters of the square are white
    assert wide["red dress"] == pytest.approx(1.0, abs=0.01)
    assert wide["blue sky"] == pytest.approx(0.75, abs=0.03)


def test_tags_that_say_what_is_to_be_learned_are_left_out(folder: Path) -> None:
    green = Image.new("RGB", (40, 40), (0, 255, 0))
    assert tags_of(Tagger(folder), green, SubjectType.PERSON) == "^_^"
    assert tags_of(Tagger(folder), green, SubjectType.OBJECT) == "green eyes, ^_^"


@pytest.mark.parametrize(
    ("subject", "kept"),
    [
        (SubjectType.PERSON, "smile, outdoors, watercolor (medium), traditional media"),
        (SubjectType.CHARACTER, "smile, outdoors, watercolor (medium), traditional media"),
        (SubjectType.STYLE, "long hair, blue-eyed, smile, dark-skinned female, outdoors, animal ears"),
    ],
)
def test_tags_of_what_is_to_be_learned_go_in_every_spelling(subject: SubjectType, kept: str) -> None:
    class Said:
        def tags(self, image: Image.Image) -> dict[str, float]:  # noqa: ARG002  # it looks at nothing
            tags = ("long hair", "blue-eyed", "smile", "dark-skinned female", "outdoors", "animal ears")
            return dict.fromkeys((*tags, "watercolor (medium)", "traditional media"), 0.9)

    assert tags_of(Said(), Image.new("RGB", (8, 8)), subject) == kept  # type: ignore[arg-type]


def test_files_that_do_not_belong_together_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="selected_tags"):
        Tagger(tmp_path)
    (tmp_path / "selected_tags.csv").write_text("name,category\na,0\n")
    with pytest.raises(OSError, match=r"no model\.onnx"):
        Tagger(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(OSError, match="cannot be used"):
        Tagger(tmp_path)
    (tmp_path / "model.onnx").write_bytes((folder / "model.onnx").read_bytes())
    with pytest.raises(OSError, match="not of one tagger"):
        Tagger(tmp_path).tags(Image.new("RGB", (8, 8)))
