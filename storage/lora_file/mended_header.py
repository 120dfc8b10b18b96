"""The header of a converted file: the old one, with what the conversion made untrue put right."""

from __future__ import annotations

from storage.lora_file.architectures import ARCHITECTURES, name_in_header
from storage.lora_file.format import Header
from storage.lora_file.writer import Tensors, data_sha256, legacy_hash

# diffusers' own description of the adapter: alpha is folded in now, and a reader of it would apply it again.
_UNTRUE = ("lora_adapter_metadata",)


def mended_header(header: Header, tensors: Tensors, family: str, *, ranks: tuple[int, ...]) -> dict[str, str]:
    """Metadata for the new tensors. What the header says of the training stays; names and hashes are of the new file."""
    row = ARCHITECTURES[family]
    metadata = {key: text for key, text in header.metadata.items() if key not in _UNTRUE}
    metadata["format"] = "pt"
    metadata["lorasmith.converted"] = "alpha is the rank"
    if name_in_header(metadata) != family:
        metadata["modelspec.architecture"] = row.modelspec
        metadata["modelspec.implementation"] = row.implementation
        metadata["ss_base_model_version"] = row.base_version
    if len(ranks) == 1:
        metadata["ss_network_dim"] = str(ranks[0])
        metadata["ss_network_alpha"] = repr(float(ranks[0]))
    else:
        metadata.pop("ss_network_alpha", None)
    metadata.setdefault("modelspec.sai_model_spec", "1.0.1")
    digest = data_sha256(tensors)
    training = {key: text for key, text in metadata.items() if key.startswith("ss_")}
    metadata["modelspec.hash_sha256"] = f"0x{digest}"
    metadata["sshs_model_hash"] = digest
    metadata["sshs_legacy_hash"] = legacy_hash(tensors, training)
    return metadata
