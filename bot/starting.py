"""The buttons of a plan card and of a failed order: Start with its consent, Add pictures, Cancel, Retry."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import discord
from sqlmodel import Session

from bot.answers import (
    UNREACHABLE,
    Declined,
    Interaction,
    acknowledge,
    missing_permissions,
    refuse_without_threads,
    say,
)
from bot.cancelling import cancel_order
from bot.delivery import can_link
from bot.drafting import own_draft
from bot.intake import Intake
from bot.modals import add_modal, submission
from bot.parts import Parts
from bot.plan_card import PlanCards, plan_of_draft, show_if_possible
from bot.posting import NO_THREAD, NOT_IN_THIS_CHANNEL, TOO_MANY_THREADS, open_thread
from bot.presses import Presses, button, row_of
from bot.prospects import prospect_of
from bot.settings import BotSettings
from bot.wording import (
    NO_THREAD_ALLOWED,
    NO_THREADS_HERE,
    PERMISSION_WORDS,
    PICTURES_STILL_COMING,
    RETRYING,
    STARTED_ALREADY,
    THREADS_FULL,
    cancelled,
    cancelled_before,
    permissions_missing,
)
from bot.wording_forms import AGREE
from bot.wording_plan import Prospect, consent, started
from storage.domain.errors import OrderFault, OrderRefused
from storage.domain.handing import way
from storage.domain.lifecycle import BUSY, Stage
from storage.domain.orders import SubjectType
from storage.domain.space import file_bytes
from storage.drafts import kept, linked, locked_order
from storage.orders import plan_of, refuse_start, retry, start
from storage.outcomes import known
from storage.pieces import Enqueues
from storage.retention import refuse_without_room
from storage.tables import Community, Order, now

log = logging.getLogger(__name__)

_NO_THREAD = {NOT_IN_THIS_CHANNEL: NO_THREADS_HERE, TOO_MANY_THREADS: THREADS_FULL}


@dataclass(frozen=True, kw_only=True)
class _Ready:
    """What has to be known before an order is started."""

    thread_id: str | None
    name: str
    consent_line: str | None
    """What the owner has to agree to first; None where nothing is asked or it was agreed to."""


class Starting:
    """Presses on plan cards and on failed orders."""

    def __init__(self, parts: Parts, cards: PlanCards, intake: Intake) -> None:
        self._parts = parts
        self._cards = cards
        self._intake = intake

    def register(self, presses: Presses) -> None:
        """The verbs of the custom_ids; see `bot.plan_buttons`."""
        presses.on_button("start", lambda i, a: self.press_start(i, a[0]))
        presses.on_button("agree", lambda i, a: self.press_start(i, a[0], agreed=True))
        presses.on_button("cancel", lambda i, a: self.press_cancel(i, a[0]))
        presses.on_button("add", self.press_add)
        presses.on_modal("add", lambda i, a: self._intake.add(i, a[0], submission(_data(i)).links))
        presses.on_button("subject", self._intake.choose_subject)
        presses.on_modal("about", self._intake.remember_words)
        presses.on_button("retry", lambda i, a: self.press_retry(i, a[0]))

    async def press_start(self, interaction: Interaction, order_id: str, *, agreed: bool = False) -> None:
        """Start: only the owner, only with consent where it shows a person, only where the bot can do its work."""
        await acknowledge(interaction)
        member = str(interaction.user.id)
        ready = await self._parts.database.transact(
            _ready, order_id, member, self._parts.settings.orders_a_member, agreed=agreed
        )
        if isinstance(ready, Prospect):
            return await say(interaction, STARTED_ALREADY())
        if ready.consent_line is not None:
            agree = button(AGREE(), "agree", order_id, style=discord.ButtonStyle.success)
            return await say(interaction, consent(ready.consent_line), row_of([agree]))
        refuse_without_threads(interaction)
        if missing := missing_permissions(interaction, PERMISSION_WORDS):
            raise Declined(permissions_missing(missing))
        thread_id = ready.thread_id or await self._thread(order_id, ready.name)
        prospect = await self._parts.database.transact(
            _start, self._parts.engine, self._parts.settings, order_id, member, thread_id
        )
        await say(interaction, started(thread_id, prospect))
        await show_if_possible(self._cards, order_id)
        return None

    async def _thread(self, order_id: str, name: str) -> str | None:
        """The order's thread under its plan card. Where that fails for a moment, the announcer makes it later.

        Raises `Declined` where there can be none until somebody changes something.
        """
        message_id = await self._cards.show(order_id)
        place = await self._parts.database.transact(_place_of, order_id)
        if message_id is None:
            return None
        channel = self._parts.discord.get_partial_messageable(place[0], guild_id=place[1])
        message = channel.get_partial_message(message_id)
        try:
            return str(await open_thread(message, name[:90] or order_id))
        except UNREACHABLE as error:
            if isinstance(error, discord.HTTPException) and error.code in NO_THREAD:
                raise Declined(_NO_THREAD.get(error.code, NO_THREAD_ALLOWED)()) from error
            log.warning("no thread for order %s yet: %s", order_id, error)
            return None

    async def press_add(self, interaction: Interaction, arguments: tuple[str, ...]) -> None:
        """The modal for more pictures. Whose draft it is is looked at when it comes back: a modal has to be the first answer."""
        await interaction.response.send_modal(add_modal(arguments[0]))

    async def press_cancel(self, interaction: Interaction, order_id: str) -> None:
        """Cancel: only the owner."""
        await acknowledge(interaction)
        name, anew = await cancel_order(self._parts, order_id, member_id=str(interaction.user.id))
        await say(interaction, cancelled(name, by="owner") if anew else cancelled_before(name))
        await show_if_possible(self._cards, order_id)

    async def press_retry(self, interaction: Interaction, order_id: str) -> None:
        """Retry a failed order on its kept pictures."""
        await acknowledge(interaction)
        await self._parts.database.transact(
            _retry, self._parts.engine, order_id, str(interaction.user.id), self._parts.settings.orders_a_member
        )
        await say(interaction, RETRYING())
        await show_if_possible(self._cards, order_id)


def _ready(session: Session, order_id: str, member_id: str, most: int, *, agreed: bool) -> _Ready | Prospect:
    order = locked_order(session, order_id)
    if order.owner_id == member_id and Stage(order.stage) in BUSY:
        return prospect_of(session, order, plan_of(session, order_id))
    order = own_draft(session, order_id, member_id)
    if linked(session, order_id):
        raise Declined(PICTURES_STILL_COMING())
    refuse_start(session, order, most)  # before a thread is made for it
    if agreed:
        order.consent_at = order.consent_at or now()
    community = session.get(Community, order.community_id)
    asks = order.subject_type == SubjectType.PERSON and order.consent_at is None
    line = (community.consent_line if community else "") if asks else None
    return _Ready(thread_id=order.thread_id, name=order.name, consent_line=line)


def _start(  # noqa: PLR0917  # passed through transact
    session: Session, engine: Enqueues, settings: BotSettings, order_id: str, member_id: str, thread_id: str | None
) -> Prospect:
    order = locked_order(session, order_id)
    if order.owner_id != member_id:
        raise OrderRefused(OrderFault.NOT_YOURS)
    if Stage(order.stage) in BUSY:  # a second press that overtook the first
        return prospect_of(session, order, plan_of(session, order_id))
    if order.subject_type == SubjectType.PERSON and order.consent_at is None:
        raise OrderRefused(OrderFault.CONSENT_MISSING)
    if linked(session, order_id):  # added after it was looked at: they would come too late for the plan
        raise Declined(PICTURES_STILL_COMING())
    plan = plan_of_draft(order, kept(session, order_id), settings.steps, known=known(session))
    refuse_without_room(settings, plan, len(kept(session, order_id)))
    order.delivery_way = way(file_bytes(plan), order.max_file_bytes, linkable=can_link(settings))
    order.thread_id = order.thread_id or thread_id
    order = start(session, engine, order_id, plan, most=settings.orders_a_member)
    session.flush()
    return prospect_of(session, order, plan)


def _retry(session: Session, engine: Enqueues, order_id: str, member_id: str, most: int) -> None:
    order = locked_order(session, order_id)
    if order.owner_id != member_id:
        raise OrderRefused(OrderFault.NOT_YOURS)
    if Stage(order.stage) not in BUSY:
        retry(session, engine, order_id, most=most)


def _place_of(session: Session, order_id: str) -> tuple[int, int]:
    order = session.get_one(Order, order_id)
    return int(order.channel_id), int(order.community_id)


def _data(interaction: Interaction) -> dict[str, object]:
    return dict(interaction.data or {})
