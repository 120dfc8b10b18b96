"""`lorasmith evaluate LORA... --prompts FILE --out DIR`: LoRAs and their base on the same prompts and seeds.

Everything is looked at before anything is drawn. The GPU child draws and measures; here the numbers are added up and written
down. Stopped, the same command goes on: pictures that are drawn stay.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from storage.domain.bases import BASES
from storage.domain.errors import LorasmithError
from storage.domain.orders import clean_word
from storage.domain.rungs import TooSmall
from storage.evaluation import MEASURES, Evaluation
from storage.evaluation_entry import Entry, Said, entries
from storage.evaluation_prompts import BUILT_IN, prompts_of
from storage.evaluation_words import notes, number
from storage.options import Options
from storage.system import Locked, lock, on_signals
from trainer import terminal
from trainer.child import Child, ChildLost
from trainer.comparison import GRID, HOME, Comparison
from trainer.evaluation_folder import (
    Wanted,
    claim,
    pictures_in,
    prepare,
    require_ours,
    summed,
    usual_plan,
    write_out,
)
from trainer.events import Evaluate, Evaluated, Failed, Progressed
from trainer.fit import fit_for
from trainer.seat import Seat
from trainer.settings import WorkerSettings, gpu_memory_gib, main_memory_gib
from trainer.weights import missing, present

SEEDS = 4
"""Pictures a prompt, as DreamBooth drew for its tables (section 4.2)."""
MOST_SEEDS = 16
LEAST_SCALE, MOST_SCALE = -4.0, 4.0
STOPPED = 130
"""Exit code of a command that was stopped by Ctrl-C, as shells know it."""
DOING = {"loading": "loading the base model", "previewing": "drawing", "measuring": "measuring"}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The command line."""

    loras: tuple[Path, ...]
    prompts: str
    """Name of a built-in list, or a file."""
    out: Path
    pictures: Path | None
    seeds: int
    said: Said


async def evaluate(asked: Asked) -> Evaluation:
    """The whole comparison. Doing it again goes on, or measures what is drawn. Raises `LorasmithError`; `CancelledError`."""
    require_ours(asked.out)
    prompts = prompts_of(asked.prompts)
    found = await asyncio.to_thread(entries, asked.loras, asked.said)
    _tell(found, asked)
    settings = settings_of(asked.out, found[0].base)
    source = settings.weights(found[0].base)
    if not present(found[0].base, source):
        raise LorasmithError(missing(found[0].base, source))
    kept, refused = await pictures_in(asked.pictures, found[0].base) if asked.pictures else ((), [])
    for sentence in refused:
        terminal.say(f"  {sentence}")
    wanted = Wanted(
        out=asked.out,
        base=found[0].base,
        source=source,
        eyes=settings.eyes,
        prompts=prompts,
        seeds=asked.seeds,
        entries=found,
        pictures=kept,
    )
    with _alone(asked.out):
        if claim(wanted):
            terminal.say("This comparison was begun before; what is drawn stays.")
        made, event = await _drawn(wanted, settings)
        result = summed(wanted, made, event)
        write_out(asked.out, made, result)
    return result


def _tell(found: Sequence[Entry], asked: Asked) -> None:
    """How each LoRA is used, and a style on prompts that are not for styles. Raises `LorasmithError`."""
    for entry in found:
        how = {"command": "as you said", "habit": "nothing recommends another"}.get(
            entry.scale_from, f"from its {entry.scale_from}"
        )
        terminal.say(f'{entry.name}: "{entry.trigger} {entry.class_word}", scale {entry.scale:g} ({how})')
        if entry.style and asked.prompts in BUILT_IN:
            raise LorasmithError(
                f"{entry.file} is a style, and the prompts {asked.prompts} are for things; write a file with prompts such as "
                "`a cat in {trigger} style`"
            )


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """One such command a folder."""
    (out / HOME).mkdir(parents=True, exist_ok=True)
    with (out / HOME / "lock").open("a") as file:
        try:
            lock(file, wait=False)
        except Locked as error:
            raise LorasmithError(f"another lorasmith is at work in {out}") from error
        yield


async def _drawn(wanted: Wanted, settings: WorkerSettings) -> tuple[Comparison, Evaluated]:
    """What the child drew and measured. It ends with this, however this ends."""
    settings.work.mkdir(parents=True, exist_ok=True)
    seat = Seat(
        settings.launch(),
        memory_gib=gpu_memory_gib(settings.gpu),
        main_gib=main_memory_gib(),
        deterministic=settings.deterministic,
        need_gpu=settings.need_gpu,
    )
    try:
        child = await seat.child()
        plan = usual_plan(wanted.base)
        try:
            fit = fit_for(plan, seat.device(child))
        except TooSmall as small:
            raise LorasmithError(str(small)) from small
        made = await asyncio.to_thread(prepare, wanted, plan, fit)
        await child.send(Evaluate(folder=str(wanted.out.resolve())))
        return made, await _heard(child, settings.hang_s)
    except ChildLost as lost:
        raise LorasmithError(f"{lost.told}: {lost.reason}. The same command goes on with what is drawn") from lost
    finally:
        await seat.leave()


