"""What CUDA, its libraries and Metal say when a GPU breaks off, runs full or cannot be used, in the words that people met."""

from __future__ import annotations

import pytest
import torch

from trainer.gpu.child import failure
from trainer.gpu.device import is_lost, is_unsuited
from trainer.gpu.memory import is_out_of_memory

_ASYNCHRONOUS = (
    "\nCUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect."
    "\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions."
)
ERRORS = {
    # fell off the bus, overheated, faulty power supply
    "CUDA error: unspecified launch failure" + _ASYNCHRONOUS: "https://github.com/pytorch/pytorch/issues/74235",
    "CUDA error: unknown error" + _ASYNCHRONOUS: "https://github.com/deepspeedai/DeepSpeed/issues/5482",
    # its memory is broken
    "CUDA error: uncorrectable ECC error encountered"
    + _ASYNCHRONOUS: "https://github.com/vllm-project/vllm/issues/5222",
    # its driver took it back: Windows waits two seconds for a kernel where a screen hangs on the card
    "CUDA error: the launch timed out and was terminated"
    + _ASYNCHRONOUS: "https://github.com/AUTOMATIC1111/stable-diffusion-webui/issues/5089",
    "CUDA error: an illegal memory access was encountered"
    + _ASYNCHRONOUS: "https://github.com/cocktailpeanut/fluxgym/issues/289",
    "CUDA error: an illegal instruction was encountered"
    + _ASYNCHRONOUS: "https://github.com/bmaltais/kohya_ss/issues/3168",
    "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx( handle, opa, opb, m, n, k, &falpha, a, CUDA_R_16F)`": (
        "https://github.com/isl-org/DPT/issues/4"
    ),
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR": "https://github.com/hiyouga/LlamaFactory/issues/10261",
    "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED": "https://github.com/SYSU-SAIL/DASR/issues/89",
    "Error: command buffer exited with error status.\n\tInternal Error (0000000e:Internal Error)": (
        "https://github.com/pytorch/pytorch/issues/125954"
    ),
}
"""What was said -> where."""
FULL = {
    "CUDA error: out of memory" + _ASYNCHRONOUS: "https://github.com/nunchux-ai/nunchaku/issues/144",
    "CUDA driver error: out of memory": "https://github.com/deepmodeling/deepmd-kit/pull/3857",
}
UNSUITED = {
    "CUDA error: no kernel image is available for execution on the device"
    + _ASYNCHRONOUS: "https://github.com/Acly/krita-ai-diffusion/issues/2426",
    "CUDA error: the provided PTX was compiled with an unsupported toolchain."
    + _ASYNCHRONOUS: "https://github.com/pytorch/pytorch/issues/146056",
}
KINDS = [RuntimeError, torch.AcceleratorError]
"""PyTorch 2.8 and later raise the second for what begins with \"CUDA error\", earlier ones the first."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("said", ERRORS, ids=ERRORS.values())
def test_a_gpu_that_broke_off_is_named_and_another_turn_is_tried(said: str, kind: type[RuntimeError]) -> None:
    assert is_lost(kind(said))
    assert not is_out_of_memory(kind(said))
    failed = failure(kind(said))
    assert (failed.fault, failed.retry) == ("machine", True)
    assert failed.reason == "the GPU broke off in the middle of its work; the driver's log says why"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("said", FULL, ids=FULL.values())
def test_a_full_card_is_no_lost_one(said: str, kind: type[RuntimeError]) -> None:
    failed = failure(kind(said))
    assert (failed.fault, failed.reason, failed.retry) == ("machine", "memory ran out", True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("said", UNSUITED, ids=UNSUITED.values())
def test_programs_that_were_not_built_for_the_card_say_what_to_install(said: str, kind: type[RuntimeError]) -> None:
    assert is_unsuited(kind(said))
    assert not is_lost(kind(said))
    failed = failure(kind(said))
    assert (failed.fault, failed.retry) == ("machine", False), "no other turn will do better"
    assert "update the driver, or install the build of PyTorch for this card" in failed.reason


def test_other_errors_are_neither() -> None:
    for error in (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("CUDA error"), OSError("no")):
        assert not is_lost(error)
        assert not is_unsuited(error)
