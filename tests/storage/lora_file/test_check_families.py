"""`check` on anybody's files: every family, the layouts of other trainers, and what is no plain LoRA."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from full_size import header_of, names_of, thin_tensors, written

from storage.lora_file import ALPHA, DOWN, UP, layout_of
from storage.lora_file.check import check_file, run
from storage.lora_file.keymaps import keymap
from storage.lora_file.report import CheckReport, Verdict

FAMILIES = ("sd15", "flux1-dev", "flux2-klein-4b", "flux2-klein-9b", "z-image")


@pytest.fixture(autouse=True)
def no_comfyui_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LORASMITH_COMFYUI", raising=False)


def verdicts(report: CheckReport) -> dict[str, Verdict]:
    return {verdict.tool: verdict for verdict in report.tools}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_of_ours_is_recognised_by_its_names_alone(family: str, tmp_path: Path) -> None:
    keys = set(names_of(family))
    tensors = {key: value for key, value in thin_tensors(family, layout_of(family)).items() if key in keys}
    report = check_file(written(tmp_path / "x.safetensors", tensors, {}))
    assert report.family == family
    assert report.problems == ()
    for tool in report.tools:
        if tool.checked and (family, tool.tool) != ("flux1-dev", "kohya sd-scripts"):
            assert tool.dropped == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_tools_that_were_not_asked_are_said_to_be_not_checked(
    family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "x.safetensors", thin_tensors(family, layout_of(family)), header_of(family))
    run([str(tmp_path / "x.safetensors")])
    out = capsys.readouterr().out
    for tool in keymap(family).tools:
        assert (f"not checked   {tool.name}" in out) == (not tool.checked), tool.name


def test_what_a_trainer_needs_is_explained_with_what_helps_and_is_no_fault(tmp_path: Path) -> None:
    tensors = thin_tensors("flux1-dev", layout_of("flux1-dev"))
    report = check_file(written(tmp_path / "x.safetensors", tensors, header_of("flux1-dev")))
    note = verdicts(report)["kohya sd-scripts"].note
    way = "in a way that kohya sd-scripts does not read: `lorasmith convert --layout kohya` renames them"
    assert note == f"{len(tensors)} name modules {way}"
    assert report.exit_code == 0


# Files as other trainers name them: (a module's name, the family, which tools read it).
OTHERS = {
    "OneTrainer": ("lora_transformer_transformer_blocks_0_attn_to_q", "flux1-dev", {"ComfyUI", "Forge"}),
    "kohya's Z-Image": ("lora_unet_layers_3_attention_to_q", "z-image", {"diffusers"}),
    "SimpleTuner": ("lycoris_single_transformer_blocks_1_attn_to_out", "flux2-klein-9b", {"ComfyUI"}),
}


@pytest.mark.parametrize("trainer", OTHERS)
def test_files_of_other_trainers_are_recognised_and_told_apart_by_tool(trainer: str, tmp_path: Path) -> None:
    name, family, readers = OTHERS[trainer]
    (shape,) = {
        shape for path, shape in keymap(family).modules["transformer"].items() if path.replace(".", "_") in name
    }
    tensors = {
        name + DOWN: np.ones((2, shape[1]), np.float16),
        name + UP: np.ones((shape[0], 2), np.float16),
        name + ALPHA: np.array(2, np.float32),
    }
    report = check_file(written(tmp_path / "x.safetensors", tensors, header_of(family)))
    assert report.family == family
    assert {tool.tool for tool in report.tools if tool.checked and not tool.dropped} == readers


def test_ai_toolkits_flux2_file_with_joint_matrices_is_of_the_right_size(tmp_path: Path) -> None:
    name = "diffusion_model.double_blocks.0.img_attn.qkv"
    tensors = {
        f"{name}.lora_A.weight": np.ones((2, 4096), np.float16),
        f"{name}.lora_B.weight": np.ones((3 * 4096, 2), np.float16),
    }
    report = check_file(written(tmp_path / "x.safetensors", tensors, {}))
    assert report.family == "flux2-klein-9b"
    assert {tool.tool for tool in report.tools if tool.checked} == {"ComfyUI", "diffusers"}
    assert all(tool.dropped == 0 for tool in report.tools)


SD = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
KINDS = {
    "LoKr": {SD + ".lokr_w1": (8, 8), SD + ".lokr_w2_a": (160, 4), SD + ".lokr_w2_b": (4, 160)},
    "LoHa": {
        SD + ".hada_w1_a": (1280, 4),
        SD + ".hada_w1_b": (4, 1280),
        SD + ".hada_w2_a": (1280, 4),
        SD + ".hada_w2_b": (4, 1280),
    },
    "DoRA": {SD + DOWN: (4, 1280), SD + UP: (1280, 4), SD + ".dora_scale": (1280, 1)},
    "LoRA with whole weight differences": {SD + ".diff": (1280, 1280)},
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_plain_lora_is_named(kind: str, tmp_path: Path) -> None:
    tensors = {key: np.ones(shape, np.float16) for key, shape in KINDS[kind].items()}
    report = check_file(written(tmp_path / "x.safetensors", tensors, header_of("sd15")))
    assert report.family == "sd15"
    assert report.kind == kind
    assert any(f"this is a {kind}" in problem.text for problem in report.problems)
    assert verdicts(report)["ComfyUI"].dropped == 0
    assert verdicts(report)["Forge"].dropped == 0
    if kind in ("LoKr", "LoHa"):  # A1111 took them when it was asked; diffusers and sd-scripts were not asked
        assert verdicts(report)["A1111"].dropped == 0
        assert not verdicts(report)["diffusers"].checked
        assert "was not asked" in verdicts(report)["diffusers"].note


def test_what_two_families_share_is_said_where_the_header_is_silent(tmp_path: Path) -> None:
    name = "transformer.transformer_blocks.0.attn.to_q"
    tensors = {f"{name}.lora_A.weight": np.ones((2, 3072)), f"{name}.lora_B.weight": np.ones((3072, 2))}
    report = check_file(written(tmp_path / "x.safetensors", tensors, {}))
    assert any("would also fit flux2-klein-4b" in problem.text for problem in report.problems)
    report = check_file(written(tmp_path / "x.safetensors", tensors, header_of("flux2-klein-4b")))
    assert report.family == "flux2-klein-4b"
    assert report.problems == ()


def test_a_family_that_the_header_claims_and_the_shapes_deny_is_an_error(tmp_path: Path) -> None:
    tensors = thin_tensors("flux2-klein-4b", layout_of("flux2-klein-4b"))
    report = check_file(written(tmp_path / "x.safetensors", tensors, header_of("flux2-klein-9b")))
    assert report.family == "flux2-klein-4b"
    assert any("the header says flux2-klein-9b" in problem.text for problem in report.problems)


@pytest.mark.parametrize(
    "config", ["[]", '{"transformer.r": "x"}', '{"transformer.r": 0, "transformer.lora_alpha": 1}', "{" * 5000]
)
def test_a_header_that_says_nonsense_of_its_strength_is_passed_over(config: str, tmp_path: Path) -> None:
    tensors = thin_tensors("z-image", layout_of("z-image"))
    report = check_file(
        written(tmp_path / "x.safetensors", tensors, header_of("z-image") | {"lora_adapter_metadata": config})
    )
    assert report.problems == ()
