"""Between a plan file and an order's rows: export an order's plan, fill a file's gaps, and make the same order again."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlmodel import Session, col, select, update

from storage.checkups import Box, Seen, faces_of, note
from storage.domain.plan import Concept, Fit, Plan, Validation, shortened
from storage.domain.stopping import stopped_at
from storage.orders import departures_of
from storage.plan_file import OF_PICTURES, Origin, renamed, written
from storage.plan_reading import PlanRefused, Wanted, near, require_sound
from storage.tables import Attempt, DepartureRow, Order, Picture, Piece, PlanRow, now

ELSEWHERE = "elsewhere"
"""Who gave the turn whose fit an order that is made again goes on with."""


def exported(session: Session, order_id: str) -> str:
    """The plan file of an order that was started. Raises `LookupError` where there is none, or no plan yet."""
    order, row = session.get(Order, order_id), session.get(PlanRow, order_id)
    if order is None or row is None or order.removed_at is not None:
        raise LookupError(f"there is no plan of an order {order_id}")
    plan, pictures = Plan.from_json(row.plan_json), used(session, order_id)
    hashes = {p.id: p.sha256 for p in pictures}  # whoever has the pictures may call them otherwise
    origin = origin_of(order, plan, pictures, faces_of(session, order_id))
    ran = replace(origin, fit=_fit(session, order_id), departures=departures_of(session, order_id))
    return written(plan, called=hashes, origin=ran)


def _fit(session: Session, order_id: str) -> Fit | None:
    """What all turns of its training were run by; caches may have lain anywhere."""
    asked = select(Attempt.fit_json).join(Piece, col(Piece.id) == col(Attempt.piece_id))
    rows = session.exec(asked.where(Attempt.order_id == order_id, Piece.kind == "train", Attempt.fit_json != "{}"))
    found = {replace(Fit.from_json(text), caches="memory") for text in rows}
    return found.pop() if len(found) == 1 else None


def used(session: Session, order_id: str) -> list[Picture]:
    """The pictures that an order learned from, also after their files went, by place."""
    asked = select(Picture).where(Picture.order_id == order_id, col(Picture.state).in_(["kept", "gone"]))
    return list(session.exec(asked.order_by(col(Picture.position))))


def lasting_names(pictures: Sequence[Picture]) -> dict[str, str]:
    """What a plan file calls pictures: the names of their files where those are different, else their hashes."""
    said = [p.source_name for p in pictures]
    return {p.id: p.source_name if said.count(p.source_name) == 1 else p.sha256 for p in pictures}


def origin_of(order: Order, plan: Plan, pictures: Sequence[Picture], faces: Mapping[str, Box] | None = None) -> Origin:
    """What makes this order the one that it is. `faces` were found in its pictures: it was cut around them."""
    boxes = {id_: " " + ",".join(map(repr, box)) for id_, box in (faces or {}).items()}
    return Origin(
        id=order.id,
        name=order.name,
        made=order.created_at.date().isoformat(),
        plan=_plan_digest(plan, pictures),
        captions=hashlib.sha256(json.dumps(sorted([p.sha256, p.caption] for p in pictures)).encode()).hexdigest(),
        pictures=tuple(f"{p.position} {p.sha256}{boxes.get(p.id, '')}" for p in pictures),
    )


def _plan_digest(plan: Plan, pictures: Sequence[Picture]) -> str:
    named = renamed(plan, {p.id: p.sha256 for p in pictures})
    named = replace(named, held_out=tuple(sorted(named.held_out)), repeats=tuple(sorted(named.repeats)))
    return hashlib.sha256(named.to_json().encode()).hexdigest()


def day_of(origin: Origin) -> datetime:
    """The day that the headers of its files name."""
    return datetime.fromisoformat(origin.made).replace(tzinfo=UTC)


def filled(wanted: Wanted, recipe: Plan, pictures: Sequence[Picture]) -> Plan:
    """The plan of a file, with the recipe's values where it says nothing. Raises `PlanRefused` by field."""
    said = dict(wanted.fields)
    for field in set(OF_PICTURES) & said.keys():
        said[field] = tuple(_found(field, name, pictures) for name in said[field])
    if "concepts" in said:
        said["concepts"] = found_concepts(said["concepts"], pictures)
    if "recipe" in said:
        said["recipe"] = _recipe(said["recipe"], recipe)
    if "held_out" not in said and said.get("validation") is Validation.NONE:
        said["held_out"] = ()
    steps = said.get("steps", recipe.steps)
    if 1 <= steps <= 100_000:  # beyond that `require_sound` says so
        recipe = shortened(recipe, steps)
    plan = replace(recipe, **said)
    require_sound(plan)
    if len(plan.held_out) >= len(pictures):
        raise PlanRefused("held_out: no picture is left to learn from")
    return plan


