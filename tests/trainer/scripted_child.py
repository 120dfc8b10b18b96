"""A GPU child without a GPU: a real process that speaks the real events and trains nothing.

Its "adapter" is a chain of hashes, one link a step, so that a resumed run can be compared with an undisturbed one byte for
byte. SCRIPT (JSON in the environment) makes it misbehave: a list of `{"at": "train" | "finish" | "start", "step": n,
"do": what, "times": k}`; how often each was done is kept in the folder SCRIPT_MEMORY, because a killed child forgets.
"""

import hashlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from queue import Queue

from PIL import Image

from storage.domain.measurement import Measurement, ScaleChoice, ScalePoint
from storage.domain.plan import Plan
from trainer.events import (
    COMMAND,
    Checkpointed,
    Departed,
    Event,
    Examine,
    Examined,
    Failed,
    Finish,
    Finished,
    Job,
    Logged,
    Preview,
    Progressed,
    Quit,
    Ready,
    Train,
    Trained,
)

SCRIPT = json.loads(os.environ.get("SCRIPT", "[]"))
MEMORY = Path(os.environ.get("SCRIPT_MEMORY", "."))
READY = json.loads(os.environ.get("SCRIPT_READY", '{"device": "cpu"}'))
SEEN = json.loads(os.environ.get("SCRIPT_SEEN", '{"pictures": {}, "whole": "[]", "captions": {}}'))
LOG_EVERY = int(os.environ.get("LOG_EVERY", "2"))
STEP_S = float(os.environ.get("STEP_S", "0.005"))


def say(event: Event) -> None:
    raw(event.model_dump_json())


