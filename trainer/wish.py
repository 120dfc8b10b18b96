"""What was asked for on the command line, and the order that is made of it: the same wish always finds the same order."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sqlmodel import Session

from storage import orders
from storage.captions import write_captions
from storage.doctor import admit, bring_back, leave_out
from storage.domain.errors import LorasmithError, PictureRefused
from storage.domain.lesson import Lesson
from storage.domain.lifecycle import Stage
from storage.domain.observers import OBSERVERS
from storage.domain.orders import CLASS_WORDS, MIN_PICTURES, SubjectType
from storage.domain.plan import Concept, Plan, shortened
from storage.domain.portraits import crop_of
from storage.domain.recipes import PictureOf, plan_for
from storage.drafts import twins
from storage.pictures import Checker, limits_for, near_twin
from storage.plan_file import Origin
from storage.plan_order import day_of, different, filled, found_concepts, placed, run_so
from storage.plan_reading import Wanted
from storage.tables import Order, Picture
from trainer import terminal
from trainer.continued import Continued, going_on
from trainer.folder import start_key
from trainer.gathering import Gathered, gathered
from trainer.observers import require
from trainer.settings import WorkerSettings
from trainer.turn import Bench

RECIPE_HELP = "house; person-face and person-body for a person as two LoRAs; or one of others to compare with"
NO_LIMIT = 1 << 40
"""Bytes: no upload stands between the file and its owner here."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What was asked for on the command line."""

    pictures: Path
    subject: SubjectType
    out: Path
    class_word: str
    """Empty takes the folder's, or the subject type's."""
    trigger: str | None
    name: str
    base: str
    steps: int | None = None
    """Fewer or more steps than the recipe says."""
    early_stop: bool | None = None
    """Whether the training may end before its plan does; None as the recipe has it."""
    recipe: str = "house"
    lesson: Lesson | None = None
    """What votes taught; None takes the recipe as it comes."""
    plan: Wanted | None = None
    """What a plan file says, over the recipe."""
    plan_sha256: str = ""
    """Of that file."""
    continue_from: Continued | None = None
    """The LoRA that the training goes on from."""
    leave_out: tuple[str, ...] = ()
    """Names of pictures that are not used."""
    keep: tuple[str, ...] = ()
    """Names of pictures that are used although something was found."""
    checkpoints: tuple[int, ...] = ()
    """Steps whose files are wanted beside the chosen one."""


def require_faces(settings: WorkerSettings, wish: Wish) -> None:
    """Whether faces alone can be shown where that is asked for; an order made again brings its faces. Raises `LorasmithError`."""
    if wish.plan is not None and wish.plan.origin is not None:
        return
    said = wish.plan.fields.get("crop") if wish.plan else None
    if (said or crop_of(wish.recipe)) == "face":
        require(OBSERVERS["faces"], settings.observer("faces", gpu=False))


async def ordered(bench: Bench, wish: Wish) -> str:
    """The order of this wish, started: drafted, its pictures checked, its plan said."""
    found = await asyncio.to_thread(brought_together, wish)
    order = await drafted(bench, wish, found)
    rows = await bench.database.transact(orders.pictures_of, order.id)
    terminal.pictures(rows)
    terminal.captions(order, rows, found)
    kept = require_enough(rows, found)
    if wish.continue_from and order.stage == Stage.DRAFT.value:
        await bench.artifacts.put(start_key(order.id), wish.continue_from.file)
    order = await bench.database.transact(_set_going, bench, order.id, wish, found)
    terminal.plan(await bench.database.transact(orders.plan_of, order.id), len(kept))
    return order.id


def brought_together(wish: Wish) -> Gathered:
    """What the folder that was named holds, or a dataset of the hub as one. Raises `LorasmithError`."""
    name = wish.pictures.as_posix()
    if wish.pictures.is_absolute() or wish.pictures.exists():
        return gathered(wish.pictures)
    from trainer.hub_pictures import brought, is_dataset  # noqa: PLC0415  # the hub's library is slow to import

    return gathered(brought(name, wish.out / ".lorasmith" / "datasets") if is_dataset(name) else wish.pictures)


