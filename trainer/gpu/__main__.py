"""The GPU child: `python -m trainer.gpu`. Commands on stdin, events on stdout, everything else on stderr.

It ends when its stdin closes, at once and wherever it is: everything on disk is whole at any instant. One child a GPU: it
holds a lock on the file named by `LORASMITH_GPU_LOCK`.
"""

from __future__ import annotations

import os

# Before any library reads them: quiet, and repeatable matrix products on CUDA.
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import gc
import queue
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import IO

from pydantic import ValidationError

from storage.lifeline import end_with_parent
from storage.system import KILL, Locked, lock
from trainer.events import COMMAND, GPU_HELD, MAX_LINE_BYTES, Evaluate, Examine, Failed, Finish, Quit, Ready, Train

LOCK_WAIT_S = 90.0
"""A child that is being killed lets go of its GPU within moments, an idle worker's after its `idle_s`: 60 s by default."""


def main() -> int:
    """Runs until told to quit or until stdin closes."""
    events = os.dup(1)
    os.dup2(2, 1)  # what libraries print goes to the log
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides
    end_with_parent(KILL)  # elsewhere than on Linux the closed pipe ends it
    commands: queue.Queue[Train | Examine | Finish | Evaluate | Quit | None] = queue.Queue()
    threading.Thread(target=_listen, args=(0, commands), daemon=True).start()
    held = _lock()
    warnings.simplefilter("ignore")

    # seconds of imports: torch comes after the pipe is safe and the lock is held
    with _light():
        from trainer.gpu.channel import Channel  # noqa: PLC0415 -- as said
        from trainer.gpu.child import Child  # noqa: PLC0415 -- as said
        from trainer.gpu.device import found  # noqa: PLC0415 -- as said

    _quiet()
    channel = Channel(events)
    child = Child(channel)
    device = found(os.environ.get("LORASMITH_CHILD_DEVICE", "auto"))
    channel.tell(
        Ready(
            pid=os.getpid(),
            device=device.name,
            versions=_versions(),
            kind=device.kind,
            memory_gib=device.memory_gib,
            bf16=device.bf16,
            notes=list(device.notes),
        )
    )
    while not isinstance(command := commands.get(), Quit):
        if command is None:
            channel.tell(Failed(fault="program", reason="a command could not be read", retry=False))
        else:
            child.obey(command)
    if held:
        held.close()
    return 0


@contextmanager
def _light() -> Iterator[None]:
    """Imports in two thirds of their seconds.

    Nobody collects among a million objects that stay, now or before each turn; and where there is no CUDA, diffusers does not
    bring bitsandbytes with half of torch's compiler behind it. Who asks for its optimiser later still gets it.
    """
    gc.disable()
    import torch  # noqa: PLC0415 -- seconds, as its users

    skipped = not torch.cuda.is_available() and "bitsandbytes" not in sys.modules
    if skipped:
        sys.modules["bitsandbytes"] = None  # type: ignore[assignment]  # "there is none", says the import system
    try:
        yield
    finally:
        if skipped:
            del sys.modules["bitsandbytes"]
        gc.freeze()
        gc.enable()


def _listen(descriptor: int, commands: queue.Queue[Train | Examine | Finish | Evaluate | Quit | None]) -> None:
    """Reads command lines; the end of the pipe is the end of the process."""
    waiting = b""
    while chunk := os.read(descriptor, 65536):
        waiting += chunk
        *lines, waiting = waiting.split(b"\n")
        for line in lines:
            commands.put(_command(line))
        if len(waiting) > MAX_LINE_BYTES:
            os._exit(2)
    os._exit(0)


def _command(line: bytes) -> Train | Examine | Finish | Evaluate | Quit | None:
    try:
        return COMMAND.validate_json(line)
    except ValidationError as error:
        print(f"not a command: {error.error_count()} errors", file=sys.stderr)  # noqa: T201 -- stderr is the log
        return None


def _lock() -> IO[str] | None:
    """Holds the GPU; ends the process where another one does not let go."""
    path = os.environ.get("LORASMITH_GPU_LOCK")
    if not path:
        return None
    file = open(path, "a", encoding="utf-8")  # noqa: SIM115, PTH123 -- held until the process ends
    until = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            lock(file, wait=False)
        except Locked:
            if time.monotonic() > until:
                print("another process holds this GPU", file=sys.stderr)  # noqa: T201 -- stderr is the log
                os._exit(GPU_HELD)
            time.sleep(0.1)
        else:
            return file


def _quiet() -> None:
    import diffusers  # noqa: PLC0415 -- as torch
    import transformers  # noqa: PLC0415 -- as torch

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


def _versions() -> dict[str, str]:

    return {name: version(name) for name in ("torch", "diffusers", "transformers", "peft", "safetensors")}


if __name__ == "__main__":
    sys.exit(main())
