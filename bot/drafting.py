"""Rows of a draft: what is written when pictures come in, in one transaction each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlmodel import Session, col, func, select

from bot.answers import Declined
from bot.settings import BotSettings
from bot.wording import TOO_MANY_TRIES, too_many_drafts
from storage.domain.errors import OrderFault, OrderRefused, PictureFault
from storage.domain.lifecycle import Stage
from storage.domain.orders import CLASS_WORDS, SubjectType, mark, order_id, trigger_for
from storage.drafts import Link, add_links, is_full, linked, locked_order, open_draft, pictures_of, refuse_picture
from storage.switches import insert_if_new
from storage.tables import Community, Order, Picture, Post, now

MOST_LINKS = 60
"""Pictures that one submit may name; the 41st and later are refused by name, more than this cannot come from Discord."""
MOST_ROWS = 160
"""Pictures of one draft over all submits, refused ones included."""
TOKEN_LIFE = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a member asked for, and where."""

    interaction_id: str
    token: str
    community_id: str
    community_name: str
    community_locale: str
    """The server's language, as Discord says."""
    owner_id: str
    channel_id: str
    parent_id: str | None
    """The channel that a thread hangs under."""
    subject: SubjectType | None
    """None where it has to be asked for."""
    name: str
    """Clean; empty takes the trigger."""
    class_word: str
    """Clean; empty takes the subject type's."""
    max_file_bytes: int


def write_draft(session: Session, settings: BotSettings, wish: Wish, links: Sequence[Link]) -> str:
    """The draft of this interaction; delivered twice, it is one. Gives back its id.

    Raises `OrderRefused` where orders are not taken, and `Declined` where the member has too many drafts.
    """
    id_ = order_id(wish.interaction_id)
    if session.get(Order, id_) is not None:
        return id_
    _refuse(session, _community(session, settings, wish), wish, settings.drafts_a_member)
    order = open_draft(
        session,
        interaction_id=wish.interaction_id,
        token=wish.token,
        community_id=wish.community_id,
        owner_id=wish.owner_id,
        channel_id=wish.channel_id,
        name=wish.name or trigger_for(id_),
        subject_type=wish.subject.value if wish.subject else "",
        class_word=wish.class_word or (CLASS_WORDS[wish.subject] if wish.subject else ""),
        base=settings.base,
        links=links[:MOST_LINKS],
        hours=settings.draft_seconds / 3600,
    )
    order.max_file_bytes = wish.max_file_bytes
    order.thread_id = wish.channel_id if wish.parent_id else None
    return id_


def _community(session: Session, settings: BotSettings, wish: Wish) -> Community:
    insert_if_new(session, Community, **Community(id=wish.community_id).model_dump())
    community = session.get_one(Community, wish.community_id)
    community.name, community.locale, community.removed_at = wish.community_name[:100], wish.community_locale, None
    community.weight = settings.server_weights.get(int(wish.community_id), 1.0)
    return community


def _refuse(session: Session, community: Community, wish: Wish, most: int) -> None:
    allowed: list[str] = json.loads(community.allowed_channels_json)
    if allowed and not {wish.channel_id, wish.parent_id} & set(allowed):
        raise OrderRefused(OrderFault.CHANNEL_NOT_ALLOWED, ",".join(allowed[:10]))
    drafts = session.exec(
        select(func.count())
        .select_from(Order)
        .where(
            Order.community_id == wish.community_id, Order.owner_id == wish.owner_id, Order.stage == Stage.DRAFT.value
        )
    ).one()
    if drafts >= most:
        raise Declined(too_many_drafts(drafts))


def own_draft(session: Session, order_id_: str, member_id: str) -> Order:
    """A draft of this member, held. Raises `OrderRefused` for a stranger or where it is no draft any more."""
    order = locked_order(session, order_id_)
    if order.owner_id != member_id:
        raise OrderRefused(OrderFault.NOT_YOURS)
    if order.stage != Stage.DRAFT.value:
        raise OrderRefused(OrderFault.TOO_LATE)
    return order


def remember_subject(
    session: Session, order_id_: str, member_id: str, subject: SubjectType, *, name: str = "", class_word: str = ""
) -> None:
    """The owner says what the pictures show. Said again, the last word holds while it is a draft; empty words change nothing."""
    order = own_draft(session, order_id_, member_id)
    order.name = name or order.name
    standard = CLASS_WORDS[SubjectType(order.subject_type)] if order.subject_type else ""
    own = "" if order.class_word == standard else order.class_word
    order.class_word = class_word or own or CLASS_WORDS[subject]
    order.subject_type = subject.value


def add_pictures(session: Session, order_id_: str, member_id: str, links: Sequence[Link]) -> None:
    """More pictures for the owner's draft. Consent was given for those that were there: it is asked for again."""
    own_draft(session, order_id_, member_id).consent_at = None
    if len(pictures_of(session, order_id_)) + len(links) > MOST_ROWS:
        raise Declined(TOO_MANY_TRIES())
    add_links(session, order_id_, links[:MOST_LINKS])


def forget_token(session: Session, order_id_: str) -> None:
    """The interaction was answered: its token is of no more use."""
    locked_order(session, order_id_).interaction_token = ""


def waiting_links(session: Session, order_id_: str) -> list[Picture]:
    """The pictures that are still to be fetched; where no place is left, they are refused unseen.

    Raises `OrderRefused` where the order is no longer a draft.
    """
    if locked_order(session, order_id_).stage != Stage.DRAFT.value:
        raise OrderRefused(OrderFault.TOO_LATE)
    if is_full(session, order_id_):
        for picture in linked(session, order_id_):
            refuse_picture(session, picture.id, PictureFault.ONE_TOO_MANY)
    return linked(session, order_id_)


def give_up_links(session: Session, order_id_: str) -> None:
    """What could not be fetched or stored in many tries is refused, so that the draft can go on with the others."""
    for picture in linked(session, order_id_):
        refuse_picture(session, picture.id, PictureFault.DOWNLOAD_FAILED)


def drafts_to_resume(session: Session) -> list[tuple[str, str]]:
    """Drafts that have links or no card; with the token, where it can still be answered."""
    drafts = session.exec(
        select(Order).where(Order.stage == Stage.DRAFT.value, Order.subject_type != "").order_by(col(Order.created_at))
    ).all()
    unfinished = [d for d in drafts if linked(session, d.id) or session.get(Post, mark(d.id, "plan")) is None]
    young = now() - TOKEN_LIFE
    return [(d.id, d.interaction_token if d.created_at > young else "") for d in unfinished]


def drafts_to_ask(session: Session) -> list[tuple[str, str]]:
    """Drafts of which nobody said yet what their pictures show, with the token, while it can still be asked."""
    asked = select(Order).where(
        Order.stage == Stage.DRAFT.value, Order.subject_type == "", Order.interaction_token != ""
    )
    return [(d.id, d.interaction_token) for d in session.exec(asked) if d.created_at > now() - TOKEN_LIFE]
