"""Every ten steps something is said of a training: as an event, and in TensorBoard's files, read back as it reads them."""

from __future__ import annotations

import errno
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

from storage.domain.plan import Departure
from tests.builders import tiny_plan
from trainer.events import Checkpointed, Logged, Train, Trained
from trainer.gpu.log import Board
from trainer.gpu.rates import learning_rate

Job = Callable[..., Path]
STEPS, HALF = 24, 12


def plan() -> Any:
    return replace(tiny_plan(6, STEPS), checkpoint_steps=(HALF, STEPS), schedule="cosine", warmup_steps=4)


def trained(desk: Any, folder: Path, until: int) -> list[Any]:
    before = len(desk.told())
    desk.child.obey(Train(folder=str(folder), until=until, logs=str(folder / "logs")))
    told = desk.told()[before:]
    assert isinstance(told[-1], Trained), told[-1]
    return told


def entries(told: list[Any]) -> list[Logged]:
    return [event for event in told if isinstance(event, Logged)]


def learned(told: list[Any]) -> list[tuple[float, ...]]:
    """What does not depend on the machine's clock."""
    return [(e.step, e.loss, e.loss_ratio, e.learning_rate) for e in entries(told)]


# The format is TFRecord: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details, CRC-32C of RFC 3720.


def crc(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    value ^= 0xFFFFFFFF
    return (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def records(path: Path) -> Iterator[Event]:
    data, at = path.read_bytes(), 0
    while at < len(data):
        length, check = struct.unpack_from("<QI", data, at)
        assert check == crc(data[at : at + 8])
        body = data[at + 12 : at + 12 + length]
        assert struct.unpack_from("<I", data, at + 12 + length) == (crc(body),)
        yield Event.FromString(body)
        at += 16 + length


def as_tensorboard_reads(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Files in the order of their names; a session's start voids what earlier ones say from its step on."""
    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        first, *others = records(path)
        assert first.file_version == "brain.Event:2"
        for event in others:
            if event.session_log.status == SessionLog.START:
                found = {tag: [p for p in points if p[0] < event.step] for tag, points in found.items()}
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_every_ten_steps_loss_rate_pace_and_memory_are_told(desk: Any, job: Job) -> None:
    told = trained(desk, job(plan=plan()), STEPS)
    said = entries(told)
    assert [entry.step for entry in said] == [10, 20]
    assert [entry.learning_rate for entry in said] == [learning_rate(plan(), (), step) for step in (10, 20)]
    assert said[0].learning_rate > said[1].learning_rate > 0
    assert all(0.001 < entry.loss < 10 and 0.3 < entry.loss_ratio < 3 for entry in said)
    assert all(entry.steps_per_s > 0 and 100 < entry.memory_mib < 1 << 16 for entry in said)
    marks = [event.step for event in told if isinstance(event, Logged | Checkpointed)]
    assert marks == [10, 12, 20, 24]


def test_an_interrupted_run_logs_what_an_undisturbed_one_does_and_tensorboard_shows_it_once(
    desk: Any, job: Job
) -> None:
    whole = job("whole", plan=plan())
    wanted = learned(trained(desk, whole, STEPS))
    desk.forget()
    folder = job("cut", plan=plan())
    said = learned(trained(desk, folder, STEPS))
    shutil.rmtree(folder / "state" / str(STEPS))
    shutil.rmtree(folder / "checkpoints" / str(STEPS))
    desk.forget()
    again = learned(trained(desk, folder, STEPS))
    assert said == wanted
    assert again == wanted[1:]
    curves = as_tensorboard_reads(folder / "logs")
    assert curves.keys() >= {f"train/{name}" for name in ("loss", "loss_ratio", "learning_rate", "memory_mib")}
    assert curves["train/loss"] == [(step, pytest.approx(loss)) for step, loss, _, _ in wanted]
    assert curves["train/learning_rate"] == [(step, pytest.approx(rate)) for step, _, _, rate in wanted]
    assert [step for step, _ in curves["checkpoint/leakage"]] == [HALF, STEPS]
    assert curves == {
        tag: [(step, pytest.approx(value)) for step, value in points]
        if tag.partition("/")[2] not in ("steps_per_s", "memory_mib")
        else curves[tag]
        for tag, points in as_tensorboard_reads(whole / "logs").items()
    }


def test_a_halved_rate_is_in_the_log(desk: Any, job: Job) -> None:
    folder = job(plan=replace(plan(), checkpoint_steps=(STEPS,)), departures=[])
    gone = (Departure(step=5, kind="learning_rate_halved", reason="as a test"),)
    desk.child.obey(Train(folder=str(folder), until=1))
    desk.child._training.ledger.all = gone
    said = entries(trained(desk, folder, STEPS))
    assert said[0].learning_rate == learning_rate(plan(), gone, 10) == learning_rate(plan(), (), 10) / 2


def test_a_full_disk_ends_the_files_and_not_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    board = Board(tmp_path / "logs")
    board.begin(1)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as context:
        context.setattr(EventsWriter, "flush", full)
        board.write(10, {"train/loss": 0.5})
    board.write(20, {"train/loss": 0.4})
    (file,) = (tmp_path / "logs").iterdir()
    assert [event.step for event in records(file)][:2] == [0, 1]
    assert 20 not in [event.step for event in records(file)]
    assert capsys.readouterr().err == "no TensorBoard files any more: OSError\n"
