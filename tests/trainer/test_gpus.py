"""Which GPU a worker takes, and how the supervisor hears what it is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from storage.domain.errors import SetupError
from trainer.child import environment_for
from trainer.events import Ready
from trainer.seat import Seat
from trainer.settings import WorkerSettings, gpu_memory_gib


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two GPUs, told apart by their memory."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text('#!/bin/sh\ncase "$1" in --id=0) echo 8188;; --id=1) echo 24564;; --id=GPU-7) echo 81559;; esac\n')
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)


def launched(gpu: int, device: str = "auto") -> tuple[dict[str, str], str]:
    launch = WorkerSettings(gpu=gpu, device=device).launch()  # type: ignore[arg-type]
    said = environment_for(launch, os.environ)
    return {k: v for k, v in said.items() if k.startswith(("CUDA_", "LORASMITH_CHILD"))}, Path(str(launch.lock)).name


def test_cuda_counts_gpus_as_nvidia_smi_does() -> None:
    environment, lock = launched(1)
    assert environment == {
        "CUDA_VISIBLE_DEVICES": "1",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "LORASMITH_CHILD_DEVICE": "auto",
    }
    assert lock == "lorasmith-gpu-1.lock"
    assert gpu_memory_gib(1) == pytest.approx(24.0, abs=0.1)


def test_an_operators_own_choice_of_gpus_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,GPU-7")
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    environment, lock = launched(1)
    assert environment["CUDA_VISIBLE_DEVICES"] == "GPU-7"
    assert environment["CUDA_DEVICE_ORDER"] == "FASTEST_FIRST"
    assert lock == "lorasmith-gpu-GPU-7.lock"
    assert launched(0)[0]["CUDA_VISIBLE_DEVICES"] == "1"
    assert (gpu_memory_gib(0), gpu_memory_gib(1)) == (24564 / 1024, 81559 / 1024)
    with pytest.raises(SetupError, match="names 2 GPUs, and LORASMITH_GPU=2 is none of them"):
        launched(2)


def test_an_operator_who_hides_all_gpus_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert launched(0)[0]["CUDA_VISIBLE_DEVICES"] == ""
    assert gpu_memory_gib(0) is None


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_other_devices_hide_cuda_from_the_child(device: str) -> None:
    environment, _ = launched(0, device)
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    assert environment["LORASMITH_CHILD_DEVICE"] == device


def test_metal_falls_back_to_the_processor_for_what_it_lacks() -> None:
    said = environment_for(WorkerSettings(device="mps").launch(), {})
    assert said["PYTORCH_ENABLE_MPS_FALLBACK"] == "1"


class Said:
    """A child that is up."""

    def __init__(self, ready: Ready) -> None:
        self.ready = ready


@pytest.mark.parametrize(
    ("ready", "kind", "memory_gib", "bf16"),
    [
        ({"device": "cpu"}, "cpu", None, True),
        ({"device": "NVIDIA H200"}, "cuda", 24.0, True),
        ({"device": "NVIDIA GTX 1080", "kind": "cuda", "memory_gib": 8.0, "bf16": False}, "cuda", 8.0, False),
        ({"device": "Apple GPU", "kind": "mps", "memory_gib": 21.3}, "mps", 21.3, True),
    ],
)
def test_the_device_is_what_the_child_says(
    ready: dict[str, object],
    kind: str,
    memory_gib: float | None,
    bf16: bool,  # noqa: FBT001 -- a column
) -> None:
    seat = Seat(WorkerSettings(threads=3).launch(), memory_gib=24.0, main_gib=60.5)
    child = Said(Ready(pid=1, versions={}, **ready))  # type: ignore[arg-type]
    device = seat.device(child)  # type: ignore[arg-type]
    assert (device.kind, device.memory_gib, device.bf16, device.threads) == (kind, memory_gib, bf16, 3)
    assert device.main_gib == 60.5