def require_enough(rows: Sequence[Picture], found: Gathered) -> list[Picture]:
    """The pictures that are used. Raises `LorasmithError` where they are too few, in all or of one of several concepts."""
    kept = [p for p in rows if p.state == "kept"]
    if len(kept) < MIN_PICTURES:
        raise LorasmithError(terminal.too_few(len(kept)))
    for concept in found.concepts:
        if (count := sum(p.source_name in concept.names for p in kept)) < MIN_PICTURES:
            raise LorasmithError(f"{concept.trigger} {concept.class_word}: {terminal.too_few(count)}")
    return kept


async def drafted(bench: Bench, wish: Wish, found: Gathered) -> Order:
    """The draft with its pictures checked, or the order that was started from it. An exported order is made again under its id."""
    if found.concepts and wish.plan is None and (wish.trigger or wish.class_word):
        raise LorasmithError(
            f"the folders in {wish.pictures} say how their pictures are called; leave out --trigger and --class-word"
        )
    fingerprint = await asyncio.to_thread(_fingerprint, wish, found)
    if wish.plan is not None and wish.plan.origin is not None:
        origin = wish.plan.origin
        again = await bench.database.transact(_draft, wish, found, fingerprint, origin)
        if again.interaction_id != fingerprint:
            raise LorasmithError(f"{wish.out} holds the order {origin.id} already; give another --out to make it again")
        await _checked(bench, again, found, wish)
        why = await bench.database.transact(_same_again, again.id, wish, found, origin)
        if why is None:
            return await bench.database.transact(orders.locked_order, again.id)
        terminal.say(f"This is an order of its own, and not {origin.id} again: {why}.")
    order = await bench.database.transact(_draft, wish, found, fingerprint)
    await _checked(bench, order, found, wish)
    return order


async def _checked(bench: Bench, order: Order, found: Gathered, wish: Wish) -> None:
    if order.stage == Stage.DRAFT.value:
        await _check_pictures(bench, order, found)
        await bench.database.transact(write_captions, order.id, found.captions, "file")
        await bench.database.transact(_decide, order.id, wish)


def _same_again(session: Session, order_id: str, wish: Wish, found: Gathered, origin: Origin) -> str | None:
    """Why this is not the order that the plan was exported from; then its draft goes. Else its pictures take their places."""
    order = orders.locked_order(session, order_id)
    if order.stage != Stage.DRAFT.value:
        return None
    kept = require_enough(orders.pictures_of(session, order_id), found)
    why = different(origin, plan_of_wish(order, kept, wish, found), order, kept)
    if why is None:
        placed(session, order_id, origin)
        return None
    for picture in orders.pictures_of(session, order_id):
        session.delete(picture)
    session.flush()
    session.delete(order)
    return why


def _fingerprint(wish: Wish, found: Gathered) -> str:
    """Equal for the same pictures and the same words, so that the same command finds its order again."""
    said: list[object] = [wish.subject.value, wish.class_word, wish.trigger, wish.name, wish.base, wish.steps]
    said += [[*wish.leave_out], [*wish.keep]] if wish.leave_out or wish.keep else []
    said += [found.captions, found.trigger, found.class_word] if found.captions or found.trigger else []
    said += [[asdict(concept) for concept in found.concepts]] if found.concepts else []
    said += [wish.continue_from.sha256] if wish.continue_from else []
    said += [wish.recipe, wish.plan_sha256] if wish.plan or wish.recipe != "house" else []
    said += [f"early stop: {wish.early_stop}"] if wish.early_stop is not None else []
    said += ["learned"] if wish.lesson else []  # by whatever revision: an order that was begun keeps its plan
    whole = hashlib.sha256(json.dumps(said).encode())
    for file in found.files:
        with file.open("rb") as opened_file:
            whole.update(hashlib.file_digest(opened_file, "sha256").digest())
    return f"alone:{whole.hexdigest()}"


