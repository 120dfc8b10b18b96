"""When the graphics card is a worker's: by the clock, and while no other program wants it."""

from __future__ import annotations

import asyncio
import stat
import threading
from datetime import datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.trainer.conftest import MakeBench
from tests.trainer.taking import an_order, stage
from trainer.hours import closed_by_clock, closed_by_others, of_others, others_mib, spans
from trainer.settings import WorkerSettings
from trainer.worker import Worker

NIGHT = spans("22:00-08:00")


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 1, 5, hour, minute).astimezone()


def test_a_night_goes_over_midnight_and_the_words_say_until_when() -> None:
    assert [closed_by_clock(NIGHT, at(h)) for h in (22, 23, 0, 7)] == [""] * 4
    assert closed_by_clock(NIGHT, at(7, 59)) == ""
    assert closed_by_clock(NIGHT, at(8)) == "the graphics card is for others until 22:00 (LORASMITH_GPU_HOURS)"
    two = spans("01:00-06:00, 12:00-13:30")
    assert [bool(closed_by_clock(two, at(h, m))) for h, m in ((0, 59), (1, 0), (12, 0), (13, 30))] == [1, 0, 0, 1]
    assert "until 12:00" in closed_by_clock(two, at(7))
    assert closed_by_clock((), at(12)) == ""


@pytest.mark.parametrize("text", ["always", "22-8", "25:00-08:00", "10:00-10:00", "22:00-08:00 and more"])
def test_what_is_no_part_of_a_day_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValidationError, match="gpu_hours"):
        WorkerSettings(_env_file=None, gpu_hours=text)  # type: ignore[call-arg]  # pydantic-settings takes it


def test_what_others_hold_is_all_that_is_used_less_what_is_ours() -> None:
    assert of_others(9000, {7: 8000.0, 9: 500.0}, 7) == 1000
    assert of_others(9000, {}, None) == 9000
    assert of_others(9000, {-1: None}, 7) is None, "inside of a container nobody says which is ours"
    assert closed_by_others(1000, None) == ""
    assert closed_by_others(None, 500) == ""
    assert closed_by_others(400, 500) == ""
    assert closed_by_others(1000, 500).startswith("another program holds 1000 MiB")


def test_the_driver_is_asked_and_one_that_is_not_there_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert others_mib("0", None) is None
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        '#!/bin/sh\ncase "$2" in *memory.used*) echo 9000;; *) echo "7, 8000"; echo "[N/A], [N/A]";; esac\n'
    )
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    assert others_mib("0", None) == 9000
    assert others_mib("0", 7) == 1000
    assert others_mib("0", 8) is None
    tool.write_text('#!/bin/sh\necho "[N/A]"\n')
    assert others_mib("0", None) is None, "a card that has no memory of its own"


async def test_a_driver_that_does_not_answer_holds_up_no_beat(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await make_bench(give_way_mib=100, beat_s=0.01)
    answers, enough, beats = threading.Event(), asyncio.Event(), []
    worker = Worker(bench)

    async def beat() -> None:
        beats.append(1)
        if len(beats) == 3:
            enough.set()

    monkeypatch.setattr("trainer.worker.others_mib", lambda *_: 101.0 if answers.wait(10) else None)
    monkeypatch.setattr(worker, "_beat", beat)
    living = asyncio.create_task(worker._beat_for_ever())
    try:
        async with asyncio.timeout(5):
            await enough.wait()
            answers.set()
            while not worker._closed:  # noqa: ASYNC110  # nothing announces it
                await asyncio.sleep(0.01)
    finally:
        answers.set()
        await worker._close(living)
    assert worker._closed.startswith("another program holds 101 MiB")


async def test_a_worker_takes_no_turn_while_the_card_is_for_others(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = await make_bench(gpu_hours="22:00-08:00")
    order_id = await an_order(bench)
    worker, hour = Worker(bench), 12
    monkeypatch.setattr("trainer.worker.closed_by_clock", lambda hours, _: closed_by_clock(hours, at(hour)))
    caplog.set_level("INFO", "trainer.worker")
    for _ in range(2):
        await worker._take("k1")
    assert (await stage(bench, order_id), bench.seat.pid) == ("queued", None)
    hour = 23
    await worker._take("k2")
    assert await stage(bench, order_id) == "training"
    assert bench.seat.pid is not None
    assert [r.message for r in caplog.records if "graphics card" in r.message] == [
        "the graphics card is for others until 22:00 (LORASMITH_GPU_HOURS); orders wait",
        "the graphics card is this worker's again",
    ]
