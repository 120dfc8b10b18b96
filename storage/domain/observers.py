"""The models that look at pictures: before the first step who says what they show, who tags them, who finds faces in them; and at
every checkpoint the judge's eyes, for bases without a judge of their own.

Each is optional. Revisions and hashes were read where public projects name them, each from several that agree; the detector's
also from the pointer file of its makers' own repository (opencv/opencv_zoo at 82b38c8f, `face_detection_yunet_2023mar.onnx`).
The hub's word alone is not enough for a file whose hash stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from storage.domain.bases import Licence

Task = Literal["captioner", "tagger", "faces", "judge", "likeness", "identity"]


@dataclass(frozen=True, kw_only=True)
class Observer:
    """One row of the registry; `lorasmith fetch NAME` gets it."""

    name: Task
    """As in settings: `LORASMITH_CAPTIONER` and so on."""
    title: str
    does: str
    """What it is for, as part of a sentence."""
    licence: Licence
    hub: str
    """`owner/name` on the hub."""
    revision: str
    """Commit on the hub."""
    needed: tuple[str, ...]
    """Files without which it cannot work; of weights in parts the index."""
    extras: tuple[str, ...]
    """What is fetched besides, where it is there."""
    hashes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """SHA-256 by file: they hold over what the hub says."""
    download_gb: float
    """10^9 bytes."""
    extra: str = ""
    """Of lorasmith, that has to be installed for it."""
    gated: bool = False

    @property
    def source(self) -> str:
        """`owner/name@revision`."""
        return f"{self.hub}@{self.revision}"

    @property
    def page(self) -> str:
        """Its page on the hub."""
        return f"https://huggingface.co/{self.hub}"

    @property
    def terms(self) -> str:
        """Name and licence in a line."""
        return f"{self.title}, {self.licence.name}: {self.licence.says}"


_FREE = "free to use and share, also commercially"
_APACHE = Licence(name="Apache License 2.0", url="https://www.apache.org/licenses/LICENSE-2.0", says=_FREE)

_ROWS = (
    Observer(
        name="captioner",
        title="Qwen3-VL-4B-Instruct",
        does="says in a sentence what a picture shows; best with a GPU of 12 GB or more",
        licence=_APACHE,
        hub="Qwen/Qwen3-VL-4B-Instruct",
        revision="ebb281ec70b05090aa6165b016eac8ec08e71b17",
        needed=(
            *("config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"),
            *("model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"),
        ),
        extras=("chat_template.json", "generation_config.json", "merges.txt", "vocab.json"),
        hashes=MappingProxyType(
            {
                "model-00001-of-00002.safetensors": "30a01a0556622645a3cce87b655bbbbbc1f170c196099f1b666c93202c3339a9",
                "model-00002-of-00002.safetensors": "046296a2a387efb43b0c997d5833c789604d168834f6e0d3064bf7bb13d002a6",
            }
        ),
        download_gb=8.9,  # weights of 4 967 229 296 and 3 908 490 048 bytes
    ),
    Observer(
        name="tagger",
        title="WD EVA02-Large Tagger v3",
        does="gives tags for bases that were trained on tags, where there is no captioner",
        licence=_APACHE,
        hub="SmilingWolf/wd-eva02-large-tagger-v3",
        revision="b25b82a03f7282e41aa2f257a52c7583b710bd1c",
        needed=("model.onnx", "selected_tags.csv"),
        extras=(),
        hashes=MappingProxyType(
            {
                "model.onnx": "9e768793060c7939b277ccb382783e8670e8a042d29d77aa736be0c8cc898bfc",
                "selected_tags.csv": "298633d94d0031d2081c0893f29c82eab7f0df00b08483ba8f29d1e979441217",
            }
        ),
        download_gb=1.3,
        extra="tags",
    ),
    Observer(
        name="faces",
        title="YuNet 2023mar",
        does="finds faces, so that no crop cuts one",
        licence=Licence(name="MIT License", url="https://opensource.org/license/mit", says=_FREE),
        hub="opencv/face_detection_yunet",
        revision="3cc26e7f1014a5ee5d74a42acee58bafc9d0a310",
        needed=("face_detection_yunet_2023mar.onnx",),
        extras=(),
        hashes=MappingProxyType(
            {
                "face_detection_yunet_2023mar.onnx": "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
            }
        ),
        download_gb=0.0002,
        extra="tags",
    ),
    Observer(
        name="judge",
        title="CLIP ViT-L/14",
        does="says at every checkpoint how well previews show what was asked for; without it only losses are measured",
        licence=Licence(name="MIT License", url="https://github.com/openai/CLIP/blob/main/LICENSE", says=_FREE),
        hub="openai/clip-vit-large-patch14",
        revision="32bd64288804d66eefd0ccbe215aa642df71cc41",
        needed=(
            *("config.json", "model.safetensors", "preprocessor_config.json"),
            *("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"),
        ),
        extras=("special_tokens_map.json",),
        hashes=MappingProxyType(
            {"model.safetensors": "a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb"}
        ),
        download_gb=1.7,  # weights of 1 710 540 580 bytes
    ),
    Observer(
        name="likeness",
        title="DINOv2 base",
        does="tells things and characters apart, for their likeness at every checkpoint; used beside the judge",
        licence=_APACHE,
        hub="facebook/dinov2-base",
        revision="f9e44c814b77203eaa57a6bdbbd535f21ede1415",
        needed=("config.json", "model.safetensors", "preprocessor_config.json"),
        extras=(),
        hashes=MappingProxyType(
            {"model.safetensors": "d73036b56966966d07975d696bde331762f37297e2f095de8cea0040c3aa0841"}
        ),
        download_gb=0.35,  # weights of 346 345 912 bytes
    ),
    Observer(
        name="identity",
        title="SFace 2021dec",
        does="knows a face again, for a person's likeness at every checkpoint; used beside the judge, with faces",
        licence=_APACHE,
        hub="opencv/face_recognition_sface",
        revision="3d7082438a6e4551e840c9b2bb60b71e8da4b524",
        needed=("face_recognition_sface_2021dec.onnx",),
        extras=(),
        hashes=MappingProxyType(
            {
                "face_recognition_sface_2021dec.onnx": "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
            }
        ),
        download_gb=0.039,  # 38 696 353 bytes
        extra="tags",
    ),
)

OBSERVERS: dict[str, Observer] = {row.name: row for row in _ROWS}
"""By name."""
BEFORE: tuple[Task, ...] = ("captioner", "tagger", "faces")
"""Those that look at training pictures before the first step."""
EYES: tuple[Task, ...] = ("judge", "likeness", "faces", "identity")
"""What a judge is made of: `lorasmith fetch eyes` gets them all.

Style needs none of its own: the judge's inner layers tell it. The style descriptors of Somepalli et al. 2024 (arXiv 2404.01292) are
not here: their makers' weights have to be unpickled, and copies that need not be carry other terms than theirs."""
