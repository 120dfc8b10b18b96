"""The child as a process: commands in, events out, and gone as soon as nobody listens."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import make_job, tiny_plan
from tests.child_process import ChildProcess, child_process
from trainer.events import Checkpointed, Failed, Progressed, Ready, Train, Trained


@pytest.fixture
def process(tmp_path: Path) -> Iterator[ChildProcess]:
    with child_process(tmp_path / "gpu.lock", PYTHONWARNINGS="default") as child:
        yield child


def test_killed_from_outside_and_started_again_it_ends_with_the_same_file(
    tmp_path: Path, random_base: Path, process: ChildProcess, desk: Any
) -> None:
    plan = replace(tiny_plan(6, 40), checkpoint_steps=(3, 40))
    make_job(tmp_path / "a", random_base, plan=plan)
    make_job(tmp_path / "b", random_base, plan=plan)
    command = Train(folder=str(tmp_path / "a"), until=40).model_dump_json()
    process.hear(Ready)
    process.say("{not a command}")
    process.say(json.dumps({"command": "train", "folder": "x", "until": 1, "unknown": True}))
    assert len([e for e in process.hear(Failed) if isinstance(e, Failed)]) == 1
    process.hear(Failed)
    process.say(command)
    process.hear(Checkpointed)
    time.sleep(0.3)  # somewhere in the steps that follow
    process.process.send_signal(signal.SIGKILL)
    assert process.process.wait(10) == -signal.SIGKILL
    assert not (tmp_path / "a" / "checkpoints" / "40").exists()
    desk.train(tmp_path / "a", 40)
    desk.train(tmp_path / "b", 40)
    name = Path("checkpoints") / "40" / "lora.safetensors"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_it_ends_at_once_in_the_middle_of_work_when_its_stdin_closes(
    tmp_path: Path, random_base: Path, process: ChildProcess
) -> None:
    make_job(tmp_path / "a", random_base, plan=tiny_plan(6, 5000))
    process.hear(Ready)
    second = ChildProcess(tmp_path / "gpu.lock")  # waits for the lock that the first one holds
    process.say(Train(folder=str(tmp_path / "a"), until=5000).model_dump_json())
    heard = process.hear(Progressed)
    assert not any(isinstance(event, Trained) for event in heard)
    assert process.process.stdin
    assert second.process.poll() is None
    process.process.stdin.close()
    began = time.monotonic()
    assert process.process.wait(10) == 0
    assert time.monotonic() - began < 2.0
    second.hear(Ready)
    second.say('{"command": "quit"}')
    assert second.process.wait(20) == 0
    second.close()
