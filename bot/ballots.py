"""The ballot of an order: opened after the last grid, open until an instant in its row, closed by votes and measurements."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import discord
from sqlmodel import Session, col, or_, select

from bot import wording, wording_order
from bot.parts import Parts
from storage import orders, outcomes
from storage.domain.choice import Choice, NothingToChoose, choose_checkpoint
from storage.domain.errors import Fault, OrderFault
from storage.domain.lifecycle import Stage
from storage.domain.phrases import phrase
from storage.faults import gap
from storage.pieces import Enqueues
from storage.tables import Ballot, Order, now

LATE_SHARE = 0.02
"""A sheet that comes later than this share of the voting time is late."""


def open_ballot(session: Session, order_id: str, seconds: float) -> Ballot | None:
    """Open the ballot of an order that is voting; one that is there stays as it is, deadline and all.

    An order that failed after its vote and was retried comes by here with a closed ballot: the same vote still stands.
    """
    order = orders.locked_order(session, order_id)
    if order.stage != Stage.VOTING.value:
        return None
    ballot = session.get(Ballot, order_id)
    if ballot is None:
        ballot = Ballot(order_id=order_id, deadline_at=now() + timedelta(seconds=seconds))
        session.add(ballot)
    return ballot


def count_from_posting(session: Session, order_id: str, posted_at: datetime, seconds: float) -> None:
    """People have the whole time from when they could see the sheet, though it was posted late: Discord was away, say.

    A ballot that was shortened meanwhile (its owner finished it, or left) stays short.
    """
    ballot = session.get(Ballot, order_id)
    if ballot is None or ballot.closed_at is not None or ballot.finish_by is not None:
        return
    whole = timedelta(seconds=seconds)
    late = posted_at - ballot.opened_at
    if late > LATE_SHARE * whole and ballot.deadline_at - ballot.opened_at >= whole - timedelta(seconds=1):
        ballot.deadline_at = posted_at + whole


def due(session: Session, at: datetime) -> Sequence[Ballot]:
    """Ballots whose instant has come, or that their owner finished; among them those closed before a retried failure."""
    return session.exec(
        select(Ballot)
        .join(Order, col(Order.id) == col(Ballot.order_id))
        .where(Order.stage == Stage.VOTING.value)
        .where(
            or_(col(Ballot.deadline_at) <= at, col(Ballot.finish_by).is_not(None), col(Ballot.closed_at).is_not(None))
        )
    ).all()


def close(session: Session, engine: Enqueues, order_id: str) -> Choice | None:
    """Close the ballot by the votes as last counted: choice, outcome and the next stage in one transaction.

    None where it was closed before, or where nothing could be chosen: then the order has failed, and says so.
    """
    order = orders.locked_order(session, order_id)
    ballot = session.get(Ballot, order_id)
    if order.stage != Stage.VOTING.value or ballot is None:
        return None
    candidates = orders.candidates(session, order_id)
    try:
        choice = choose_checkpoint(candidates)
    except NothingToChoose:
        orders.fail(
            session,
            engine,
            order_id,
            Fault.PROGRAM,
            phrase("every checkpoint came out broken, so there is nothing to choose"),
            can_retry=False,  # what was stored would be looked at again, and it is the same
        )
        return None
    ballot.closed_at = now()
    order.chosen_step, order.chosen_because = choice.step, choice.because.value
    order.choice_json = json.dumps(asdict(choice), sort_keys=True)
    outcomes.keep(session, order, choice)
    orders.move(session, engine, order_id, Stage.SCALING)
    gap("ballot-close")
    return choice


async def finish(parts: Parts, interaction: discord.Interaction[Any], arguments: tuple[str, ...]) -> None:
    """The Finish button under the sheet: the owner closes the ballot now; the clock does the rest."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    said = await parts.database.transact(_finish, arguments[0], str(interaction.user.id))
    await interaction.followup.send(said, ephemeral=True)


def _finish(session: Session, order_id: str, user_id: str) -> str:
    order = session.get(Order, order_id)
    ballot = session.get(Ballot, order_id)
    if order is None or ballot is None:
        return wording.order_refused(OrderFault.UNKNOWN)
    if order.owner_id != user_id:
        return wording.order_refused(OrderFault.NOT_YOURS)
    if ballot.closed_at is not None or order.stage != Stage.VOTING.value:
        return wording.order_refused(OrderFault.TOO_LATE)
    ballot.finish_by = user_id
    return wording_order.CLOSING()
