from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from about import ABOUT
from safetensors import safe_open

from storage.lora_file import About, Raw, Tensors, data_sha256, metadata_for, read_header, read_tensor, write_lora
from storage.lora_file.writer import legacy_hash

TENSORS: Tensors = {
    "m.alpha": np.array(8, np.float32),
    "m.lora_up.weight": np.arange(12, dtype=np.float16).reshape(3, 4)[:, ::2],  # not contiguous
    "m.lora_down.weight": Raw(dtype="BF16", bits=np.array([[0x3F80, 0xBF80, 0x4000]], np.uint16)),  # 1, -1, 2
    "n.flag": np.array([True, False, True]),
}


def test_the_reference_library_reads_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_lora(path, TENSORS, metadata_for(ABOUT, TENSORS))
    with safe_open(path, "pt") as file:
        assert file.metadata() == metadata_for(ABOUT, TENSORS)
        assert file.get_tensor("m.alpha").item() == 8
        assert file.get_tensor("m.lora_up.weight").tolist() == [[0, 2], [4, 6], [8, 10]]
        assert file.get_tensor("m.lora_down.weight").tolist() == [[1, -1, 2]]
        assert file.get_tensor("n.flag").tolist() == [True, False, True]


def test_our_reader_agrees_and_every_tensor_is_aligned(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_lora(path, TENSORS, {})
    header = read_header(path)
    assert header.data_start % 8 == 0
    widths = {"F32": 4, "F16": 2, "BF16": 2, "BOOL": 1}
    assert all((header.data_start + entry.start) % widths[entry.dtype] == 0 for entry in header.tensors.values())
    assert read_tensor(path, "m.lora_down.weight").tolist() == [[1, -1, 2]]


def test_the_same_content_gives_the_same_bytes_whatever_the_order(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    write_lora(first, TENSORS, metadata_for(ABOUT, TENSORS))
    turned = dict(sorted(TENSORS.items(), reverse=True))
    write_lora(second, turned, dict(sorted(metadata_for(ABOUT, turned).items(), reverse=True)))
    assert first.read_bytes() == second.read_bytes()


def test_the_hashes_are_those_of_the_bytes_in_the_file(tmp_path: Path) -> None:
    tensors = {f"m{i}.lora_up.weight": np.full((64, 512), i, np.float32) for i in range(10)}
    path = tmp_path / "x"
    training = {"ss_steps": "1"}
    write_lora(path, tensors, training)
    raw = path.read_bytes()
    assert len(raw) > 0x110000
    assert legacy_hash(tensors, training) == hashlib.sha256(raw[0x100000:0x110000]).hexdigest()[:8]
    assert data_sha256(tensors) == hashlib.sha256(raw[read_header(path).data_start :]).hexdigest()


def test_the_hash_entries_name_the_tensor_bytes() -> None:
    metadata = metadata_for(ABOUT, TENSORS)
    assert metadata["modelspec.hash_sha256"] == "0x" + metadata["sshs_model_hash"] == "0x" + data_sha256(TENSORS)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="no dtype"):
        write_lora(path, {"x": np.zeros(2, np.complex128)}, {})
    assert path.read_bytes() == b"old"


def test_what_the_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="do not hold"):
        write_lora(tmp_path / "x", {"x": Raw(dtype="BF16", bits=np.zeros(2, np.uint32))}, {})
    with pytest.raises(ValueError, match="__metadata__"):
        write_lora(tmp_path / "x", {"__metadata__": np.zeros(2)}, {})
    with pytest.raises(ValueError, match="text only"):
        write_lora(tmp_path / "x", {}, {"a": 1})  # type: ignore[dict-item]


def test_every_must_and_should_of_modelspec_is_there() -> None:
    metadata = metadata_for(ABOUT, TENSORS)
    must = ("sai_model_spec", "architecture", "implementation", "title", "resolution")
    should = ("description", "author", "date", "hash_sha256")
    assert all(metadata[f"modelspec.{key}"] for key in (*must, *should, "usage_hint", "trigger_phrase"))
    assert metadata["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"
    assert metadata["modelspec.trigger_phrase"] == "sks dog"
    assert metadata["ss_network_alpha"] == "16.0"


def test_the_header_does_not_depend_on_the_time_zone_and_refuses_to_guess_it() -> None:
    moved = ABOUT.created_at.astimezone(timezone(timedelta(hours=9)))
    assert metadata_for(changed(created_at=moved), TENSORS) == metadata_for(ABOUT, TENSORS)
    with pytest.raises(ValueError, match="time zone"):
        metadata_for(changed(created_at=datetime(2026, 1, 1)), TENSORS)  # noqa: DTZ001 (that is the point)


def test_the_pocket_is_never_announced_as_sdxl() -> None:
    metadata = metadata_for(changed(architecture="pocket"), TENSORS)
    assert "stable-diffusion" not in metadata["modelspec.architecture"]
    assert not metadata["ss_base_model_version"].startswith("sdxl_")
    with pytest.raises(ValueError, match="no header is known"):
        metadata_for(changed(architecture="sd9"), TENSORS)


def test_the_measured_scale_is_in_the_hint_only_when_there_is_one() -> None:
    assert metadata_for(ABOUT, TENSORS)["modelspec.usage_hint"] == 'Write "sks dog" in the prompt.'
    told = metadata_for(changed(recommended_scale=0.8, scale_band=(0.6, 1.0)), TENSORS)
    assert told["modelspec.usage_hint"] == 'Write "sks dog" in the prompt, weight 0.8 (0.6 to 1 works).'
    assert told["lorasmith.recommended_scale"] == "0.8"


def changed(**changes: object) -> About:
    from dataclasses import replace

    return replace(ABOUT, **changes)  # type: ignore[arg-type]
