from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from full_size import ATTENTION, PRESETS, SDXL, TEXT, tensors_for, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.domain.errors import FileRefused
from storage.lora_file import About, Raw, kohya_key, metadata_for
from storage.lora_file.check import check_file, run
from storage.lora_file.comfyui import VARIABLE
from storage.lora_file.naming import Component
from storage.words import size

POCKET = {"modelspec.architecture": "lorasmith-pocket-v1/lora", "ss_base_model_version": "lorasmith_pocket_v1"}


@pytest.fixture(autouse=True)
def no_comfyui_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)  # the stored lists are what is tested here


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "lora.safetensors"


def errors_of(path: Path) -> str:
    return " | ".join(problem.text for problem in check_file(path).problems if problem.level == "error")


def remarks_of(path: Path) -> str:
    return " | ".join(problem.text for problem in check_file(path).problems if problem.level == "warning")


def test_a_full_size_lora_with_everything_loads_everywhere(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(target, tensors_for(PRESETS["with both text encoders"]))
    report = check_file(target)
    assert report.family == "sdxl"
    assert report.layout == "kohya"
    assert report.modules["text_encoder"] == 72
    assert report.modules["text_encoder_2"] == 192
    assert report.ranks == (1,)
    assert report.alphas == (1.0,)
    assert all(tool.checked and tool.used == report.tensors and not tool.dropped for tool in report.tools)
    assert report.problems == ()
    assert run([str(target)]) == 0
    said = capsys.readouterr().out
    assert "loads completely" in said
    assert size(report.file_bytes) in said, "in the unit of everything else that is said of files"


def test_diffusers_names_are_named_and_fail(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def peft(component: Component, path: str) -> str:
        return f"{component}.{path}"

    tensors = tensors_for(ATTENTION, name=peft, alpha=None, suffixes=(".lora_A.weight", ".lora_B.weight"))
    written(target, tensors)
    assert run([str(target)]) == 1
    out = capsys.readouterr().out
    assert "the names are diffusers' own" in out
    assert "ComfyUI 308602640118 2026-04-17: 1120 of 1120 keys dropped" in out
    assert "diffusers v0.42.1: 1120 of 1120 keys used" in out
    assert "attn1.to_k.lora_A.weight" in out


def test_text_encoder_names_without_text_model_are_named_and_fail(target: Path) -> None:
    def converter(component: Component, path: str) -> str:
        return kohya_key(component, path).replace("te1_text_model_", "te1_")

    written(target, tensors_for(ATTENTION + TEXT, name=converter))
    assert "72 modules of a text encoder lack `text_model`" in errors_of(target)
    assert all(tool.dropped == 72 * 3 for tool in check_file(target).tools)
    assert run([str(target)]) == 1


def test_whole_number_alphas_are_named_and_fail(target: Path) -> None:
    written(target, tensors_for(ATTENTION, alpha=np.array(1, np.int64)))
    assert "560 alphas are whole numbers (I64)" in errors_of(target)
    assert run([str(target)]) == 1


@pytest.mark.parametrize(("value", "words"), [(np.nan, "NaN"), (np.inf, "NaN or infinite"), (0, "switches")])
def test_alphas_that_are_no_numbers_are_named(target: Path, value: float, words: str) -> None:
    written(target, tensors_for(ATTENTION, alpha=np.array(value, np.float32)))
    assert words in errors_of(target)
    json.loads(capture_json(target), parse_constant=pytest.fail)


def test_a_missing_alpha_and_a_strength_are_said_but_do_not_fail(target: Path) -> None:
    written(target, tensors_for(ATTENTION, alpha=None))
    assert "560 modules have no alpha" in remarks_of(target)
    assert run([str(target)]) == 0
    written(target, tensors_for(ATTENTION, alpha=np.array(0.5, np.float32)))
    assert "acts at 0.5 of" in remarks_of(target)
    assert run([str(target)]) == 0


def test_two_namings_in_one_file_fail(target: Path) -> None:
    one = "unet.mid_block.attentions.0.proj_in"
    extra = {f"{one}.lora_A.weight": np.zeros((1, 1280)), f"{one}.lora_B.weight": np.zeros((1280, 1))}
    written(target, {**tensors_for(ATTENTION), **extra})
    assert "two ways of naming" in errors_of(target)
    assert check_file(target).layout == "mixed"


def test_a_dora_loses_its_magnitudes_in_some_tools(target: Path) -> None:
    base = "lora_unet_mid_block_attentions_0_proj_in"
    written(target, {**tensors_for(("proj_in",)), f"{base}.dora_scale": np.ones((1280, 1), np.float32)})
    dropped = {tool.tool: tool.dropped for tool in check_file(target).tools}
    assert dropped["ComfyUI"] == 0
    assert dropped["diffusers"] == 1
    assert "this is a DoRA" in remarks_of(target)


def test_half_modules_and_matrices_that_do_not_fit_are_named(target: Path) -> None:
    tensors = dict(tensors_for(ATTENTION))
    names = sorted(key for key in tensors if key.endswith("attn1_to_q.lora_up.weight"))
    del tensors[names[0]]
    tensors[names[1]] = np.zeros((640, 2), np.float16)
    written(target, tensors)
    assert "only one of their two matrices" in errors_of(target)
    assert "cannot be multiplied" in errors_of(target)


def test_weights_that_are_nan_are_found_in_every_float_type(target: Path) -> None:
    key = "lora_unet_mid_block_attentions_0_proj_in.lora_up.weight"
    for bad in (
        np.full((1280, 1), np.nan, np.float32),
        np.full((1280, 1), np.inf, np.float16),
        Raw(dtype="BF16", bits=np.full((1280, 1), 0x7FC0, np.uint16)),
    ):
        written(target, {**tensors_for(("proj_in",)), key: bad})
        assert "1 tensors hold infinity or NaN" in errors_of(target)


def test_a_lora_of_another_base_with_the_same_names_is_not_taken_for_sdxl(target: Path) -> None:
    tensors = {}
    for key, array in tensors_for(ATTENTION).items():
        assert isinstance(array, np.ndarray)
        tensors[key] = array[..., :768] if array.shape == (1, 2048) else array
        if "up_blocks" in key and array.ndim == 2:
            tensors[key] = np.zeros([max(1, size // 2) for size in array.shape], np.float16)
    written(target, tensors, {})
    assert check_file(target).family is None
    assert run([str(target)]) == 3
    written(target, tensors, SDXL)
    assert "the header says sdxl, but" in errors_of(target)
    assert run([str(target)]) == 1


def test_the_pocket_is_checked_against_its_own_modules(target: Path) -> None:
    written(target, tensors_for(PRESETS["with both text encoders"], architecture="pocket"), POCKET)
    report = check_file(target)
    assert report.family == "pocket"
    assert {tool.tool for tool in report.tools if tool.checked} == {"diffusers"}
    assert report.exit_code == 0
    written(target, tensors_for(ATTENTION, architecture="pocket"), {})
    assert check_file(target).family == "pocket"  # by names and shapes alone


def test_not_checked_is_said(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(target, tensors_for(ATTENTION, architecture="pocket"), POCKET)
    run([str(target)])
    assert "not checked   ComfyUI" in capsys.readouterr().out


def test_a_file_without_lora_keys_fails(target: Path) -> None:
    written(target, {"model.weight": np.zeros((4, 4), np.float32)}, {})
    assert "no key of this file belongs to a LoRA" in errors_of(target)
    assert run([str(target)]) == 1


def test_a_broken_file_is_refused_in_text_and_json(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target.write_bytes(b"PK\x03\x04" + b"0" * 40)
    assert run([str(target)]) == 1
    assert "zip archive" in capsys.readouterr().out
    assert run([str(target), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False
    with pytest.raises(FileRefused):
        check_file(target)


def test_trigger_and_weight_come_from_header_and_sidecar(target: Path) -> None:
    told = {**SDXL, "modelspec.trigger_phrase": "sks dog", "lorasmith.recommended_scale": "0.8"}
    written(target, tensors_for(("proj_in",)), told)
    report = check_file(target)
    assert (report.trigger, report.recommended_weight, report.weight_source) == ("sks dog", 0.8, "header")
    target.with_suffix(".json").write_text(json.dumps({"preferred weight": 0.65, "activation text": "other"}))
    report = check_file(target)
    assert (report.trigger, report.recommended_weight, report.weight_source) == ("sks dog", 0.65, "sidecar")
    written(target, tensors_for(("proj_in",)))
    assert check_file(target).trigger == "other"


def test_the_header_that_we_write_is_understood(target: Path) -> None:
    about = About(
        title="x",
        architecture="pocket",
        base="pocket",
        trigger="zorp",
        class_word="teapot",
        subject="object",
        rank=1,
        alpha=1,
        conv=True,
        width=64,
        height=64,
        pictures=8,
        step=40,
        steps=200,
        batch=1,
        learning_rate=1e-3,
        seed=1,
        precision="fp16",
        created_at=datetime(2026, 11, 21, tzinfo=UTC),
        order="0197",
        recommended_scale=0.85,
    )
    tensors = tensors_for(PRESETS["with both text encoders"], architecture="pocket")
    report = check_file(written(target, tensors, metadata_for(about, tensors)))
    assert (report.family, report.base_version) == ("pocket", "lorasmith-pocket-v1/lora")
    assert (report.trigger, report.recommended_weight) == ("zorp teapot", 0.85)
    assert report.exit_code == 0
    assert report.problems == ()


def test_the_commonest_tag_stands_in_for_a_trigger(target: Path) -> None:
    tags = json.dumps({"1_x": {"dog": 2, "sks": 5}, "2_y": {"dog": 4, "bad": "many"}})
    written(target, tensors_for(("proj_in",)), {**SDXL, "ss_tag_frequency": tags})
    assert check_file(target).trigger == "dog"


HOSTILE: list[dict[str, str]] = [
    {"ss_tag_frequency": "[" * 100_000},
    {"ss_tag_frequency": '{"a": {"b": 1e999}}'},
    {"lorasmith.recommended_scale": "nan"},
    {"modelspec.trigger_phrase": "\x1b[2J\n<evil>" + "x" * 10_000},
]


@pytest.mark.parametrize("metadata", HOSTILE)
def test_hostile_metadata_neither_crashes_nor_reaches_the_terminal(
    target: Path, metadata: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    written(target, tensors_for(("proj_in",)), {**SDXL, **metadata})
    assert run([str(target)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert max(len(line) for line in out.splitlines()) < 400


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe", b'"text"', b'{"preferred weight": true}'])
def test_a_broken_sidecar_is_no_fault_of_the_lora(target: Path, content: bytes) -> None:
    written(target, tensors_for(("proj_in",)))
    target.with_suffix(".json").write_bytes(content)
    assert check_file(target).recommended_weight is None
    assert run([str(target)]) == 0


KEYS = st.text(max_size=12) | st.sampled_from(
    [
        "lora_unet_mid_block_attentions_0_proj_in.alpha",
        "lora_unet_mid_block_attentions_0_proj_in.lora_down.weight",
        "lora_unet_mid_block_attentions_0_proj_in.lora_up.weight",
        "unet.mid_block.attentions.0.proj_in.lora_A.weight",
        "lora_te1_encoder_x.lora_up.weight",
        ".alpha",
        ".lora_down.weight",
    ]
)
ARRAYS: st.SearchStrategy[Any] = st.tuples(
    st.lists(st.integers(0, 3), max_size=3), st.sampled_from([np.float16, np.float32, np.int64, np.bool_])
).map(lambda made: np.ones(made[0], made[1]))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tensors=st.dictionaries(KEYS.filter(lambda key: key != "__metadata__"), ARRAYS, max_size=5))
def test_any_tensors_get_an_answer(tmp_path: Path, tensors: dict[str, Any]) -> None:
    path = written(tmp_path / "any.safetensors", tensors)
    assert run([str(path)]) in {0, 1, 3}


def capture_json(path: Path) -> str:
    from storage.lora_file.report import as_json

    return as_json(check_file(path))
