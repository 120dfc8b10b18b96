from __future__ import annotations

import contextlib
import json
import os
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.domain.errors import FileRefused
from storage.lora_file import read_header, read_tensor, write_lora


def file_of(path: Path, header: Any, data: bytes = b"", *, length: int | None = None) -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + data)
    return path


def scalar(start: int = 0, end: int = 4, **changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [], "data_offsets": [start, end]} | changes


@contextlib.contextmanager
def at_most(max_bytes: int) -> Iterator[None]:
    """Fails where Python's allocations in the block peak above this."""
    tracemalloc.start()
    try:
        yield
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < max_bytes


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "lora.safetensors"


def test_a_sound_file_is_read(target: Path) -> None:
    header = read_header(file_of(target, {"__metadata__": {"a": "b"}, "x": scalar()}, struct.pack("<f", 2.5)))
    assert header.metadata == {"a": "b"}
    assert header.tensors["x"].shape == ()
    assert read_tensor(target, "x") == 2.5


REFUSED: list[tuple[str, Any, bytes]] = [
    ("cut short", {"x": scalar()}, b"123"),
    ("belong to nothing", {"x": scalar()}, b"12345"),
    ("overlaps", {"x": scalar(0, 4), "y": scalar(2, 6)}, b"123456"),
    ("gap", {"x": scalar(0, 4), "y": scalar(8, 12)}, b"0" * 12),
    ("do not agree", {"x": scalar(shape=[2])}, b"1234"),
    ("do not agree", {"x": scalar(shape=[2**40, 2**40, 2**40])}, b"1234"),
    ("impossible shape", {"x": scalar(shape=[-1])}, b"1234"),
    ("impossible shape", {"x": scalar(shape=[True])}, b"1234"),
    ("impossible shape", {"x": scalar(shape=[1] * 9)}, b"1234"),
    ("impossible shape", {"x": scalar(shape="4")}, b"1234"),
    ("impossible offsets", {"x": scalar(4, 0)}, b"1234"),
    ("impossible offsets", {"x": scalar(data_offsets=[0, 2, 4])}, b"1234"),
    ("impossible offsets", {"x": scalar(data_offsets=[0, 1e300])}, b"1234"),
    ("unknown dtype", {"x": scalar(dtype="Q4")}, b"1234"),
    ("unknown dtype", {"x": scalar(dtype=["F32"])}, b"1234"),
    ("not described", {"x": 5}, b""),
    ("not described", {"x": {"dtype": "F32"}}, b""),
    ("not text", {"__metadata__": {"a": 1}}, b""),
    ("not a table", {"__metadata__": "x"}, b""),
    ("twice", b'{"x":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"x":{}}', b"1234"),
    ("does not start", b"[1, 2, 3]", b""),
    ("not JSON", b'{"x": ', b""),
    ("UTF-8", b'{"\xff": 1}', b""),
    ("too deep", b'{"x":' + b"[" * 150_000 + b"]" * 150_000 + b"}", b""),
    ("brackets", b'{"x":[' + b"[]," * 500_000 + b"[]]}", b""),
    ("absurd number", b'{"x":' + b"9" * 10_000 + b"}", b""),
    ("characters", {"n" * 2_000: scalar()}, b"1234"),
]


@pytest.mark.parametrize(("words", "header", "data"), REFUSED)
def test_a_hostile_header_is_refused_by_name(target: Path, words: str, header: Any, data: bytes) -> None:
    with pytest.raises(FileRefused, match=words):
        read_header(file_of(target, header, data))


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 9 << 20, 10**9])
def test_an_enormous_header_is_refused_without_reading_it(target: Path, length: int) -> None:
    file_of(target, {"x": scalar()}, b"1234", length=length)
    with target.open("r+b") as file:
        file.truncate(1 << 31)  # sparse: a reader that trusted the length would take two gigabytes
    with pytest.raises(FileRefused, match=f"header would have {length} bytes"), at_most(1 << 20):
        read_header(target)


