from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from full_size import ATTENTION, TEXT, header_of, random_tensors, tensors_for, written

from storage.domain.errors import FileRefused
from storage.lora_file import ALPHA, DOWN, LAYOUTS, UP, Component, Raw, kohya_key, layout_of, read_header
from storage.lora_file.check import check_file
from storage.lora_file.convert import Wish, convert, run
from storage.lora_file.factors import Factors, difference, joined, split
from storage.lora_file.header import read_tensors
from storage.lora_file.spelling import joint, meanings

FAMILIES = ("sd15", "sdxl", "flux1-dev", "flux2-klein-4b", "flux2-klein-9b", "z-image")
AS_IT_IS = Wish()


@pytest.fixture(autouse=True)
def no_comfyui_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LORASMITH_COMFYUI", raising=False)


def products(path: Path, family: str) -> dict[str, np.ndarray]:
    """Each diffusers module's product at weight 1, done plainly: a few rows and columns of it are enough to compare."""
    header = read_header(path)
    names = {key for key in header.tensors if not key.endswith(ALPHA)}
    read = read_tensors(path, header, header.tensors, max_bytes=1 << 30)
    found: dict[str, np.ndarray] = {}
    for key in names:
        if not key.endswith((DOWN, ".lora_A.weight")):
            continue
        base = key.removesuffix(DOWN).removesuffix(".lora_A.weight")
        down = read[key].astype(np.float64)
        up = read[base + (UP if key.endswith(DOWN) else ".lora_B.weight")].astype(np.float64)
        scale = float(read[base + ALPHA]) / len(down) if base + ALPHA in read else 1.0
        flat, rows = down.reshape(len(down), -1)[:, ::97], up.reshape(len(up), -1)
        for slot in meanings(family)[base]:
            start = slot.start or 0
            product = scale * rows[start : start + slot.shape[0]][::89] @ flat
            if product.any():
                found[f"{slot.component}.{slot.path}"] = product
    return found


def same(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray], tolerance: float = 1e-6) -> None:
    assert one.keys() == other.keys()
    assert one
    for path, product in one.items():
        assert np.allclose(product, other[path], rtol=0, atol=tolerance * float(np.abs(product).max())), path


@pytest.mark.parametrize("family", FAMILIES)
def test_every_layout_of_a_family_can_become_every_other_and_back(family: str, tmp_path: Path) -> None:
    first, *others = LAYOUTS[family]
    start = written(
        tmp_path / "0.safetensors", random_tensors(family, first, rank=2, seed=3, every=41), header_of(family)
    )
    before = products(start, family)
    for layout in (*others, first):
        out = tmp_path / f"{layout.name}-again.safetensors"
        done = convert(start, out, Wish(layout=layout.name))
        assert (done.family, done.layout, done.dtype) == (family, layout.name, "fp16")
        assert done.worst < 1e-6
        same(before, products(out, family))
        assert all(key.endswith(layout.suffixes) for key in read_header(out).tensors)
        start = out
    assert set(read_header(start).tensors) == set(read_header(tmp_path / "0.safetensors").tensors)


def test_a_diffusers_sdxl_file_becomes_one_that_every_tool_uses_whole(tmp_path: Path) -> None:
    def peft(component: Component, path: str) -> str:
        return f"{component}.{path}"

    tensors = tensors_for(ATTENTION + TEXT, name=peft, alpha=None, suffixes=(".lora_A.weight", ".lora_B.weight"))
    start, out = written(tmp_path / "a.safetensors", tensors), tmp_path / "b.safetensors"
    assert check_file(start).exit_code == 1
    convert(start, out, AS_IT_IS)
    report = check_file(out)
    assert report.exit_code == 0
    assert report.layout == "kohya"
    assert all(tool.checked and not tool.dropped for tool in report.tools)
    assert report.problems == ()


def test_text_model_is_put_back_and_whole_alphas_become_fractions(tmp_path: Path) -> None:
    def converter(component: Component, path: str) -> str:
        return kohya_key(component, path).replace("te1_text_model_", "te1_")

    tensors = tensors_for(ATTENTION + TEXT, name=converter, alpha=np.array(1, np.int64))
    start, out = written(tmp_path / "a.safetensors", tensors), tmp_path / "b.safetensors"
    convert(start, out, AS_IT_IS)
    report = check_file(out)
    assert report.exit_code == 0
    assert report.modules["text_encoder"] == 72
    assert report.problems == ()


ONE = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
PEFT_ONE = "transformer.transformer_blocks.0.attn.to_q"


def one_module(base: str = ONE, width: int = 1280, ends: tuple[str, str] = (DOWN, UP)) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(1)
    down, up = generator.normal(size=(4, width)), generator.normal(size=(width, 4))
    return {base + ends[0]: down.astype(np.float32), base + ends[1]: up.astype(np.float32)}


