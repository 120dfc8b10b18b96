"""Reads the head of a safetensors file that anybody may have made: bounded, strict, and never a line of pickle."""

from __future__ import annotations

import json
import os
import stat
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from storage.domain.errors import FileRefused
from storage.lora_file.format import (
    BITS,
    MAX_BRACKETS,
    MAX_DIMENSIONS,
    MAX_HEADER_BYTES,
    MAX_NAME_CHARS,
    MAX_QUOTES,
    MAX_TENSORS,
    METADATA_KEY,
    Entry,
    Header,
)

# What people rename to .safetensors, by its first bytes.
_FOREIGN = (
    (b"\x80", "this is a pickle file (.pt, .ckpt, .bin), which can run code when opened and is never loaded"),
    (b"PK\x03\x04", "this is a zip archive, as .pt and .ckpt files are (zipped pickles); it is never loaded"),
    (b"GGUF", "this is a GGUF file (quantised weights), not a LoRA in safetensors"),
    (b"version ", "this is a Git LFS pointer: the real file was not downloaded"),
    (b"<", "this is a web page, saved in place of the file"),
    (b"\x89PNG", "this is a PNG picture"),
    (b"\xff\xd8\xff", "this is a JPEG picture"),
)

_NUMPY: Mapping[str, str] = {
    "F16": "<f2",
    "BF16": "<u2",
    "F32": "<f4",
    "F64": "<f8",
    "I8": "i1",
    "U8": "u1",
    "I16": "<i2",
    "U16": "<u2",
    "I32": "<i4",
    "U32": "<u4",
    "I64": "<i8",
    "U64": "<u8",
}


def read_header(path: Path) -> Header:
    """The checked header of `path`.

    Raises FileRefused, with a message that names the fault, for anything that is not a sound safetensors file. Reads
    at most 8 MiB and never the tensors themselves.
    """
    with open_regular(path) as file:
        file_bytes = os.fstat(file.fileno()).st_size
        raw = _raw_header(file, file_bytes)
    return _parse(raw, file_bytes)


def read_tensor(
    path: Path, name: str, *, header: Header | None = None, max_bytes: int = 1 << 20
) -> npt.NDArray[np.generic]:
    """One tensor's numbers; BF16 comes back as float32. Meant for scalars such as alpha, hence the small limit."""
    head = header or read_header(path)
    return read_tensors(path, head, [name], max_bytes=max_bytes)[name]


def read_tensors(
    path: Path, header: Header, names: Iterable[str], *, max_bytes: int = 1 << 20
) -> dict[str, npt.NDArray[np.generic]]:
    """Several tensors of one file, opened once; `max_bytes` bounds each of them."""
    with open_regular(path) as file:
        return {name: _read_one(file, header, name, max_bytes) for name in names}


def _read_one(file: BinaryIO, header: Header, name: str, max_bytes: int) -> npt.NDArray[np.generic]:
    entry = header.tensors.get(name)
    if entry is None:
        raise FileRefused(f"the file holds no tensor named {shown(name)}")
    if entry.end - entry.start > max_bytes:
        raise FileRefused(f"{shown(name)} has {entry.end - entry.start} bytes; at most {max_bytes} are read here")
    if entry.dtype not in _NUMPY:
        raise FileRefused(f"{shown(name)} is {entry.dtype}, which is not read here")
    file.seek(header.data_start + entry.start)
    raw = file.read(entry.end - entry.start)
    if len(raw) != entry.end - entry.start:
        raise FileRefused("the file became shorter while it was read")
    return decode(raw, entry)


def decode(raw: bytes, entry: Entry) -> npt.NDArray[np.generic]:
    """Bytes of a tensor as an array of its shape; BF16 widened to float32 (its bits are float32's upper half)."""
    numbers = np.frombuffer(raw, dtype=_NUMPY[entry.dtype])
    if entry.dtype == "BF16":
        numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
    return numbers.reshape(entry.shape)


def shown(text: str, limit: int = 80) -> str:
    """A name from an untrusted file as it may be printed: quoted, escaped, short."""
    return ascii(text if len(text) <= limit else text[: limit - 3] + "...")


