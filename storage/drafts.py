"""Drafts: from the interaction that opens one to the pictures that are kept or refused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import Session, col, func, select

from storage.domain.errors import OrderFault, OrderRefused, PictureFault
from storage.domain.lifecycle import Stage, check_move
from storage.domain.orders import MAX_PICTURES, order_id, seed_for, trigger_for
from storage.switches import insert_if_new
from storage.tables import Community, Member, Order, Picture, now

Link = tuple[str, str, int]
"""A picture as it was sent: url, file name, size in bytes as the sender says."""
DRAFT_HOURS = 24.0


def open_draft(
    session: Session,
    *,
    interaction_id: str,
    token: str,
    community_id: str,
    owner_id: str,
    channel_id: str,
    name: str,
    subject_type: str,
    class_word: str,
    trigger: str | None = None,
    base: str,
    links: Sequence[Link],
    hours: float = DRAFT_HOURS,
    id_: str | None = None,
) -> Order:
    """The draft of this interaction; a repeated delivery of the same interaction finds the first one, unchanged.

    `id_` is given where an order is made again under its own id.
    """
    id_ = id_ or order_id(interaction_id)
    insert_if_new(session, Community, **Community(id=community_id).model_dump())
    insert_if_new(session, Member, **Member(community_id=community_id, id=owner_id).model_dump())
    draft = Order(
        id=id_,
        interaction_id=interaction_id,
        interaction_token=token,
        community_id=community_id,
        owner_id=owner_id,
        channel_id=channel_id,
        name=name,
        subject_type=subject_type,
        class_word=class_word,
        trigger=trigger or trigger_for(id_),
        base=base,
        stage=Stage.DRAFT.value,
        seed=seed_for(id_),
        expires_at=now() + timedelta(hours=hours),
    )
    new = insert_if_new(session, Order, **draft.model_dump())
    if new:
        add_links(session, id_, links)
    return session.exec(select(Order).where(Order.id == id_)).one()


def add_links(session: Session, order_id_: str, links: Sequence[Link]) -> list[Picture]:
    """More pictures for a draft. A link that is there already is not added twice.

    Which of them find a place is decided when they are kept: one that is refused takes none.

    Raises `OrderRefused` where the order is no longer a draft.
    """
    draft = locked_order(session, order_id_)
    if draft.stage != Stage.DRAFT.value:
        raise OrderRefused(OrderFault.TOO_LATE)
    known = {p.source_url.partition("?")[0] for p in pictures_of(session, order_id_)}
    position = session.scalar(select(func.count()).select_from(Picture).where(Picture.order_id == order_id_)) or 0
    added: list[Picture] = []
    for url, name, size in links:
        if (bare := url.partition("?")[0]) in known:
            continue
        known.add(bare)
        added.append(_picture(order_id_, position, (url, name, size)))
        position += 1
    session.add_all(added)
    session.flush()
    return added


def _picture(order_id_: str, position: int, link: Link) -> Picture:
    url, name, size = link
    return Picture(
        id=f"{order_id_}-p{position}",
        order_id=order_id_,
        position=position,
        source_url=url,
        source_name=name,
        source_bytes=size,
    )


def keep_picture(
    session: Session,
    picture_id: str,
    *,
    sha256: str,
    dhash: str,
    width: int,
    height: int,
    artifact: str,
    thumb: str = "",
) -> Picture:
    """The picture was checked and its stripped file is in the artifacts. Where 40 are kept already it is refused by name.

    Raises `OrderRefused` where the order is no longer a draft: what a started order learns from is fixed.
    """
    if locked_order(session, session.get_one(Picture, picture_id).order_id).stage != Stage.DRAFT.value:
        raise OrderRefused(OrderFault.TOO_LATE)
    picture = _get(session, picture_id)
    if picture.state != "kept" and is_full(session, picture.order_id):
        return refuse_picture(session, picture_id, PictureFault.ONE_TOO_MANY)
    picture.state, picture.fault, picture.fault_detail = "kept", None, ""
    picture.sha256, picture.dhash, picture.width, picture.height = sha256, dhash, width, height
    picture.artifact, picture.thumb = artifact, thumb
    return picture


def refuse_picture(session: Session, picture_id: str, fault: PictureFault, detail: str = "") -> Picture:
    """The picture cannot be used; the others are not touched."""
    picture = _get(session, picture_id)
    picture.state, picture.fault, picture.fault_detail = "refused", PictureFault(fault).value, detail[:200]
    picture.artifact = None
    return picture


def pictures_of(session: Session, order_id_: str) -> Sequence[Picture]:
    """All pictures of an order, in the order they were sent."""
    return session.exec(select(Picture).where(Picture.order_id == order_id_).order_by(col(Picture.position))).all()


def kept(session: Session, order_id_: str) -> list[Picture]:
    """The pictures that will be learned from."""
    return [p for p in pictures_of(session, order_id_) if p.state == "kept"]


def is_full(session: Session, order_id_: str) -> bool:
    """Whether the order has as many pictures as it may have."""
    return len(kept(session, order_id_)) >= MAX_PICTURES


def twins(session: Session, order_id_: str) -> dict[str, tuple[str, str]]:
    """What a new picture is compared with, for `storage.pictures.near_twin`: (sha256, thumb) of the kept ones.

    By file name; where several came under one name, by that and their number.
    """
    pictures = kept(session, order_id_)
    names = [p.source_name or p.id for p in pictures]
    told_apart = {
        p.id: name if names.count(name) == 1 else f"{name} (number {p.position + 1})"
        for p, name in zip(pictures, names, strict=True)
    }
    return {told_apart[p.id]: (p.sha256, p.thumb) for p in pictures if p.thumb}


def linked(session: Session, order_id_: str) -> list[Picture]:
    """The pictures that were neither kept nor refused yet: what a restarted download goes on with."""
    return [p for p in pictures_of(session, order_id_) if p.state == "linked"]


def expire_drafts(session: Session, at: datetime) -> list[str]:
    """End the drafts that nobody started in time; gives back their ids. Their pictures go by `storage.retention`."""
    drafts = session.exec(
        select(Order).where(Order.stage == Stage.DRAFT.value, col(Order.expires_at) <= at).with_for_update()
    ).all()
    for draft in drafts:
        check_move(Stage.DRAFT, Stage.EXPIRED)
        draft.stage, draft.finished_at, draft.interaction_token = Stage.EXPIRED.value, at, ""
        draft.attempt += 1
    return [d.id for d in drafts]


def locked_order(session: Session, order_id_: str) -> Order:
    """The order's row, held until the transaction ends. Raises `OrderRefused` where there is none."""
    order = session.exec(
        select(Order).where(Order.id == order_id_).with_for_update().execution_options(populate_existing=True)
    ).first()
    if order is None:
        raise OrderRefused(OrderFault.UNKNOWN)
    return order


def _get(session: Session, picture_id: str) -> Picture:
    return session.exec(select(Picture).where(Picture.id == picture_id).with_for_update()).one()