@pytest.mark.parametrize(
    ("alpha", "wish", "header", "scale"),
    [
        (np.array(2.0, np.float32), Wish(), {}, 0.5),
        (np.array(2.0, np.float32), Wish(alpha=1.0), {}, 0.25),
        (np.array(4, np.int64), Wish(), {}, 1.0),
        (np.array(4, np.int64), Wish(), {"ss_network_dim": "4", "ss_network_alpha": "1.0"}, 0.25),
        (np.array(2, np.int64), Wish(), {"ss_network_dim": "4", "ss_network_alpha": "1.0"}, 0.5),
        (None, Wish(), {"ss_network_dim": "4", "ss_network_alpha": "8"}, 2.0),
        (None, Wish(), {"ss_network_dim": "4", "ss_network_alpha": "nan"}, 1.0),
        (np.array(np.nan, np.float32), Wish(alpha=8.0), {}, 2.0),
    ],
)
def test_the_strength_that_was_meant_is_folded_in(
    alpha: np.ndarray | None, wish: Wish, header: dict[str, str], scale: float, tmp_path: Path
) -> None:
    tensors = one_module() | ({} if alpha is None else {ONE + ALPHA: alpha})
    start = written(tmp_path / "a.safetensors", tensors, header_of("sdxl") | header)
    convert(start, tmp_path / "b.safetensors", wish)
    kept = products(tmp_path / "b.safetensors", "sdxl")
    (product,) = kept.values()
    assert np.allclose(product, scale * tensors[ONE + UP][::89].astype(np.float64) @ tensors[ONE + DOWN][:, ::97])
    read = read_tensors(tmp_path / "b.safetensors", read_header(tmp_path / "b.safetensors"), [ONE + ALPHA])
    assert read[ONE + ALPHA] == 4


@pytest.mark.parametrize(("more", "scale"), [({}, 0.5), ({"transformer.use_rslora": True}, 1.0)])
def test_the_strength_in_diffusers_own_header_is_folded_in_and_taken_out_of_it(
    more: dict[str, bool], scale: float, tmp_path: Path
) -> None:
    config = json.dumps({"transformer.r": 4, "transformer.lora_alpha": 2, **more})
    tensors = one_module(PEFT_ONE, 3072, (".lora_A.weight", ".lora_B.weight"))
    start = written(tmp_path / "a.safetensors", tensors, header_of("flux1-dev") | {"lora_adapter_metadata": config})
    assert more or any(
        "but the header says alpha 2 for rank 4" in problem.text for problem in check_file(start).problems
    )
    convert(start, tmp_path / "b.safetensors", AS_IT_IS)
    (product,) = products(tmp_path / "b.safetensors", "flux1-dev").values()
    (before,) = products(start, "flux1-dev").values()
    assert np.allclose(product, scale * before)
    assert "lora_adapter_metadata" not in read_header(tmp_path / "b.safetensors").metadata


@pytest.mark.parametrize(
    ("dtype", "stored", "error"), [("fp16", "F16", 2e-3), ("bf16", "BF16", 2e-2), ("fp32", "F32", 1e-7)]
)
def test_the_dtype_that_is_asked_for_is_written_to_the_nearest_number(
    dtype: str, stored: str, error: float, tmp_path: Path
) -> None:
    start = written(tmp_path / "a.safetensors", one_module() | {ONE + ALPHA: np.array(4, np.float32)})
    done = convert(start, tmp_path / "b.safetensors", Wish(dtype=dtype))
    assert done.worst < error
    header = read_header(tmp_path / "b.safetensors")
    assert {entry.dtype for key, entry in header.tensors.items() if key != ONE + ALPHA} == {stored}
    same(products(start, "sdxl"), products(tmp_path / "b.safetensors", "sdxl"), error)


def test_bf16_is_kept_bit_for_bit(tmp_path: Path) -> None:
    bits = np.random.default_rng(2).integers(0x3C00, 0x3F00, size=(4, 1280)).astype(np.uint16)
    tensors = {
        ONE + DOWN: Raw(dtype="BF16", bits=bits),
        ONE + UP: Raw(dtype="BF16", bits=bits.T.copy()),
        ONE + ALPHA: np.array(4, np.float32),
    }
    start = written(tmp_path / "a.safetensors", tensors)
    assert convert(start, tmp_path / "b.safetensors", AS_IT_IS).dtype == "bf16"
    again = read_tensors(tmp_path / "b.safetensors", read_header(tmp_path / "b.safetensors"), [ONE + DOWN])
    assert np.array_equal(again[ONE + DOWN].view(np.uint32) >> 16, bits)