def _draft(session: Session, wish: Wish, found: Gathered, fingerprint: str, origin: Origin | None = None) -> Order:
    """What the command says holds over what the folder's name says; of several concepts the order has the first one's words."""
    said = wish.plan.fields.get("concepts", ()) if wish.plan else ()
    trigger, class_word = (said[0].trigger, said[0].class_word) if said else (found.trigger, found.class_word)
    order = orders.open_draft(
        session,
        interaction_id=fingerprint,
        token="",
        community_id="local",
        owner_id=fingerprint[:30],
        channel_id="",
        name=wish.name,
        subject_type=wish.subject.value,
        class_word=wish.class_word or class_word or CLASS_WORDS[wish.subject],
        trigger=wish.trigger or trigger,
        base=wish.base,
        links=[(f.resolve().as_uri(), found.called(f), f.stat().st_size) for f in found.files],
        id_=origin.id if origin else None,
    )
    if origin is not None and order.interaction_id == fingerprint:
        order.created_at = day_of(origin)
    order.max_file_bytes = NO_LIMIT
    return order


async def _check_pictures(bench: Bench, order: Order, found: Gathered) -> None:
    checker, paths = Checker(), {found.called(f): f for f in found.files}
    try:
        for picture in await bench.database.transact(orders.linked, order.id):
            try:
                kept = await checker.check(paths[picture.source_name], limits_for(order.base))
                twin = near_twin(kept, await bench.database.transact(twins, order.id))
            except PictureRefused as refused:
                await bench.database.transact(orders.refuse_picture, picture.id, refused.fault, refused.detail)
                continue
            await admit(bench.database, bench.artifacts, picture, kept, twin=twin)
    finally:
        await checker.close()


def _decide(session: Session, order_id: str, wish: Wish) -> None:
    """What was said about single pictures. Raises `LorasmithError` for a name that is not there."""
    known = {p.source_name: p.position for p in orders.pictures_of(session, order_id)}
    if strangers := [name for name in (*wish.leave_out, *wish.keep) if name not in known]:
        raise LorasmithError(f"there is no picture {strangers[0]} in {wish.pictures}")
    leave_out(session, order_id, [known[name] for name in wish.leave_out])
    bring_back(session, order_id, [known[name] for name in wish.keep])
    for picture in orders.pictures_of(session, order_id):
        picture.accepted = picture.accepted or picture.source_name in wish.keep


def _set_going(session: Session, bench: Bench, order_id: str, wish: Wish, found: Gathered) -> Order:
    """Start a draft; try a failed one again; let be what is under way."""
    order = orders.locked_order(session, order_id)
    if order.stage == Stage.DRAFT.value:
        kept = orders.kept(session, order_id)
        plan = plan_of_wish(order, kept, wish, found)
        bench.seat.require_fit(plan, len(kept))
        started = orders.start(session, bench.engine, order_id, plan)
        if wish.plan is not None and wish.plan.origin is not None and wish.plan.origin.id == order_id:
            run_so(session, order_id, wish.plan.origin)
        return started
    if order.stage == Stage.FAILED.value:
        return orders.retry(session, bench.engine, order_id)
    return order


def plan_of_wish(order: Order, kept: Sequence[Picture], wish: Wish, found: Gathered) -> Plan:
    """The recipe's plan, with what a plan file says or with as many steps as were asked for."""
    plan = plan_for(
        base=order.base,
        subject_type=wish.subject,
        class_word=order.class_word,
        trigger=order.trigger,
        seed=wish.plan.fields.get("seed", order.seed) if wish.plan else order.seed,
        pictures=[PictureOf(id=p.id, dhash=int(p.dhash, 16)) for p in kept],
        recipe=wish.recipe,
        concepts=_concepts(kept, wish, found),
        lesson=wish.lesson,
    )
    if wish.plan is not None:
        plan = filled(wish.plan, plan, kept)
    elif wish.steps is not None:
        plan = shortened(plan, wish.steps)
    if wish.early_stop is not None:
        plan = replace(plan, early_stop=wish.early_stop)
    return going_on(plan, wish.continue_from, planned=wish.plan is not None and "rank" in wish.plan.fields)


def _concepts(kept: Sequence[Picture], wish: Wish, found: Gathered) -> tuple[Concept, ...]:
    """Those that a plan file names, else those of the folders, with the ids of the pictures that are used."""
    if wish.plan is not None and "concepts" in wish.plan.fields:
        return found_concepts(wish.plan.fields["concepts"], kept)
    return tuple(
        Concept(
            trigger=held.trigger,
            class_word=held.class_word,
            pictures=tuple(p.id for p in kept if p.source_name in held.names),
            repeats=held.repeats,
        )
        for held in found.concepts
    )