def _recipe(text: str, recipe: Plan) -> str:
    """What a file calls its recipe; of its name alone, what it is called here. Raises `PlanRefused` for another plan's."""
    _, slash, made_for = text.partition("/")
    own = recipe.recipe.partition("/")[2]
    if slash and made_for != own:
        raise PlanRefused(f"recipe: it made a plan of {made_for[:80]}, and this one is of {own}; leave the field out")
    return text if slash else recipe.recipe


def found_concepts(concepts: Sequence[Concept], pictures: Sequence[Picture]) -> tuple[Concept, ...]:
    """Concepts with the ids of the pictures that they name. Raises `PlanRefused` for one that is not there, or is in none."""
    found = [replace(c, pictures=tuple(_found("concepts", name, pictures) for name in c.pictures)) for c in concepts]
    missing = next((p for p in pictures if found and not any(p.id in c.pictures for c in found)), None)
    if missing is not None:
        raise PlanRefused(f"concepts: the picture {missing.source_name} is in none of them")
    return tuple(found)


def _found(field: str, name: str, pictures: Sequence[Picture]) -> str:
    """The id of a picture that a field names by file name, hash or id."""
    for row in pictures:
        if name in (row.source_name, row.sha256, row.id):
            return row.id
    raise PlanRefused(f"{field}: there is no picture {name[:80]!r}{near(name, [p.source_name for p in pictures])}")


def different(origin: Origin, plan: Plan, order: Order, pictures: Sequence[Picture]) -> str | None:
    """Why this is not the order that a plan was exported from; None where it is."""
    now = origin_of(order, plan, pictures)
    if {_hash(line) for line in now.pictures} != {_hash(line) for line in origin.pictures}:
        return "the pictures are others"
    if now.captions != origin.captions:
        return "the captions are others"
    if now.plan != origin.plan:
        return "the plan was changed"
    ended = stopped_at(origin.departures)
    return None if ended in (None, *plan.checkpoint_steps) else f"it is said to end after step {ended}, no checkpoint"


def _hash(line: str) -> str:
    return line.split(" ")[1]


def _faces(origin: Origin, order_id: str) -> dict[str, Box]:
    """Of an order's pictures in their old places."""
    found = {}
    for line in origin.pictures:
        place, _, *box = line.split(" ")
        if box:
            left, top, right, bottom = (float(share) for share in box[0].split(","))
            found[f"{order_id}-p{place}"] = left, top, right, bottom
    return found


def placed(session: Session, order_id: str, origin: Origin) -> None:
    """Gives an unstarted order's pictures the places that they had: random choices go by them.

    They count as looked at, with the faces that were found then: whoever looks again may find others.
    """
    places = {_hash(line): int(line.partition(" ")[0]) for line in origin.pictures}
    rows = list(session.exec(select(Picture).where(Picture.order_id == order_id).order_by(col(Picture.position))))
    last = max(places.values(), default=0)
    free = iter(n for n in range(last + len(rows) + 1) if n not in places.values())
    new = {row.id: places[row.sha256] if row.state == "kept" else next(free) for row in rows}
    session.expunge_all()
    _renumber(session, order_id, {old: place + 100_000 for old, place in new.items()})
    _renumber(session, order_id, {f"{order_id}-p{place + 100_000}": place for place in new.values()})
    looked = Seen(
        pictures={}, whole=(), captions={}, trigger_like=None, trigger_pieces=0, faces=_faces(origin, order_id)
    )
    note(session, order_id, looked, wait_s=0.0)


def run_so(session: Session, order_id: str, origin: Origin) -> None:
    """An order that was just started is to be run as the one that it is again: by its fit where this machine can, leaving the
    plan where that one left it.
    """
    piece = session.exec(select(Piece).where(Piece.order_id == order_id, Piece.kind == "train")).first()
    if piece is not None and origin.fit is not None:
        at = now()
        session.add(
            Attempt(
                id=f"{piece.id}:0",
                piece_id=piece.id,
                order_id=order_id,
                executor_id=ELSEWHERE,
                fit_json=origin.fit.to_json(),
                started_at=at,
                ended_at=at,
                outcome="more",
            )
        )
    seen: Counter[tuple[int, str]] = Counter()
    for left in origin.departures:
        place = left.step, left.kind
        session.add(
            DepartureRow(order_id=order_id, step=left.step, kind=left.kind, ordinal=seen[place], reason=left.reason)
        )
        session.flush()
        seen[place] += 1


def _renumber(session: Session, order_id: str, places: Mapping[str, int]) -> None:
    for old, place in places.items():
        session.exec(update(Picture).where(col(Picture.id) == old).values(id=f"{order_id}-p{place}", position=place))
