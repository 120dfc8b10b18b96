"""What several tests of storage build: drafts, pictures, plans."""

from __future__ import annotations

from sqlmodel import Session

from storage import orders
from storage.domain.orders import SubjectType
from storage.domain.plan import Plan
from storage.domain.recipes import PictureOf, plan_for
from storage.pieces import Enqueues
from storage.tables import Order


def a_plan(pictures: int = 8) -> Plan:
    """A plan of the pocket."""
    return plan_for(
        base="pocket",
        subject_type=SubjectType.OBJECT,
        class_word="toy",
        trigger="zorvex",
        seed=7,
        pictures=[PictureOf(id=f"p{n}", dhash=n) for n in range(pictures)],
    )


def draft(
    session: Session, interaction: str = "1", *, community: str = "A", owner: str = "ann", pictures: int = 5
) -> Order:
    """A draft with kept pictures."""
    order = orders.open_draft(
        session,
        interaction_id=interaction,
        token="secret-token",
        community_id=community,
        owner_id=owner,
        channel_id="c",
        name="blue cat",
        subject_type="object",
        class_word="toy",
        base="pocket",
        links=[(f"https://cdn/{n}.png?ex=1", f"{n}.png", 1000) for n in range(pictures)],
    )
    for picture in orders.linked(session, order.id):
        keep(session, picture.id)
    return order


def keep(session: Session, picture_id: str) -> None:
    """As if the picture had been checked and stored."""
    orders.keep_picture(
        session,
        picture_id,
        sha256=picture_id,
        dhash="0" * 16,
        width=64,
        height=64,
        artifact=f"orders/x/{picture_id}.jpg",
    )


def started(
    session: Session, engine: Enqueues, interaction: str = "1", *, community: str = "A", owner: str = "ann"
) -> Order:
    """An order in the queue."""
    order = draft(session, interaction, community=community, owner=owner)
    return orders.start(session, engine, order.id, a_plan())