REFUSED = {
    "it is a DoRA": {ONE + ".dora_scale": np.ones((1280, 1), np.float32)},
    "it is a LoKr": {ONE + ".lokr_w1": np.ones((4, 4), np.float32)},
    "only one of their two matrices": {ONE.replace("to_q", "to_k") + DOWN: np.ones((4, 1280), np.float32)},
    "belong to no LoRA module": {"model.weight": np.ones((4, 4), np.float32)},
    "names that mean nothing for sdxl": {f"lora_unet_wonder{end}": value for end, value in ((DOWN, 1), (UP, 2))},
    "infinity or NaN": {ONE + DOWN: np.full((4, 1280), np.nan, np.float32)},
    "0, NaN or infinite (say the right one": {ONE + ALPHA: np.array(0, np.float32)},
    "do not have sdxl's shapes": {ONE + UP: np.ones((640, 4), np.float32)},
    "neither fp16, bf16 nor fp32": {ONE + DOWN: np.ones((4, 1280), np.float64)},
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_mended_is_refused_by_name_and_nothing_is_left(words: str, tmp_path: Path) -> None:
    others = dict(tensors_for(("proj_in",)))
    wrong = {
        key: np.ones((4, 4), np.float32) if isinstance(value, int) else value for key, value in REFUSED[words].items()
    }
    start = written(
        tmp_path / "a.safetensors", {**others, **one_module(), ONE + ALPHA: np.array(4.0, np.float32), **wrong}
    )
    with pytest.raises(FileRefused, match=words.split("(", maxsplit=1)[0]):
        convert(start, tmp_path / "b.safetensors", AS_IT_IS)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_numbers_beyond_fp16_are_refused_with_what_helps(tmp_path: Path) -> None:
    tensors = {key: value * np.float32(1e6) for key, value in one_module().items()}
    start = written(tmp_path / "a.safetensors", tensors)
    with pytest.raises(FileRefused, match="--dtype bf16 or fp32"):
        convert(start, tmp_path / "b.safetensors", Wish(dtype="fp16"))
    assert convert(start, tmp_path / "b.safetensors", Wish(dtype="bf16")).worst < 2e-2


def test_a_family_that_is_not_known_is_refused(tmp_path: Path) -> None:
    start = written(tmp_path / "a.safetensors", one_module("lora_unet_blocks_0_cross_attn_q"), {})
    with pytest.raises(FileRefused, match="the family was not recognised"):
        convert(start, tmp_path / "b.safetensors", AS_IT_IS)


def test_joining_and_splitting_are_opposites_and_cost_no_precision() -> None:
    (path,) = [path for path in joint("flux2-klein-4b") if path == "double_blocks.0.img_attn.qkv"]
    slots, generator = joint("flux2-klein-4b")[path], np.random.default_rng(5)
    modules = {
        (slot.component, slot.path): Factors(
            down=generator.normal(size=(2, 3072)).astype(np.float32),
            up=generator.normal(size=(3072, 2)).astype(np.float32),
        )
        for slot in slots
    }
    whole = joined(slots, modules)
    assert whole is not None
    assert whole.down.shape == (6, 3072)
    for slot, factors in split(whole.down, whole.up, slots):
        assert np.array_equal(factors.up, modules[slot.component, slot.path].up)
        assert np.array_equal(factors.down, modules[slot.component, slot.path].down)
    shared = {place: Factors(down=factors.down * 0 + 1, up=factors.up) for place, factors in modules.items()}
    again = joined(slots, shared)
    assert again is not None
    assert again.down.shape == (2, 3072)  # one A for all three: nothing to put one under another


def test_the_difference_of_two_products_is_what_multiplying_out_gives() -> None:
    generator = np.random.default_rng(6)
    one, other = (
        Factors(
            down=generator.normal(size=(3, 40)).astype(np.float32), up=generator.normal(size=(50, 3)).astype(np.float32)
        )
        for _ in range(2)
    )
    plain = np.linalg.norm(one.up.astype(float) @ one.down - other.up.astype(float) @ other.down)
    size = np.linalg.norm(one.up.astype(float)) * np.linalg.norm(one.down.astype(float))
    assert difference(one, other) == pytest.approx(plain / size, rel=1e-9)
    assert difference(one, one) < 1e-7
    assert difference(one, None) > 0.1
    assert difference(None, None) == 0


def test_the_command_says_what_it_did_and_never_overwrites(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = written(tmp_path / "dog.safetensors", one_module() | {ONE + ALPHA: np.array(2.0, np.float32)})
    assert run([str(start)]) == 0
    out = capsys.readouterr().out
    assert "strength 0.5 folded into the matrices, alpha is the rank now" in out
    assert "1 modules of SDXL, names of kohya, fp32, read back equal" in out
    assert (tmp_path / "dog-mended.safetensors").is_file()
    assert run([str(start)]) == 2
    assert "is there already" in capsys.readouterr().out
    assert run([str(tmp_path / "absent.safetensors"), "--out", str(tmp_path / "x.safetensors")]) == 1
    assert run([str(start), "--layout", "comfyui", "--out", str(tmp_path / "y.safetensors")]) == 1
    assert "sdxl has no layout 'comfyui'; it has: kohya, diffusers" in capsys.readouterr().out


def test_a_converted_file_gives_the_same_bytes_every_time(tmp_path: Path) -> None:
    tensors = random_tensors("z-image", layout_of("z-image"), rank=2, seed=8, every=90)
    start = written(tmp_path / "a.safetensors", tensors, header_of("z-image"))
    for name in ("b", "c"):
        convert(start, tmp_path / f"{name}.safetensors", Wish(layout="kohya"))
    assert (tmp_path / "b.safetensors").read_bytes() == (tmp_path / "c.safetensors").read_bytes()