def raw(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def misbehave(at: str, step: int = 0) -> bool:
    """Do what the script says for this moment; True where the command is over because of it."""
    now = [
        rule
        for index, rule in enumerate(SCRIPT)
        if rule["at"] == at and rule.get("step", 0) == step and _again(index, rule.get("times", 1))
    ]
    return any([_do(rule, step) for rule in now])  # noqa: C419  # every rule is carried out


def _again(index: int, times: int) -> bool:
    done = sorted(MEMORY.glob(f"done-{index}-*"))
    if len(done) >= times:
        return False
    (MEMORY / f"done-{index}-{len(done)}").touch()
    return True


def _do(rule: dict[str, str], step: int) -> bool:
    what = rule["do"]
    print(f"about to {what}", file=sys.stderr, flush=True)
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "garbage":
        raw("Loading pipeline components...:  50%")
    elif what == "unknown field":
        raw(json.dumps({**Progressed(stage="training", step=step, steps=9).model_dump(), "surprise": 1}))
    elif what == "long line":
        raw("x" * (1 << 21))
    elif what == "stall":
        time.sleep(float(rule.get("s", "3600")))
    elif what == "outside":
        file = "../../secret"
        say(Checkpointed(step=step, lora=file, lora_sha256="", lora_bytes=1, grid=file, previews=[], measurement="{}"))
        time.sleep(60)  # it is ended for that; until then it stores no state that a next turn could go on from
    elif what == "depart":
        said = int(rule.get("ordinal", 0))
        say(Departed(step=step, kind="learning_rate_halved", ordinal=said, reason="the loss was not a number"))
    elif what.startswith("fail "):
        _, fault, retry = what.split()
        say(Failed(fault=fault, reason=f"scripted {fault} fault", retry=retry == "retry"))  # type: ignore[arg-type]
        return True
    else:
        raise ValueError(what)
    return False


def train(command: Train) -> None:
    folder = Path(command.folder)
    job = Job.model_validate_json((folder / "job.json").read_text())
    plan = Plan.from_json(job.plan)
    for picture in job.pictures:
        assert (folder / picture.file).stat().st_size > 0
    began = time.monotonic()
    step, link = _newest(folder, plan, command.until)
    while step < command.until:
        step += 1
        link = hashlib.sha256(f"{link}:{plan.seed}:{step}".encode()).hexdigest()
        time.sleep(STEP_S)
        say(
            Progressed(
                stage="training", step=step, steps=plan.steps, loss_ratio=1 - step / plan.steps, seconds_left=1.0
            )
        )
        if step % LOG_EVERY == 0:
            loss = int(link[:8], 16) / 2**32
            say(
                Logged(
                    step=step,
                    loss=loss,
                    loss_ratio=1 - step / plan.steps,
                    learning_rate=1e-4,
                    steps_per_s=9.0,
                    memory_mib=100,
                )
            )
        if misbehave("train", step):
            return
    say(_checkpoint(folder, step, link))
    if misbehave("checkpointed", step):
        return
    state = folder / "state" / str(step)
    state.mkdir(parents=True, exist_ok=True)
    (state / "state.safetensors").write_text(link)
    (state / "state.json").write_text(json.dumps({"step": step, "link": link}))
    say(Trained(step=step, state=f"state/{step}", seconds=time.monotonic() - began))


def _newest(folder: Path, plan: Plan, until: int) -> tuple[int, str]:
    states = [json.loads(p.read_text()) for p in folder.glob("state/*/state.json")]
    best = max((s for s in states if s["step"] <= until), key=lambda s: s["step"], default=None)
    return (best["step"], best["link"]) if best else (0, str(plan.seed))


def _checkpoint(folder: Path, step: int, link: str) -> Checkpointed:
    out = folder / "checkpoints" / str(step)
    out.mkdir(parents=True, exist_ok=True)
    (out / "lora.safetensors").write_text(f"{step}:{link}")
    Image.new("RGB", (16, 16), (step % 256, 20, 40)).save(out / "grid.png")
    Image.new("RGB", (8, 8), (step % 256, 90, 40)).save(out / "preview-0-7.png")
    Image.new("RGB", (8, 8), (7, 7, 7)).save(out / "base-0-7.png")
    height = 0.9 - abs(step - 6) * 0.05
    measurement = Measurement(
        validation_ratio=None,
        training_ratio=0.5,
        likeness=height,
        adherence=height,
        variety=1.0,
        leakage=0.1,
        memorisation=0.2,
        utility=height,
        utilities=(height, height + 0.001),
        flags=(),
        seconds=0.0,
    )
    data = (out / "lora.safetensors").read_bytes()
    here = f"checkpoints/{step}"
    return Checkpointed(
        step=step,
        lora=f"{here}/lora.safetensors",
        lora_sha256=hashlib.sha256(data).hexdigest(),
        lora_bytes=len(data),
        grid=f"{here}/grid.png",
        previews=[
            Preview(file=f"{here}/{'base' if base else 'preview'}-0-7.png", row=0, seed=7, base=base)
            for base in (False, True)
        ],
        measurement=measurement.to_json(),
    )


def finish(command: Finish) -> None:
    folder = Path(command.folder)
    say(Progressed(stage="sweeping", step=1, steps=2))
    if misbehave("finish"):
        return
    lora = folder / "checkpoints" / str(command.step) / "lora.safetensors"
    out = folder / "delivery"
    out.mkdir(exist_ok=True)
    (out / "blue.safetensors").write_bytes(lora.read_bytes())
    (out / "blue.json").write_text(json.dumps({"asked": command.max_bytes}))
    Image.new("RGB", (8, 8)).save(out / "preview.png")
    Image.new("RGB", (8, 8)).save(out / "strip.png")
    points = tuple(
        ScalePoint(scale=s, likeness=0.8, adherence=0.8, leakage=0.1, utility=0.9 - abs(s - 0.8))
        for s in (0.4, 0.8, 1.2)
    )
    scale = ScaleChoice(recommended=0.8, low=0.7, high=0.9, points=points)
    names = {"lora": "blue.safetensors", "sidecar": "blue.json", "preview": "preview.png", "strip": "strip.png"}
    say(Finished(scale=scale.to_json(), files={k: f"delivery/{v}" for k, v in names.items()}, seconds=0.5))


def main() -> None:
    """As the real child: commands come through a thread, so that the end of the pipe ends the process at once."""
    heard: Queue[str] = Queue()

    def listen() -> None:
        for line in sys.stdin:
            heard.put(line)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    if misbehave("start"):
        return
    say(Ready(pid=os.getpid(), versions={"scripted": "1"}, **READY))
    while True:
        match COMMAND.validate_json(heard.get()):
            case Train() as command:
                train(command)
            case Examine():
                say(Examined(**SEEN))
            case Finish() as command:
                finish(command)
            case Quit():
                return


if __name__ == "__main__":
    main()
