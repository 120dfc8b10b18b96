"""The owner's wish for every step of the plan, under the plan card, and back."""

from __future__ import annotations

from sqlmodel import Session

from bot.answers import Interaction, acknowledge, say
from bot.drafting import own_draft
from bot.parts import Parts
from bot.plan_card import PlanCards
from bot.presses import Presses
from bot.wording_stopping import FULL_RUN_ANSWER, MAY_END_ANSWER


class FullRun:
    """Presses on Full run and on May end early."""

    def __init__(self, parts: Parts, cards: PlanCards) -> None:
        self._parts = parts
        self._cards = cards

    def register(self, presses: Presses) -> None:
        """The verb of the custom_ids; see `bot.plan_buttons`. A press names what is wanted: coming twice it changes nothing."""
        presses.on_button("fullrun", self.press)

    async def press(self, interaction: Interaction, arguments: tuple[str, ...]) -> None:
        """Only the owner, only before Start: then the plan is frozen."""
        await acknowledge(interaction)
        order_id, wanted = arguments[0], arguments[-1] == "yes"
        await self._parts.database.transact(_ask, order_id, str(interaction.user.id), wanted)
        await say(interaction, FULL_RUN_ANSWER() if wanted else MAY_END_ANSWER())
        await self._cards.show(order_id)


def _ask(session: Session, order_id: str, member_id: str, wanted: bool) -> None:  # noqa: FBT001  # passed through transact
    own_draft(session, order_id, member_id).full_run = wanted
