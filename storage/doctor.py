"""The dataset doctor's rows: findings kept with pictures, and what the owner makes of them.

Nothing is thrown away: a picture that is left out keeps its file until the order ends, and one word brings it back.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session

from storage.artifacts import Artifacts
from storage.database import Database
from storage.domain.doctor import Finding, examined, from_json, to_json, worth_dropping
from storage.domain.errors import OrderFault, OrderRefused, PictureFault
from storage.domain.lifecycle import Stage
from storage.domain.orders import MAX_PICTURES
from storage.drafts import keep_picture, kept, locked_order, pictures_of
from storage.pictures import Kept
from storage.tables import Picture

SET_ASIDE = frozenset({PictureFault.NEAR_DUPLICATE.value, PictureFault.LEFT_OUT.value})
"""Why a picture is not used although its file is kept: it can be brought back."""


async def admit(database: Database, artifacts: Artifacts, picture: Picture, found: Kept, *, twin: str | None) -> None:
    """A picture that was checked: its file, then its row with the findings; a near twin of `twin` is set aside.

    Of one that finds no place any more no file is kept.
    """
    key = f"orders/{picture.order_id}/pictures/{picture.position}.jpg"
    await artifacts.put(key, found.data)
    if not await database.transact(_admitted, picture.id, found, key, twin):
        await artifacts.delete(key)


def _admitted(session: Session, picture_id: str, found: Kept, key: str, twin: str | None) -> bool:
    """Whether there was a place for it."""
    row = keep_picture(
        session,
        picture_id,
        sha256=found.sha256,
        dhash=found.dhash,
        thumb=found.thumb,
        width=found.width,
        height=found.height,
        artifact=key,
    )
    if row.state != "kept":
        return False
    seen = examined(found.symptoms, width=found.width, height=found.height, learned_px=found.learned_px)
    row.findings_json = to_json(seen)
    if twin is not None:
        row.state, row.fault, row.fault_detail = "refused", PictureFault.NEAR_DUPLICATE.value, twin[:200]
    return True


def findings_of(picture: Picture) -> tuple[Finding, ...]:
    """What was found, unless the owner said to keep the picture as it is."""
    return () if picture.accepted else from_json(picture.findings_json)


def proposed(session: Session, order_id: str) -> list[Picture]:
    """The used pictures that are proposed for leaving out."""
    return [p for p in kept(session, order_id) if worth_dropping(findings_of(p))]


def set_aside(session: Session, order_id: str) -> list[Picture]:
    """The pictures that can be brought back."""
    return [p for p in pictures_of(session, order_id) if can_return(p)]


def can_return(picture: Picture) -> bool:
    """Whether the picture is left out with its file kept."""
    return picture.state == "refused" and picture.fault in SET_ASIDE and picture.artifact is not None


def leave_out(session: Session, order_id: str, positions: Sequence[int]) -> list[Picture]:
    """The owner leaves these pictures out. Raises `OrderRefused` where the order is no draft any more."""
    _draft(session, order_id)
    chosen = [p for p in kept(session, order_id) if p.position in positions]
    for picture in chosen:
        picture.state, picture.fault, picture.fault_detail = "refused", PictureFault.LEFT_OUT.value, ""
    return chosen


def bring_back(session: Session, order_id: str, positions: Sequence[int]) -> list[Picture]:
    """The owner wants these pictures used, whatever was found. Raises `OrderRefused` as `leave_out`; more than 40 stay out."""
    _draft(session, order_id)
    room = max(0, MAX_PICTURES - len(kept(session, order_id)))
    chosen = [p for p in set_aside(session, order_id) if p.position in positions][:room]
    for picture in chosen:
        picture.state, picture.fault, picture.fault_detail, picture.accepted = "kept", None, "", True
    return chosen


def accept(session: Session, order_id: str) -> None:
    """The owner keeps all used pictures as they are: nothing more is proposed about them."""
    _draft(session, order_id)
    for picture in kept(session, order_id):
        picture.accepted = True


def _draft(session: Session, order_id: str) -> None:
    if locked_order(session, order_id).stage != Stage.DRAFT.value:
        raise OrderRefused(OrderFault.TOO_LATE)
