"""What a LoRA file is: the safetensors header, the names of modules, metadata, sidecar, and which tools load it. No torch."""

from storage.lora_file.architectures import ARCHITECTURES, Architecture
from storage.lora_file.format import Entry, Header
from storage.lora_file.header import read_header, read_tensor
from storage.lora_file.layouts import LAYOUTS, Layout, layout_of
from storage.lora_file.metadata import About, Called, metadata_for
from storage.lora_file.naming import ALPHA, COMPONENTS, DOWN, UP, Component, key_of, kohya_key, paths_by_key, place_of
from storage.lora_file.writer import Raw, Tensors, data_sha256, write_lora

__all__ = [
    "ALPHA",
    "ARCHITECTURES",
    "COMPONENTS",
    "DOWN",
    "LAYOUTS",
    "UP",
    "About",
    "Architecture",
    "Called",
    "Component",
    "Entry",
    "Header",
    "Layout",
    "Raw",
    "Tensors",
    "data_sha256",
    "key_of",
    "kohya_key",
    "layout_of",
    "metadata_for",
    "paths_by_key",
    "place_of",
    "read_header",
    "read_tensor",
    "write_lora",
]
