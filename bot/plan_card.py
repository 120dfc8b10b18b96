"""The plan card: posted into the channel by the bot itself, found again by its mark, edited when what it says changes."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

import discord
from sqlmodel import Session

from bot.answers import UNREACHABLE
from bot.delivery import can_link
from bot.languages import language_of_order
from bot.marks import must_be_readable
from bot.parts import Parts
from bot.plan_buttons import buttons_of
from bot.prospects import prospect_of
from bot.settings import BotSettings
from bot.wording_doctor import choices_of, examined_lines
from bot.wording_plan import PlanCard, Refused, text, title
from storage.doctor import findings_of
from storage.domain.handing import way
from storage.domain.lifecycle import Stage
from storage.domain.orders import MIN_PICTURES, SubjectType, mark
from storage.domain.plan import Plan, shortened
from storage.domain.recipes import PictureOf, plan_for
from storage.domain.space import file_bytes
from storage.drafts import pictures_of
from storage.faults import gap
from storage.outcomes import Known, known
from storage.speech import speaking
from storage.tables import Order, Picture, PlanRow, Post, now
from storage.words_captions import captioned

log = logging.getLogger(__name__)

LOOK_BACK = 50
"""Messages of a channel that are searched for a card that was posted but not written down."""
_COLOURS = {"draft": 0x5865F2, "started": 0x2E9E5B, "cancelled": 0x80848E, "expired": 0x80848E}


def plan_of_draft(order: Order, kept: list[Picture], steps: int | None = None, *, known: Known | None = None) -> Plan:
    """The plan that Start would freeze: a function of the pictures, of what votes taught, and of the wish for the full run.

    `steps` overrules the recipe.
    """
    plan = plan_for(
        base=order.base,
        subject_type=SubjectType(order.subject_type),
        class_word=order.class_word,
        trigger=order.trigger,
        seed=order.seed,
        pictures=[PictureOf(id=p.id, dhash=int(p.dhash, 16)) for p in kept],
        lesson=known.lesson(order.base, order.subject_type) if known else None,
    )
    plan = replace(plan, early_stop=plan.early_stop and not order.full_run)
    return shortened(plan, steps) if steps else plan


def read_card(session: Session, order_id: str, settings: BotSettings) -> PlanCard | None:
    """What the card of an order says now; None where there is no such order, or its subject is not known yet."""
    order = session.get(Order, order_id)
    if order is None or not order.subject_type:
        return None
    pictures = pictures_of(session, order_id)
    kept = [p for p in pictures if p.state == "kept"]
    plan = _plan(session, order, kept, settings.steps)
    size = file_bytes(plan) if plan else 0
    state = _state(order)
    live = state in ("draft", "started") and order.stage in (Stage.DRAFT, Stage.QUEUED)
    return PlanCard(
        name=order.name,
        subject_type=SubjectType(order.subject_type),
        class_word=order.class_word,
        trigger=order.trigger,
        base=order.base,
        kept=sum(p.state in ("kept", "gone") for p in pictures),
        refused=[
            Refused(name=p.source_name, fault=p.fault or "", detail=p.fault_detail)
            for p in pictures
            if p.state == "refused"
        ],
        fetching=sum(p.state == "linked" for p in pictures),
        plan=plan,
        prospect=prospect_of(session, order, plan) if plan and live else None,
        way=way(size, order.max_file_bytes, linkable=can_link(settings)),
        file_bytes=size,
        limit_bytes=order.max_file_bytes,
        ballot_s=settings.ballot_seconds,
        hub=settings.hub_namespace,
        hub_public=settings.hub_public,
        expires_at=order.expires_at if state == "draft" else None,
        state=state,
        examined=examined_lines(pictures),
        choices=choices_of(pictures) if state == "draft" else (),
        captions=captioned(sum(bool(p.caption) for p in kept), len(kept)) if kept else "",
        training=order.stage == Stage.TRAINING,
        full_run=order.full_run,
        doubtful=any(p.state == "kept" and findings_of(p) for p in pictures),
    )


def _plan(session: Session, order: Order, kept: list[Picture], steps: int | None) -> Plan | None:
    frozen = session.get(PlanRow, order.id)
    if frozen is not None:
        return Plan.from_json(frozen.plan_json)
    return plan_of_draft(order, kept, steps, known=known(session)) if len(kept) >= MIN_PICTURES else None


def _state(order: Order) -> str:
    if order.started_at is not None:
        return "started"
    return {Stage.CANCELLED.value: "cancelled", Stage.EXPIRED.value: "expired"}.get(order.stage, "draft")


def phase_of(order: Order) -> str:
    """What decides about a card's buttons and its place in the queue; a card that was shown in another phase is out of date."""
    match Stage(order.stage):
        case Stage.DRAFT:
            return "draft"
        case Stage.QUEUED:
            return "queued"
        case Stage.TRAINING:
            return "training"
        case Stage.VOTING | Stage.SCALING | Stage.DELIVERING | Stage.FAILED:
            return "past"
        case _:
            return "ended"


