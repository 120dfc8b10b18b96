"""Writes safetensors: the same tensors and metadata give the same bytes, and a killed write leaves no half file."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from storage.lora_file.format import BITS, METADATA_KEY, Entry
from storage.system import sync_folder

_DTYPES: Mapping[str, str] = {
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
    "int8": "I8",
    "uint8": "U8",
    "int16": "I16",
    "uint16": "U16",
    "int32": "I32",
    "uint32": "U32",
    "int64": "I64",
    "uint64": "U64",
    "bool": "BOOL",
}


@dataclass(frozen=True, kw_only=True)
class Raw:
    """A tensor in a dtype that numpy lacks: for BF16, `bits` is uint16 of the tensor's shape."""

    dtype: str  # a key of format.BITS
    bits: npt.NDArray[np.generic]


Tensors = Mapping[str, npt.NDArray[np.generic] | Raw]


def write_lora(path: Path, tensors: Tensors, metadata: Mapping[str, str]) -> None:
    """Writes `path` by temp, fsync and rename. Raises ValueError for what the format cannot hold."""
    layout = _layout(tensors)
    header = _header_bytes(layout, metadata)
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        file.write(header)
        file.writelines(_buffer(tensors[name]) for name in layout)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def data_sha256(tensors: Tensors) -> str:
    """SHA-256 (hex) of the tensor bytes in file order: what `modelspec.hash_sha256` and `sshs_model_hash` name."""
    digest = hashlib.sha256()
    for name in _layout(tensors):
        digest.update(_buffer(tensors[name]))
    return digest.hexdigest()


def legacy_hash(tensors: Tensors, metadata: Mapping[str, str]) -> str:
    """The eight hex digits that old A1111 shows: SHA-256 of the 64 KiB from byte 0x100000 of the file with this metadata.

    The rule is the one of kohya's trainers, where only the `ss_*` entries are in that file.
    """
    layout = _layout(tensors)
    window = _window(_chunks(_header_bytes(layout, metadata), tensors, layout), start=0x100000, length=0x10000)
    return hashlib.sha256(window).hexdigest()[:8]


def _layout(tensors: Tensors) -> dict[str, Entry]:
    """Widest dtype first, then by name: every tensor is aligned to its own width, as the format's own writer does it."""
    described = {name: _described(name, tensor) for name, tensor in tensors.items()}
    layout: dict[str, Entry] = {}
    position = 0
    for name in sorted(described, key=lambda name: (-BITS[described[name][0]], name)):
        dtype, shape, size = described[name]
        layout[name] = Entry(dtype=dtype, shape=shape, start=position, end=position + size)
        position += size
    return layout


def _described(name: str, tensor: npt.NDArray[np.generic] | Raw) -> tuple[str, tuple[int, ...], int]:
    """dtype, shape and bytes."""
    if isinstance(tensor, Raw):
        if BITS.get(tensor.dtype) != tensor.bits.dtype.itemsize * 8:
            raise ValueError(f"{name}: {tensor.bits.dtype} bits do not hold {tensor.dtype}")
        return tensor.dtype, tensor.bits.shape, tensor.bits.nbytes
    if tensor.dtype.name not in _DTYPES:
        raise ValueError(f"{name}: safetensors has no dtype for {tensor.dtype}")
    return _DTYPES[tensor.dtype.name], tensor.shape, tensor.nbytes


def _header_bytes(layout: Mapping[str, Entry], metadata: Mapping[str, str]) -> bytes:
    if METADATA_KEY in layout or not all(isinstance(text, str) for text in metadata.values()):
        raise ValueError("metadata is text only, and no tensor may be named __metadata__")
    table: dict[str, object] = {METADATA_KEY: dict(sorted(metadata.items()))} if metadata else {}
    for name, entry in layout.items():
        table[name] = {"dtype": entry.dtype, "shape": list(entry.shape), "data_offsets": [entry.start, entry.end]}
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _buffer(tensor: npt.NDArray[np.generic] | Raw) -> memoryview:
    """The tensor's bytes, little-endian and contiguous, without a copy where they already are."""
    array = tensor.bits if isinstance(tensor, Raw) else tensor
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8).data


def _chunks(header: bytes, tensors: Tensors, layout: Mapping[str, Entry]) -> Iterator[memoryview]:
    yield memoryview(header)
    for name in layout:
        yield _buffer(tensors[name])


def _window(chunks: Iterator[memoryview], *, start: int, length: int) -> bytes:
    """Bytes [start, start + length) of the concatenated chunks, fewer where they end before."""
    found = bytearray()
    position = 0
    for chunk in chunks:
        low, high = max(0, start - position), max(0, start + length - position)
        found += chunk[low:high]
        position += len(chunk)
        if position >= start + length:
            break
    return bytes(found)
