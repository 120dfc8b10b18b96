"""The child that opens strangers' pictures: its fences, and what one bad picture costs."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from storage import decoding
from storage.domain.errors import PictureFault, PictureRefused
from storage.pictures import Checker, Limits
from tests.storage.drawn import encoded, fault_of, png_header, scene


async def test_a_decoder_that_hangs_is_killed_and_the_next_picture_works(monkeypatch: pytest.MonkeyPatch) -> None:
    checker = Checker()
    good = encoded(scene())
    await checker.check(good)
    assert checker._child is not None
    pid = checker._child.pid
    os.kill(pid, signal.SIGSTOP)  # it hangs without using the CPU
    assert await fault_of(checker, good, Limits(seconds=0.5)) is PictureFault.TOO_SLOW
    assert not Path(f"/proc/{pid}").exists()
    assert (await checker.check(good)).width == 320
    await checker.close()


async def test_a_decoder_that_computes_too_long_is_ended_by_its_own_limit() -> None:
    checker = Checker()
    good = encoded(scene())
    await checker.check(good)
    assert checker._child is not None
    pid = checker._child.pid
    soft, _ = resource.prlimit(pid, resource.RLIMIT_CPU)
    assert decoding.CPU_S <= soft <= decoding.CPU_S + 3
    os.kill(pid, signal.SIGSTOP)
    task = asyncio.create_task(checker.check(good))
    await asyncio.sleep(0.05)
    os.kill(pid, signal.SIGXCPU)  # what the kernel sends
    os.kill(pid, signal.SIGCONT)
    with pytest.raises(PictureRefused) as caught:
        await task
    assert caught.value.fault is PictureFault.TOO_SLOW
    await checker.close()


async def test_a_decoder_that_dies_costs_one_picture() -> None:
    checker = Checker()
    good = encoded(scene())
    await checker.check(good)
    assert checker._child is not None
    checker._child.kill()
    await checker._child.wait()
    assert (await checker.check(good)).width == 320
    first = checker._child
    assert await fault_of(checker, encoded(scene())[:-300]) is PictureFault.TRUNCATED
    assert checker._child is not first, "after a broken file the child is replaced"
    await checker.close()


async def test_a_cancelled_check_leaves_no_half_answer_behind() -> None:
    checker = Checker()
    await checker.check(encoded(scene()))
    task = asyncio.create_task(checker.check(encoded(scene(5, (3000, 3000)), "BMP")))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    kept = await checker.check(encoded(scene(size=(260, 258))))
    assert (kept.width, kept.height) == (260, 258)
    await checker.close()


BOUNDED = """
import resource, sys, io
sys.path.insert(0, "storage")
import decoding
decoding.Image.MAX_IMAGE_PIXELS = None
resource.setrlimit(resource.RLIMIT_AS, (decoding.ADDRESS_SPACE, decoding.ADDRESS_SPACE))
ask = {"max_pixels": 10**12, "min_side": 1, "max_side": 2048, "learned_px": 1024}
answer, data, healthy = decoding._answer(sys.stdin.buffer.read(), ask)
own = dict(line.split(":") for line in open("/proc/self/status"))  # getrusage also counts the process that started this one
print(answer["fault"], healthy, own["VmHWM"].split()[0])
"""


async def test_memory_stays_bounded_even_where_the_header_was_let_through() -> None:
    done = subprocess.run(  # noqa: ASYNC221  # nothing else runs on this loop
        [sys.executable, "-c", BOUNDED],
        input=png_header(30_000, 30_000),
        capture_output=True,
        check=True,
        cwd=Path(decoding.__file__).parents[1],
    )
    fault, healthy, peak_kb = done.stdout.split()
    assert (fault, healthy) == (b"too_many_pixels", b"False")
    assert int(peak_kb) * 1024 < decoding.ADDRESS_SPACE


async def test_the_child_is_fenced_and_sees_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORASMITH_TOKEN", "secret")
    fresh = Checker()
    await fresh.check(encoded(scene()))
    assert fresh._child is not None
    process = Path(f"/proc/{fresh._child.pid}")
    limits = (process / "limits").read_text()
    assert str(decoding.ADDRESS_SPACE) in limits
    assert b"secret" not in (process / "environ").read_bytes()
    assert resource.prlimit(fresh._child.pid, resource.RLIMIT_FSIZE) == (0, 0)
    await fresh.close()


def test_macos_which_refuses_the_limit_of_memory_is_not_asked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(decoding.resource, "setrlimit", lambda which, _limits: asked.append(which))
    for platform in ("linux", "darwin"):
        monkeypatch.setattr(decoding.sys, "platform", platform)
        decoding._fence()
    assert asked.count(resource.RLIMIT_AS) == 1
    assert asked.count(resource.RLIMIT_FSIZE) == asked.count(resource.RLIMIT_CORE) == 2
