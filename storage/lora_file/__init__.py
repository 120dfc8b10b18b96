"""What a LoRA file is: the safetensors header, kohya's names, metadata, sidecar, and which tools load it. No torch."""

from storage.lora_file.architectures import ARCHITECTURES, Architecture
from storage.lora_file.format import Entry, Header
from storage.lora_file.header import read_header, read_tensor
from storage.lora_file.metadata import About, metadata_for
from storage.lora_file.naming import ALPHA, COMPONENTS, DOWN, UP, Component, kohya_key, paths_by_key
from storage.lora_file.writer import Raw, Tensors, data_sha256, write_lora

__all__ = [
    "ALPHA",
    "ARCHITECTURES",
    "COMPONENTS",
    "DOWN",
    "UP",
    "About",
    "Architecture",
    "Component",
    "Entry",
    "Header",
    "Raw",
    "Tensors",
    "data_sha256",
    "kohya_key",
    "metadata_for",
    "paths_by_key",
    "read_header",
    "read_tensor",
    "write_lora",
]
