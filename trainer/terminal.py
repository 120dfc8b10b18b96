"""What `lorasmith train` says in the terminal: plain words, progress bars, a short summary. All of it goes to stderr."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from sqlmodel import Session

from storage import checkups, tables, words
from storage.captions import long
from storage.database import Database
from storage.doctor import can_return, findings_of
from storage.domain.captions import unwanted
from storage.domain.concepts import prompt_words
from storage.domain.errors import Fault
from storage.domain.orders import MIN_PICTURES, SubjectType
from storage.domain.plan import Plan
from storage.domain.signs import Sign
from storage.drafts import kept
from storage.tables import Picture
from storage.view import OrderView
from storage.watching import signs_of
from storage.words_captions import captioned, empty_words, long_words, said_words, spoilt_words
from storage.words_concepts import concepts_line
from storage.words_doctor import checkup_lines, examined_words
from storage.words_pictures import pictures_refused
from storage.words_signs import sign_sentence
from storage.words_stopping import ended_early, given_back
from trainer.gathering import Gathered

LOOK_S = 0.25

DOING = {
    "loading": "loading the base model",
    "caching": "looking at the pictures",
    "training": "learning",
    "exporting": "writing the file",
    "previewing": "drawing previews",
    "measuring": "measuring",
    "sweeping": "trying scales",
    "packing": "packing the files",
    "stalled": "no word from the machine for a while",
}

WHOSE = {
    Fault.PICTURES.value: "The pictures are the reason; take out what does not belong, or add others.",
    Fault.MACHINE.value: "This machine is the reason (memory, disk, driver). Running the same command again tries again.",
    Fault.PROGRAM.value: "lorasmith itself is the reason; please report it. Running the same command again tries again.",
}

console = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """One line; what a person named is shown as it is."""
    console.print(escape(text), soft_wrap=True)


def pictures(rows: Sequence[Picture]) -> None:
    """What was taken and what was not, with what to do."""
    kept = sum(p.state == "kept" for p in rows)
    say(f"{kept} of {len(rows)} pictures are used.")
    refused = [(r.source_name, r.fault, r.fault_detail) for r in rows if r.state == "refused" and r.fault]
    for sentence in pictures_refused(refused):
        say(f"  {sentence}")
    ill = [row for row in rows if row.state == "kept" and findings_of(row)]
    for row in ill:
        say(f"  {examined_words(row.source_name, findings_of(row))}")
    if ill or any(can_return(row) for row in rows):
        say("  This is advice. --leave-out FILE leaves a picture out, --keep FILE uses it whatever was found.")


def captions(order: tables.Order, rows: Sequence[Picture], found: Gathered) -> None:
    """How pictures are called, and what had better not be said of them."""
    kept, subject = [p for p in rows if p.state == "kept"], SubjectType(order.subject_type)
    own = sum(bool(p.caption) for p in kept)
    if own or found.empty:
        say(captioned(own, len(kept)))
    for name in found.empty:
        say(f"  {empty_words(name)}")
    for name in long(kept):
        say(f"  {long_words(name)}")
    for row in kept:
        if words_ := unwanted(row.caption, subject, trigger=found.trigger_of(row.source_name) or order.trigger):
            say(f"  {spoilt_words(row.source_name, words_, subject)}")


def checkup(session: Session, order_id: str) -> None:
    """What the look at all pictures found before the first step."""
    row, order = session.get(tables.Checkup, order_id), session.get(tables.Order, order_id)
    if row is None or order is None:
        return
    found, whole = checkups.findings(row)
    named = [(p.source_name, found[p.id]) for p in kept(session, order_id) if p.id in found]
    lines = checkup_lines(named, whole, trigger=order.trigger, like=row.trigger_like, pieces=row.trigger_pieces)
    for line in lines:
        say(f"  {line}")
    written = checkups.captioned(session, order_id)
    if written:
        say(
            f"  {len(written)} captions were written for pictures without one; a .txt beside a picture says it otherwise:"
        )
    for picture in written:
        say(f"    {said_words(picture.source_name, picture.caption)}")


def too_few(count: int) -> str:
    """Why nothing is trained."""
    return f"{count} usable pictures are too few; at least {MIN_PICTURES} are needed, 8 to 20 are better."


def plan(plan_: Plan, count: int) -> None:
    """The plan in plain words."""
    if not plan_.concepts:
        say(f'The trigger is "{plan_.trigger}": write it in a prompt to call the subject.')
    for sentence in words.plan_sentences(plan_, count):
        say(f"  {sentence}")
    if plan_.subject_type is SubjectType.PERSON:
        say("Train on a person only with that person's consent, and share the file only as far as it goes.")
    if plan_.base == "pocket":
        say("The pocket is a demonstration of 64 x 64 px. For real pictures: lorasmith fetch sdxl, then --base sdxl.")


def failed(order: tables.Order) -> str:
    """Whose fault it was and what to do."""
    return f"It failed: {order.fault_reason}.\n{WHOSE.get(order.fault or '', '')}".rstrip()


def summary(view: OrderView, out: Path, files: dict[str, str]) -> None:
    """What came out, and where it is."""
    _ended_early(view)
    if view.choice:
        say(f"Chosen: the checkpoint after step {view.choice.step}. {words.because_sentence(view.choice)}")
    if view.chosen:
        say(f"  {words.measurement_line(view.chosen.measurement)}")
        if line := concepts_line(view.plan, view.chosen.measurement):
            say(f"  {line}")
        for warning in words.flag_sentences(view.chosen.measurement):
            say(f"  {warning}")
    for sign in view.signs:
        say(f"  Careful. {sign_sentence(sign)}")
    if view.scale:
        say(words.scale_sentence(view.scale))
    if view.plan and view.plan.concepts:
        say(f"Write in a prompt what you want to see: {' or '.join(prompt_words(view.plan))}.")
    for role in ("lora", "sidecar", "preview", "strip"):
        if role in files:
            say(f"  {role:8} {out / files[role]}")
    say(f"  {'page':8} {out / 'page.html'}")
    say(f"Took {words.duration(view.seconds.get('start to delivery', 0.0))}.")


def _ended_early(view: OrderView) -> None:
    if stop := view.stopped:
        say(f"{ended_early(stop.step, stop.because)} {given_back(stop.steps, words.duration(stop.saved_s))}")


def bars() -> Progress:
    """Bars that are gone when the work is done."""
    columns: Any = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True)


@contextlib.asynccontextmanager
async def progress_of(database: Database, order_id: str, title: str) -> AsyncIterator[None]:
    """A bar that follows the order's progress row while the block runs."""
    with bars() as bar:
        task = bar.add_task(title, total=None)

        async def follow() -> None:
            told = set((await database.transact(_seen, order_id))[1])
            while True:
                row, signs = await database.transact(_seen, order_id)
                for sign in signs:
                    if sign not in told:
                        say(f"  Careful. {sign_sentence(sign)}")
                told |= set(signs)
                if row is not None:
                    text = f"{title}: {DOING.get(row.stage, row.stage)}"
                    bar.update(task, description=text, total=row.steps or None, completed=row.step)
                await asyncio.sleep(LOOK_S)

        following = asyncio.create_task(follow())
        try:
            yield
        finally:
            following.cancel()
            await asyncio.wait([following])


def _seen(session: Session, order_id: str) -> tuple[tables.Progress | None, tuple[Sign, ...]]:
    return session.get(tables.Progress, order_id), signs_of(session, order_id)
