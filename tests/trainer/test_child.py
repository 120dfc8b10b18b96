"""The child: started, spoken to, validated and ended for real."""

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.trainer.ordering import PROGRAM, ROOT
from trainer.child import Child, ChildLost, Launch, NeverReady, environment_for
from trainer.events import Finish, Finished, Progressed, Quit


def launch(tmp_path: Path, script: list[dict[str, object]] | None = None, **kw: object) -> Launch:
    memory = tmp_path / "memory"
    memory.mkdir(exist_ok=True)
    environment = {"SCRIPT": json.dumps(script or []), "SCRIPT_MEMORY": str(memory), "PYTHONPATH": str(ROOT)}
    return Launch(**{"program": PROGRAM, "environment": environment, "startup_s": 20.0, **kw})  # type: ignore[arg-type]


def gone(pid: int, within_s: float) -> bool:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


async def test_a_child_says_who_it_is_and_ends_when_its_ears_are_closed(tmp_path: Path) -> None:
    child = await Child.start(launch(tmp_path))
    assert child.ready is not None
    assert child.ready.device == "cpu"
    assert child.ready.pid == child.pid
    await child.quit()
    assert not child.alive
    assert gone(child.pid, 0.1)


async def test_a_child_ends_by_command(tmp_path: Path) -> None:
    child = await Child.start(launch(tmp_path))
    await child.send(Quit())
    with pytest.raises(ChildLost, match="ended"):
        await child.hear(10)


@pytest.mark.parametrize(
    ("what", "reason"),
    [("garbage", "not an event"), ("unknown field", "not an event"), ("long line", "more than"), ("kill", "SIGKILL")],
)
async def test_a_child_that_babbles_or_dies_is_lost_and_gone(tmp_path: Path, what: str, reason: str) -> None:
    child = await Child.start(launch(tmp_path, [{"at": "finish", "do": what}]))
    await child.send(Finish(folder=str(tmp_path), step=1, max_bytes=None))
    assert isinstance(await child.hear(10), Progressed)
    with pytest.raises(ChildLost, match=reason) as lost:
        await child.hear(10)
    assert f"about to {what}" in lost.value.stderr
    assert gone(child.pid, 1)


async def test_silence_is_told_from_death(tmp_path: Path) -> None:
    child = await Child.start(launch(tmp_path, [{"at": "finish", "do": "stall"}]))
    await child.send(Finish(folder=str(tmp_path), step=1, max_bytes=None))
    assert isinstance(await child.hear(10), Progressed)
    assert await child.hear(0.2) is None
    assert child.alive
    await child.kill()
    assert gone(child.pid, 1)


async def test_impatience_loses_no_word(tmp_path: Path) -> None:
    (tmp_path / "checkpoints/1").mkdir(parents=True)
    (tmp_path / "checkpoints/1/lora.safetensors").write_text("weights")
    child = await Child.start(launch(tmp_path, [{"at": "finish", "do": "stall", "s": "0.3"}]))
    await child.send(Finish(folder=str(tmp_path), step=1, max_bytes=None))
    heard = [await child.hear(0.02)]
    while not isinstance(heard[-1], Finished):
        heard.append(await child.hear(0.02))
    assert [e.event for e in heard if e] == ["progressed", "finished"]
    assert heard.count(None) > 3
    await child.quit()


async def test_a_child_that_never_gets_ready_is_killed(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(ChildLost, match="nothing"):
        await Child.start(launch(tmp_path, [{"at": "start", "do": "stall"}], startup_s=1.5))
    assert time.monotonic() - began < 5


async def test_a_program_that_cannot_start_says_so(tmp_path: Path) -> None:
    with pytest.raises(ChildLost, match="ended") as lost:
        await Child.start(launch(tmp_path, program=(sys.executable, "-c", "raise SystemExit('no torch here')")))
    assert "no torch here" in lost.value.stderr


async def test_a_gpu_that_another_program_holds_is_named_with_its_lock(tmp_path: Path) -> None:
    lock = tmp_path / "gpu.lock"
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        impatient = "import trainer.gpu.__main__ as gpu; gpu.LOCK_WAIT_S = 0.1; gpu.main()"
        program = (sys.executable, "-c", impatient)
        with pytest.raises(NeverReady, match="another program of lorasmith holds the GPU") as held:
            await Child.start(launch(tmp_path, program=program, lock=lock))
    assert str(lock) in str(held.value)


def test_the_childs_environment_holds_no_secret() -> None:
    outer = {
        "PATH": "/bin",
        "DISCORD_TOKEN": "x",
        "LORASMITH_TOKEN": "x",
        "LORASMITH_DATABASE_URL": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "LORASMITH_FAULT": "step:1",
    }
    inner = environment_for(Launch(threads=3), outer)
    assert "x" not in inner.values()
    assert inner["LORASMITH_FAULT"] == "step:1"
    assert inner["OMP_NUM_THREADS"] == "3"


def test_the_child_dies_within_a_second_of_its_supervisor(tmp_path: Path) -> None:
    """The child stalls with its pipe held open by another process, so that only the kernel's signal can end it."""
    settings = launch(tmp_path, [{"at": "finish", "do": "stall"}])
    supervisor = subprocess.Popen(
        [sys.executable, "-c", _SUPERVISOR, json.dumps(dict(settings.environment)), PROGRAM[1], str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert supervisor.stdout is not None
    pid = int(supervisor.stdout.readline())
    os.kill(pid, 0)
    supervisor.send_signal(signal.SIGKILL)
    supervisor.wait()
    supervisor.stdout.close()
    assert gone(pid, 1)


_SUPERVISOR = """
import asyncio, json, os, sys
from trainer.child import Child, Launch
from trainer.events import Finish

async def main():
    environment, program, folder = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
    child = await Child.start(Launch(program=(sys.executable, program), environment=environment))
    await child.send(Finish(folder=folder, step=1, max_bytes=None))
    await child.hear(10)
    if os.fork() == 0:  # keeps the write end of the pipe open for a while
        import time
        os.close(1)
        time.sleep(4)
        os._exit(0)
    print(child.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_two_children_of_one_supervisor_do_not_mix_their_words(tmp_path: Path) -> None:
    first, second = await asyncio.gather(Child.start(launch(tmp_path)), Child.start(launch(tmp_path)))
    assert first.ready is not None
    assert second.ready is not None
    assert first.ready.pid != second.ready.pid
    await asyncio.gather(first.quit(), second.quit())