MILLIONS = {
    "lists": (b'{"x":[' + b"[]," * 2_000_000 + b"[]]}", "brackets"),
    "strings": (b'{"__metadata__":{' + b'"a":"b",' * 900_000 + b'"c":"d"}}', "quotes"),
    "numbers": (b'{"x":[' + b"999," * 2_000_000 + b"9]}", "not described"),
}


@pytest.mark.parametrize(("header", "words"), MILLIONS.values(), ids=MILLIONS.keys())
def test_millions_of_small_things_do_not_fill_the_memory(target: Path, header: bytes, words: str) -> None:
    file_of(target, header)
    with pytest.raises(FileRefused, match=words), at_most(128 << 20):
        read_header(target)


def test_a_pickle_is_named_and_never_loaded(target: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.mkdir, (str(target.parent / "exploded"),)

    target.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(FileRefused, match=r"pickle file .* never loaded"):
        read_header(target)
    assert not (target.parent / "exploded").exists()


def test_a_zipped_checkpoint_is_named(target: Path) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    with pytest.raises(FileRefused, match="zip archive"):
        read_header(target)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\x01\x02", "cut short"),
        (b"GGUF" + b"\x03" * 60, "GGUF"),
        (b"version https://git-lfs.github.com/spec/v1\n", "LFS pointer"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\x89PNG\r\n\x1a\n" + b"0" * 40, "PNG"),
        (b"\xff\xd8\xff\xe0" + b"0" * 40, "JPEG"),
        (struct.pack("<Q", 100) + b"{", "cut short"),
    ],
)
def test_other_kinds_of_file_are_named(target: Path, content: bytes, words: str) -> None:
    target.write_bytes(content)
    with pytest.raises(FileRefused, match=words):
        read_header(target)


def test_what_is_not_a_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileRefused, match="not a file"):
        read_header(tmp_path / "pipe")
    with pytest.raises(FileRefused, match="not a file"):
        read_header(tmp_path)
    with pytest.raises(FileRefused, match="cannot be opened"):
        read_header(tmp_path / "absent")


def test_a_length_that_begins_like_another_kind_of_file_is_no_reason_to_refuse(target: Path) -> None:
    header = json.dumps({"x": scalar()}).encode()
    for low in (0x80, ord("<")):
        padded = header + b" " * ((low - len(header)) % 256)
        assert read_header(file_of(target, padded, b"1234")).tensors.keys() == {"x"}


def test_only_small_tensors_that_exist_are_read(target: Path) -> None:
    write_lora(target, {"big": np.zeros(2**19, np.float32), "sub": np.zeros(1, np.bool_)}, {})
    for name, words in (("big", "at most"), ("sub", "BOOL"), ("none", "no tensor named")):
        with pytest.raises(FileRefused, match=words):
            read_tensor(target, name)


def sound_bytes(folder: Path) -> bytes:
    path = folder / "sound.safetensors"
    write_lora(path, {"a.alpha": np.array(4, np.float32), "a.lora_up.weight": np.ones((3, 2), np.float16)}, {"k": "v"})
    return path.read_bytes()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(sound_bytes(tmp_path))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        header = read_header(path)
    except FileRefused:
        return
    assert header.data_start + sum(entry.end - entry.start for entry in header.tensors.values()) == header.file_bytes


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ENTRIES = st.fixed_dictionaries(
    {"dtype": st.sampled_from(["F32", "BF16", "X"]) | JSON, "shape": JSON, "data_offsets": JSON}
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(header=st.dictionaries(st.text(max_size=6) | st.just("__metadata__"), ENTRIES | JSON, max_size=4))
def test_any_json_is_read_or_refused_and_nothing_else(tmp_path: Path, header: dict[str, Any]) -> None:
    path = file_of(tmp_path / "any.safetensors", header, b"12345678")
    with contextlib.suppress(FileRefused):
        read_header(path)
