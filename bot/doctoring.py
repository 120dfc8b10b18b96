"""Answers to the dataset doctor's proposals: leave pictures out, bring them back, or keep all as they are."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session

from bot.answers import Interaction, acknowledge, say
from bot.drafting import own_draft
from bot.parts import Parts
from bot.plan_card import PlanCards, plan_of_draft
from bot.presses import Presses
from bot.wording_doctor import ACCEPTED, GOING_ON, changed, going_on_without
from storage import checkups
from storage.doctor import accept, bring_back, leave_out
from storage.domain.errors import OrderFault, OrderRefused
from storage.drafts import kept, locked_order
from storage.outcomes import known
from storage.tables import Order


class Doctoring:
    """Presses on what the doctor proposes under a plan card."""

    def __init__(self, parts: Parts, cards: PlanCards) -> None:
        self._parts = parts
        self._cards = cards

    def register(self, presses: Presses) -> None:
        """The verbs of the custom_ids; see `bot.plan_buttons`."""
        presses.on_button("aside", self.press_aside)
        presses.on_button("asis", self.press_as_is)
        presses.on_button("goon", self.press_go_on)
        presses.on_button("without", self.press_without)

    async def press_aside(self, interaction: Interaction, arguments: tuple[str, ...]) -> None:
        """What was chosen in the list: only the owner, only before Start."""
        await acknowledge(interaction)
        data: Any = interaction.data or {}
        chosen = [str(v) for v in data.get("values") or ()]
        out, back = await self._parts.database.transact(_sort, arguments[0], str(interaction.user.id), chosen)
        await say(interaction, changed(out, back))
        await self._cards.show(arguments[0])

    async def press_as_is(self, interaction: Interaction, arguments: tuple[str, ...]) -> None:
        """Keep all: nothing more is proposed."""
        await acknowledge(interaction)
        await self._parts.database.transact(_accept, arguments[0], str(interaction.user.id))
        await say(interaction, ACCEPTED())
        await self._cards.show(arguments[0])

    async def press_go_on(self, interaction: Interaction, arguments: tuple[str, ...]) -> None:
        """Under the look at all pictures: train as it is."""
        await acknowledge(interaction)
        await self._parts.database.transact(_go_on, self._parts, arguments[0], str(interaction.user.id))
        await say(interaction, GOING_ON())

    async def press_without(self, interaction: Interaction, arguments: tuple[str, ...]) -> None:
        """Under the look at all pictures: leave out what was proposed, make the plan anew, train."""
        await acknowledge(interaction)
        out = await self._parts.database.transact(_without, self._parts, arguments[0], str(interaction.user.id))
        await say(interaction, going_on_without(out))
        await self._cards.show(arguments[0])


def _go_on(session: Session, parts: Parts, order_id: str, member_id: str) -> None:
    _own(session, order_id, member_id)
    checkups.go_on(session, parts.engine, order_id)


def _without(session: Session, parts: Parts, order_id: str, member_id: str) -> int:
    order = _own(session, order_id, member_id)
    out = checkups.go_on_without(session, parts.engine, order_id)
    plan = plan_of_draft(order, kept(session, order_id), parts.settings.steps, known=known(session))
    checkups.replan(session, order_id, plan)
    return len(out)


def _own(session: Session, order_id: str, member_id: str) -> Order:
    order = locked_order(session, order_id)
    if order.owner_id != member_id:
        raise OrderRefused(OrderFault.NOT_YOURS)
    return order


def _sort(session: Session, order_id: str, member_id: str, chosen: list[str]) -> tuple[int, int]:
    own_draft(session, order_id, member_id)
    out = leave_out(session, order_id, _positions(chosen, "out"))
    back = bring_back(session, order_id, _positions(chosen, "in"))
    return len(out), len(back)


def _positions(chosen: list[str], verb: str) -> list[int]:
    numbers = [v.removeprefix(verb) for v in chosen if v.startswith(verb)]
    return [int(n) for n in numbers if n.isdecimal()]


def _accept(session: Session, order_id: str, member_id: str) -> None:
    own_draft(session, order_id, member_id)
    accept(session, order_id)