@dataclass(frozen=True, kw_only=True)
class _Look:
    card: PlanCard
    order: Order
    post: Post | None
    language: str
    """Everybody in the channel reads a card, whoever made it change."""


class PlanCards:
    """Brings the plan cards in the channels up to what storage says."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._since = now()
        self._uncertain: set[str] = set()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def show(self, order_id: str) -> int | None:
        """Post the card, or edit it where it says something else now; gives back the message's id.

        A draft's card that somebody deleted is posted anew.

        Raises what a call to Discord raises where that fails.
        """
        turn = self._turns.setdefault(order_id, asyncio.Lock())
        async with turn:
            return await self._show(order_id)

    async def _show(self, order_id: str) -> int | None:
        look = await self._parts.database.transact(_look, order_id, self._parts.settings)
        if look is None:
            return None
        with speaking(look.language):
            embed = discord.Embed(title=title(look.card), description=text(look.card), colour=_COLOURS[look.card.state])
            embed.set_footer(text=mark(order_id, "plan"))
            view = buttons_of(look.card, order_id, look.order.stage)
        said = _digest(look.order, embed, view)
        channel = self._channel(int(look.post.channel_id if look.post else look.order.channel_id))
        if look.post is not None:
            if look.post.shown_json == said or await self._edit(channel, look.post, embed, view, said):
                return int(look.post.message_id)
            await self._parts.database.transact(_forget, look.post.mark)
            return await self._show(order_id)
        found = await self._find(channel, look.order)
        if found is None and look.card.state != "draft":
            return None
        message = found or await self._post(channel, order_id, embed, view)
        gap("post-record")
        await self._parts.database.transact(_record, order_id, channel.id, message.id, "" if found else said)
        if found is not None:  # what it says is of an earlier run
            return await self._show(order_id)
        return message.id

    async def _post(
        self,
        channel: discord.PartialMessageable,
        order_id: str,
        embed: discord.Embed,
        view: discord.ui.View | None,
    ) -> discord.Message:
        name = mark(order_id, "plan")
        try:
            return await channel.send(embed=embed, view=view or discord.utils.MISSING, nonce=name)
        except BaseException:
            self._uncertain.add(order_id)  # it may have arrived: look before the next try
            raise

    async def _edit(
        self,
        channel: discord.PartialMessageable,
        post: Post,
        embed: discord.Embed,
        view: discord.ui.View | None,
        said: str,
    ) -> bool:
        """Whether the card is still there. Where the bot may not edit it any more, it stays as it is."""
        try:
            await channel.get_partial_message(int(post.message_id)).edit(embed=embed, view=view)
        except discord.NotFound:
            log.info("the plan card %s was deleted", post.mark)
            return False
        except discord.Forbidden as error:
            log.info("the plan card %s could not be edited: %s", post.mark, error)
        await self._parts.database.transact(_shown, post.mark, said)
        return True

    async def _find(self, channel: discord.PartialMessageable, order: Order) -> discord.Message | None:
        """A card that was posted but not written down: by an earlier run of the bot, or by a send whose end is unknown."""
        if order.created_at > self._since and order.id not in self._uncertain:
            return None
        me, empty = self._parts.discord.user, True
        async for message in channel.history(limit=LOOK_BACK):
            empty = False
            footers = {embed.footer.text for embed in message.embeds}
            if me is not None and message.author.id == me.id and mark(order.id, "plan") in footers:
                return message
        if empty:
            await must_be_readable(channel)
        return None

    def _channel(self, channel_id: int) -> discord.PartialMessageable:
        return self._parts.discord.get_partial_messageable(channel_id)


async def show_if_possible(cards: PlanCards, order_id: str) -> None:
    """Bring a card up to date after something was done; that it fails does not undo the deed, and it is tried again."""
    try:
        await cards.show(order_id)
    except UNREACHABLE as error:
        log.warning("the plan card of %s is not up to date: %s", order_id, error)


def _look(session: Session, order_id: str, settings: BotSettings) -> _Look | None:
    language = language_of_order(session, order_id)
    with speaking(language):
        card = read_card(session, order_id, settings)
    order = session.get(Order, order_id)
    if card is None or order is None:
        return None
    return _Look(card=card, order=order, post=session.get(Post, mark(order_id, "plan")), language=language)


def _record(session: Session, order_id: str, channel_id: int, message_id: int, shown: str) -> None:
    session.merge(
        Post(
            mark=mark(order_id, "plan"),
            order_id=order_id,
            channel_id=str(channel_id),
            message_id=str(message_id),
            shown_json=shown,
        )
    )


def _forget(session: Session, mark_: str) -> None:
    post = session.get(Post, mark_)
    if post is not None:
        session.delete(post)


def _shown(session: Session, mark_: str, shown: str) -> None:
    post = session.get(Post, mark_)
    if post is not None:
        post.shown_json, post.edited_at = shown, now()


def _digest(order: Order, embed: discord.Embed, view: discord.ui.View | None) -> str:
    """The phase and what the card says, as a short text: equal texts need no edit."""
    said = repr((embed.to_dict(), view.to_components() if view else None))
    return f"{phase_of(order)}:{hashlib.sha256(said.encode()).hexdigest()[:32]}"