def open_regular(path: Path) -> BinaryIO:
    """Opens a regular file only: a pipe or device would block, or never end."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise FileRefused("this is not a file")
        return path.open("rb")
    except OSError as error:
        raise FileRefused(f"the file cannot be opened: {error.strerror or type(error).__name__}") from error


def _raw_header(file: BinaryIO, file_bytes: int) -> bytes:
    first = file.read(16)
    if not first:
        raise FileRefused("the file is empty")
    _refuse_foreign(first)
    if len(first) < 8:
        raise FileRefused("the file is cut short: not even the length of a safetensors header is there")
    (length,) = struct.unpack("<Q", first[:8])
    if length > MAX_HEADER_BYTES:
        raise FileRefused(
            f"not safetensors: its header would have {length} bytes (at most {MAX_HEADER_BYTES} are read)"
        )
    if length + 8 > file_bytes:
        raise FileRefused(f"the file is cut short: its header has {length} bytes, the file {file_bytes} in all")
    file.seek(8)
    return file.read(length)


def _refuse_foreign(first: bytes) -> None:
    """A length that happens to start with one of these bytes is told apart by the "{" that must follow it."""
    if first[8:9] == b"{":
        return
    for magic, words in _FOREIGN:
        if first.startswith(magic):
            raise FileRefused(words)


def _parse(raw: bytes, file_bytes: int) -> Header:
    table = _json_table(raw)
    metadata = _metadata(table.pop(METADATA_KEY, {}))
    if len(table) > MAX_TENSORS:
        raise FileRefused(f"the file lists {len(table)} tensors; at most {MAX_TENSORS} are read")
    data_start = 8 + len(raw)
    tensors = {name: _entry(name, value) for name, value in table.items()}
    _check_layout(tensors, file_bytes - data_start)
    return Header(metadata=metadata, tensors=tensors, data_start=data_start, file_bytes=file_bytes)


def _json_table(raw: bytes) -> dict[str, object]:
    """The header's JSON object; brackets and quotes are counted first: a megabyte of "[]" would become twenty of lists."""
    if not raw.startswith(b"{"):
        raise FileRefused("not safetensors: the header does not start with '{'")
    if raw.count(b"{") + raw.count(b"[") > MAX_BRACKETS or raw.count(b'"') > MAX_QUOTES:
        raise FileRefused(f"the header has over {MAX_BRACKETS} brackets or {MAX_QUOTES} quotes: a LoRA needs far fewer")
    try:
        table: dict[str, object] = json.loads(raw.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except UnicodeDecodeError as error:
        raise FileRefused("the header is not UTF-8 text") from error
    except RecursionError as error:
        raise FileRefused("the header is nested too deep") from error
    except json.JSONDecodeError as error:
        raise FileRefused(f"the header is not JSON: {error.msg} at byte {error.pos}") from error
    except ValueError as error:  # Python refuses integers of thousands of digits
        raise FileRefused("the header holds an absurd number") from error
    return table


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise FileRefused(f"the header names {shown(key)} twice")
            seen.add(key)
    return made


def _metadata(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise FileRefused("the header's metadata is not a table")
    for key, text in value.items():
        if not isinstance(text, str):
            raise FileRefused(f"the metadata entry {shown(key)} is not text")
    return value


def _entry(name: str, value: object) -> Entry:
    if len(name) > MAX_NAME_CHARS:
        raise FileRefused(f"a tensor's name has {len(name)} characters: {shown(name)}")
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise FileRefused(f"{shown(name)} is not described by dtype, shape and data_offsets")
    dtype = value["dtype"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise FileRefused(f"{shown(name)} has an unknown dtype {shown(str(dtype))}")
    shape = _whole_numbers(value["shape"])
    offsets = _whole_numbers(value["data_offsets"])
    if shape is None or len(shape) > MAX_DIMENSIONS:
        raise FileRefused(f"{shown(name)} has an impossible shape")
    if offsets is None or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise FileRefused(f"{shown(name)} has impossible offsets")
    entry = Entry(dtype=dtype, shape=shape, start=offsets[0], end=offsets[1])
    if entry.count * BITS[dtype] != (entry.end - entry.start) * 8:
        raise FileRefused(f"{shown(name)}: shape and dtype do not agree with its {entry.end - entry.start} bytes")
    return entry


def _whole_numbers(value: object) -> tuple[int, ...] | None:
    """A list of integers from 0 to 2**48 (no file is longer), else None. JSON's true is not a number here."""
    if not isinstance(value, list):
        return None
    if all(type(number) is int and 0 <= number <= 1 << 48 for number in value):
        return tuple(value)
    return None


def _check_layout(tensors: Mapping[str, Entry], data_bytes: int) -> None:
    """The bytes after the header belong to exactly one tensor each: no overlap, no gap, none missing, none left over."""
    position = 0
    for name, entry in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if entry.start < position:
            raise FileRefused(f"{shown(name)} overlaps the tensor before it")
        if entry.start > position:
            raise FileRefused(f"there is a gap of {entry.start - position} bytes before {shown(name)}")
        position = entry.end
    if position > data_bytes:
        raise FileRefused(f"the file is cut short: {position - data_bytes} bytes of its tensors are missing")
    if position < data_bytes:
        raise FileRefused(f"{data_bytes - position} bytes after the last tensor belong to nothing")