async def _heard(child: Child, hang_s: float) -> Evaluated:
    """The child's answer, with a bar meanwhile. Raises `ChildLost` and `LorasmithError`."""
    with terminal.bars() as bar:
        task, heard_at = bar.add_task("Comparing", total=None), time.monotonic()
        while True:
            event = await child.hear(1.0)
            if event is not None:
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > hang_s:
                raise ChildLost(f"the GPU child said nothing for {hang_s:.0f} s", stderr=child.stderr)
            if isinstance(event, Progressed):
                text = f"Comparing: {DOING.get(event.stage, event.stage)}"
                bar.update(task, description=text, total=event.steps or None, completed=event.step)
            elif isinstance(event, Failed):
                again = " The same command goes on with what is drawn." if event.retry else ""
                raise LorasmithError(f"it failed: {event.reason}.{again}")
            elif isinstance(event, Evaluated):
                return event


def settings_of(out: Path, base: str) -> WorkerSettings:
    """This machine's settings, with a place of its own for what is kept between runs."""
    return WorkerSettings(
        data_dir=out / HOME, work_dir=None, database_url=None, artifacts_url=None, logs_dir=None, bases=(base,)
    )


def summary(found: Evaluation, out: Path) -> None:
    """The means in a table, and where everything is."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for measure in MEASURES:
        table.add_column(measure.title, justify="right")
    for one in found.contestants:
        values = [(one.values[measure.name], measure) for measure in MEASURES]
        cells = [number(value.mean, measure) if value else "–" for value, measure in values]
        table.add_row(escape(one.name), *cells)
    if found.eyed:
        terminal.console.print(table)
    for note in notes(found):
        terminal.say(note)
    for name in (GRID, "page.html", "table.md", "result.json"):
        terminal.say(f"  {out / name}")


def parse(arguments: Sequence[str] | None) -> tuple[Asked, bool]:
    """The command line; whether JSON was asked for. Exits with usage where it is wrong."""
    parser = Options(
        "evaluate",
        "Compare LoRAs with each other and with their base model: CLIP scores, likeness, adherence and variety on the same "
        "prompts and seeds, a grid, a table and a page. Stopped, the same command goes on.",
    )
    parser.add_argument("loras", type=Path, nargs="+", metavar="LORA", help="LoRA files for one base model")
    parser.add_argument(
        "--prompts",
        required=True,
        metavar="FILE",
        help="one prompt a line, with {} where trigger and class word belong; or object or live: the 25 prompts of the "
        "DreamBooth paper for things or for animals and people",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="a new folder for all that comes of it")
    parser.add_argument(
        "--pictures", type=Path, metavar="DIR", help="the training pictures; likeness needs them, and nothing else does"
    )
    parser.add_argument("--base", choices=[*BASES], help="the base model; what the LoRAs are for if not given")
    parser.add_argument("--scale", type=float, help="strength of all LoRAs; else what each one's files recommend, or 1")
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help=f"pictures a prompt [{SEEDS}]")
    parser.add_argument("--trigger", default="", help="the word that calls the subject, where files do not say it")
    parser.add_argument(
        "--class-word", default="", help="what it is in one word, where files do not say it: dog, teapot"
    )
    parser.add_argument("--json", action="store_true", help="print result.json to standard output at the end")
    given = parser.parse_args(arguments)
    if not 1 <= given.seeds <= MOST_SEEDS:
        parser.error(f"--seeds is between 1 and {MOST_SEEDS}")
    if given.scale is not None and not LEAST_SCALE <= given.scale <= MOST_SCALE:
        parser.error(f"--scale is between {LEAST_SCALE:g} and {MOST_SCALE:g}")
    said = Said(
        base=given.base,
        trigger=clean_word(given.trigger),
        class_word=clean_word(given.class_word),
        scale=given.scale,
    )
    asked = Asked(
        loras=tuple(given.loras),
        prompts=given.prompts,
        out=given.out,
        pictures=given.pictures,
        seeds=given.seeds,
        said=said,
    )
    return asked, given.json


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0 with a comparison, 1 with the reason, 130 where it was stopped."""
    asked, as_json = parse(arguments)
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        found = asyncio.run(_until_stopped(asked))
    except (KeyboardInterrupt, asyncio.CancelledError):
        terminal.say("Stopped. The same command goes on; pictures that are drawn stay.")
        return STOPPED
    except LorasmithError as error:
        terminal.say(f"lorasmith evaluate: {error}")
        return 1
    summary(found, asked.out)
    if as_json:
        sys.stdout.write((asked.out / "result.json").read_text("utf-8"))
    return 0


async def _until_stopped(asked: Asked) -> Evaluation:
    """Ctrl-C and SIGTERM end the child and leave what is drawn."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("there is always a task here")
    on_signals((signal.SIGINT, signal.SIGTERM), task.cancel)
    return await evaluate(asked)


if __name__ == "__main__":
    sys.exit(main())
