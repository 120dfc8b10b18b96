"""The settings of a worker: `LORASMITH_...` variables and `.env`, on top of those that both sides share."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from storage.domain.bases import BASES
from storage.domain.errors import SetupError
from storage.domain.footprint import FOOTPRINTS
from storage.domain.observers import OBSERVERS
from storage.settings import StorageSettings
from storage.system import cpus, free_memory_bytes
from trainer.child import Launch
from trainer.comparison import EyeName
from trainer.hours import spans
from trainer.observers import fetched
from trainer.weights import copied

POCKET = Path(__file__).parent / "pocket" / "weights"


class WorkerSettings(StorageSettings):
    """What this worker serves and on what."""

    bases: Annotated[tuple[str, ...], NoDecode] = ("pocket",)
    """Base models that this worker trains on, separated by commas; `lorasmith bases` lists them."""
    base_pocket: str = str(POCKET)
    """Folder of the pocket."""
    base_sd15: str = BASES["sd15"].source or ""
    """Folder or hub id of Stable Diffusion 1.5; a hub id may end in @revision."""
    base_sdxl: str = BASES["sdxl"].source or ""
    """Folder, single file or hub id of SDXL."""
    base_flux1_dev: str = BASES["flux1-dev"].source or ""
    """Folder or hub id of FLUX.1-dev."""
    base_flux2_klein_4b: str = BASES["flux2-klein-4b"].source or ""
    """Folder or hub id of FLUX.2 klein 4B, base."""
    base_flux2_klein_9b: str = BASES["flux2-klein-9b"].source or ""
    """Folder or hub id of FLUX.2 klein 9B, base."""
    base_z_image: str = BASES["z-image"].source or ""
    """Folder or hub id of Z-Image."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """auto takes the GPU where there is one; cpu, cuda and mps (Apple's GPU) say which."""
    gpu: int = Field(default=0, ge=0)
    """Which GPU of this machine, as nvidia-smi counts them; where CUDA_VISIBLE_DEVICES is set, which of those that it names."""
    threads: int = Field(default_factory=cpus, ge=1, le=256)
    """CPU threads of the child."""
    nice: int = Field(default=5, ge=0, le=19)
    """By how much others on this machine go before the child: the bot, for one, which answers people within a second."""
    deterministic: bool = False
    """Bit-equal runs on CUDA too, at some cost in speed. CPU runs always are."""
    captioner: str = ""
    """Folder of a captioner of the Qwen-VL class; where it is not set, what `lorasmith fetch captioner` brought. Without one
    pictures without captions take the standard ones; none uses none."""
    tagger: str = ""
    """Folder of a WD tagger (model.onnx, selected_tags.csv), used where there is no captioner; needs lorasmith[tags]. Where it is
    not set, what was fetched; none uses none."""
    faces: str = ""
    """File of a face detector (YuNet, onnx), so that no crop of a person cuts the face; needs lorasmith[tags]."""
    judge: str = ""
    """Folder of a CLIP (transformers), which measures checkpoints of bases without a judge of their own. Where it is not set, what
    `lorasmith fetch eyes` brought; none uses none, and then only losses are measured. So with the next two."""
    likeness: str = ""
    """Folder of a DINOv2 (transformers), which measures the likeness of things and characters beside the judge."""
    identity: str = ""
    """File of a face embedding (SFace, onnx), which measures a person's likeness too; needs lorasmith[tags], and faces."""
    doctor_wait_s: float = Field(default=900.0, ge=0)
    """How long training waits for its owner where pictures were captioned, or look mixed, foreign or all of one place; 0 never
    waits."""
    logs_dir: Path | None = None
    """Folder for TensorBoard's event files, in it one folder an order; needs lorasmith[logs]. None writes none."""
    work_dir: Path | None = None
    """Job folders; None is `work` in the data folder. They hold members' pictures while an order runs."""
    startup_s: float = Field(default=300.0, gt=0)
    """How long the child may take to be ready."""
    stall_s: float = Field(default=120.0, gt=0)
    """After so many seconds without a word from the child the members are told."""
    hang_s: float = Field(default=1800.0, gt=0)
    """After so many seconds without a word the child is ended and the turn tried again."""
    idle_s: float = Field(default=60.0, gt=0)
    """After so many seconds without work the child is ended, so that other programs find the GPU free."""
    gpu_hours: str = ""
    """When this worker may use its GPU, by this machine's clock: 22:00-08:00, several with commas between. Empty is always. A turn
    that runs goes on to its next checkpoint."""
    give_way_mib: float | None = Field(default=None, ge=0)
    """Take no turn while other programs hold more MiB of the GPU's memory than this (a desktop holds some hundreds); None never
    gives way."""
    watch_s: float = Field(default=1.0, gt=0)
    """How often a running turn looks whether it was cancelled, and how seldom it writes progress."""

    @field_validator("bases", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("bases")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in value if name not in BASES]
        if unknown or not value:
            raise ValueError(f"bases are {', '.join(BASES)}; not {', '.join(unknown) or 'none'}")
        return value

    @field_validator("logs_dir")
    @classmethod
    def _can_log(cls, value: Path | None) -> Path | None:
        if value is not None and not writes_tensorboard():
            raise ValueError(
                "TensorBoard's files need tensorboardX: install lorasmith[logs], or leave this setting out"
            )
        return value

    @field_validator("gpu_hours")
    @classmethod
    def _parts_of_a_day(cls, value: str) -> str:
        spans(value)
        return value

    @property
    def work(self) -> Path:
        """Where the job folders are."""
        return ((self.work_dir or self.data_dir / "work") / "jobs").resolve()

    def logs_of(self, order_id: str) -> str:
        """Where TensorBoard's files of an order go; empty where none are wanted."""
        return str((self.logs_dir / order_id).resolve()) if self.logs_dir else ""

    @property
    def need_gpu(self) -> tuple[str, ...]:
        """Those of this worker's bases that need a GPU: all but the pocket would take days without."""
        return tuple(base for base in self.bases if base in FOOTPRINTS)

    def weights(self, base: str) -> str:
        """Folder, file or hub id of a base model's weights: what was set, else the copy that `lorasmith fetch --from` made.

        Raises `KeyError` for one that this worker does not serve.
        """
        return {name: self.source(name) for name in self.bases}[base]

    def source(self, base: str) -> str:
        """The same of any base that is known."""
        given = str(getattr(self, f"base_{base.replace('-', '_')}"))
        copy = copied(base)
        return str(copy) if given == BASES[base].source and copy.is_dir() else given

    def observer(self, task: str, *, gpu: bool) -> str:
        """Where a model that looks at pictures is: what was set, else what was fetched; empty where there is none.

        A captioner that was only fetched is left alone without a GPU: a sentence would take it minutes.
        """
        given = str(getattr(self, task))
        if given == "none" or (not given and task == "captioner" and not gpu):
            return ""
        return given or fetched(OBSERVERS[task])

    @property
    def eyes(self) -> dict[EyeName, str]:
        """What the judge is made of here, by name; what is not there is left out."""
        found = {name: self.observer(name, gpu=True) for name in get_args(EyeName)}
        return {name: place for name, place in found.items() if place}

    def launch(self) -> Launch:
        """How this worker's child is started. On a GPU the lock is the machine's, else this work folder's."""
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES") == ""
        on_gpu = self.device in ("auto", "cuda") and not hidden and shutil.which("nvidia-smi") is not None
        where = Path(tempfile.gettempdir()) if on_gpu else self.work
        return Launch(
            device=self.device,
            threads=self.threads,
            nice=self.nice,
            lock=where / f"lorasmith-gpu-{_plain(gpu_name(self.gpu)) if on_gpu else self.gpu}.lock",
            startup_s=self.startup_s,
            environment=_visible(self.gpu) if on_gpu else {"CUDA_VISIBLE_DEVICES": ""},
        )


def writes_tensorboard() -> bool:
    """Whether the library for TensorBoard's files is installed; it is not imported here: it would bring torch."""
    return importlib.util.find_spec("tensorboardX") is not None


def gpu_name(gpu: int) -> str:
    """What CUDA and nvidia-smi call this worker's GPU: a number by its place on the bus, or what the operator wrote.

    Raises `SetupError` where the operator's own CUDA_VISIBLE_DEVICES names fewer.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return str(gpu)
    named = [name.strip() for name in given.split(",") if name.strip()]
    if gpu >= len(named):
        raise SetupError(f"CUDA_VISIBLE_DEVICES names {len(named)} GPUs, and LORASMITH_GPU={gpu} is none of them")
    return named[gpu]


def _plain(name: str) -> str:
    """For a file name; MIG devices have slashes in theirs."""
    return "".join(letter if letter.isalnum() or letter == "-" else "_" for letter in name)


def _visible(gpu: int) -> dict[str, str]:
    """CUDA counts by speed unless told otherwise, nvidia-smi by the bus: one number has to mean one GPU."""
    return {
        "CUDA_VISIBLE_DEVICES": gpu_name(gpu),
        "CUDA_DEVICE_ORDER": os.environ.get("CUDA_DEVICE_ORDER", "PCI_BUS_ID"),
    }


def gpu_memory_gib(gpu: int) -> float | None:
    """Memory of a GPU as its driver says; None where there is none to ask."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return None
    asked = ["nvidia-smi", f"--id={gpu_name(gpu)}", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True).stdout
        return float(answer.split()[0]) / 1024
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def main_memory_gib() -> float | None:
    """Main memory that is free before a base is loaded; None where nobody could say."""
    free = free_memory_bytes()
    return None if free is None else free / (1 << 30)
