"""What this process computes on, and what that cannot do."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from storage.domain.fit import DeviceKind

GIB = float(1 << 30)


@dataclass(frozen=True, kw_only=True)
class Found:
    """The device, as it is told to the supervisor."""

    kind: DeviceKind
    name: str
    memory_gib: float | None
    bf16: bool
    notes: tuple[str, ...] = ()


def found(wanted: str) -> Found:
    """The best device here of those that are wanted: auto, cpu, cuda or mps."""
    if wanted in ("auto", "cuda") and torch.cuda.is_available():
        return _cuda()
    if wanted in ("auto", "mps") and torch.backends.mps.is_available():
        return _mps()
    return Found(kind="cpu", name="cpu", memory_gib=None, bf16=False)


def _cuda() -> Found:
    properties = torch.cuda.get_device_properties(0)
    bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    slow = (f"{properties.name} does not compute in bf16: fp32 is taken, at twice the memory",)
    return Found(
        kind="cuda",
        name=properties.name,
        memory_gib=properties.total_memory / GIB,
        bf16=bf16,
        notes=() if bf16 else slow,
    )


def _mps() -> Found:
    """Apple's GPUs share the machine's memory; Metal names how much of it it may take."""
    bf16 = _computes(torch.bfloat16)
    notes = (
        [] if bf16 else ["this macOS has no bf16 on its GPU (14 and later have): fp32 is taken, at twice the memory"]
    )
    if os.environ.get("PYTORCH_ENABLE_MPS_FALLBACK") == "1":
        notes.append("what Metal cannot do is done on the processor (PYTORCH_ENABLE_MPS_FALLBACK=1)")
    memory = torch.mps.recommended_max_memory() / GIB
    return Found(kind="mps", name="Apple GPU", memory_gib=memory, bf16=bf16, notes=tuple(notes))


LOST = (
    "CUDA error",
    "CUDA driver error",
    "CUDNN_STATUS_EXECUTION_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR",
    "CUBLAS_STATUS_EXECUTION_FAILED",
    "CUBLAS_STATUS_INTERNAL_ERROR",
    "GPU is lost",
    "command buffer exited with error status",
    "MTLCommandBufferStatusError",
)
"""What drivers and libraries say when a GPU broke off; nothing computes on it in this process any more. Texts that were met,
with where: `tests/trainer/gpu/test_device.py`."""
UNSUITED = (
    "no kernel image is available",
    "PTX was compiled with an unsupported toolchain",
    "driver version is insufficient",
)
"""What CUDA says where the programs that are installed were not built for this GPU or its driver."""


def is_unsuited(error: BaseException) -> bool:
    """Whether what is installed cannot compute on this GPU at all: no other turn will."""
    return isinstance(error, RuntimeError) and any(text in str(error) for text in UNSUITED)


def is_lost(error: BaseException) -> bool:
    """Whether an error says that the GPU broke off: fallen off the bus, reset by its driver, an access that it refused."""
    if is_unsuited(error):
        return False
    accelerator = getattr(torch, "AcceleratorError", ())  # since PyTorch 2.8; a RuntimeError before
    said = isinstance(error, RuntimeError) and any(text in str(error) for text in LOST)
    return isinstance(error, accelerator) or said


def _computes(dtype: torch.dtype) -> bool:
    """Whether MPS multiplies in this precision, tried once: older ones raise."""
    try:
        one = torch.ones(2, 2, dtype=dtype, device="mps")
        return bool((one @ one).sum().item() == 8.0)
    except (RuntimeError, TypeError):
        return False
