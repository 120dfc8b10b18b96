"""The child as a process: commands in, events out, and gone as soon as nobody listens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import make_job, tiny_plan
from trainer.events import EVENT, Checkpointed, Failed, Progressed, Ready, Train, Trained

START_S = 90


class Process:
    """One child, started as the supervisor starts it."""

    def __init__(self, lock: Path) -> None:
        environment = {**os.environ, "LORASMITH_GPU_LOCK": str(lock), "PYTHONWARNINGS": "default"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trainer.gpu"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=Path(__file__).parents[3],
        )

    def say(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def hear(self, kind: type) -> list[Any]:
        """All events up to and including the first of a kind; every line has to be an event."""
        assert self.process.stdout
        heard = []
        while line := self.process.stdout.readline():
            heard.append(EVENT.validate_json(line))
            if isinstance(heard[-1], kind):
                return heard
        raise AssertionError(f"the child ended before {kind.__name__}: {heard}")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    child = Process(tmp_path / "gpu.lock")
    yield child
    child.close()


def test_killed_from_outside_and_started_again_it_ends_with_the_same_file(
    tmp_path: Path, random_base: Path, process: Process, desk: Any
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
    tmp_path: Path, random_base: Path, process: Process
) -> None:
    make_job(tmp_path / "a", random_base, plan=tiny_plan(6, 5000))
    process.hear(Ready)
    second = Process(tmp_path / "gpu.lock")  # waits for the lock that the first one holds
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
