"""What stands under a plan card: Start and its neighbours, and the list of pictures to leave out or bring back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import discord

from bot.presses import button, row_of
from bot.wording_doctor import ASIDE_PLACEHOLDER
from bot.wording_forms import ADD_PICTURES, CANCEL, CAPTIONS, KEEP_ALL, START
from bot.wording_plan import PlanCard
from bot.wording_stopping import FULL_RUN, MAY_END_EARLY
from storage.domain.lifecycle import Stage


def buttons_of(card: PlanCard, order_id: str, stage: str) -> discord.ui.View | None:
    """Start and its neighbours, as far as they make sense; found again by their custom_ids."""
    if card.state == "draft":
        start = button(START(), "start", order_id, style=discord.ButtonStyle.success)
        start.disabled = card.plan is None or card.fetching > 0
        parts: list[discord.ui.Item[Any]] = [start, button(ADD_PICTURES(), "add", order_id)]
        if card.captions:
            parts.append(button(CAPTIONS(), "captions", order_id))
        if card.doubtful:
            parts.append(button(KEEP_ALL(), "asis", order_id))
        parts += _full_run(card, order_id)
        parts.append(button(CANCEL(), "cancel", order_id))
        if card.choices:
            parts.append(_aside(order_id, card.choices))
        return row_of(parts)
    if card.state == "started" and stage in (Stage.QUEUED, Stage.TRAINING):
        return row_of([button(CANCEL(), "cancel", order_id)])
    return None


def _full_run(card: PlanCard, order_id: str) -> list[discord.ui.Item[Any]]:
    """The wish for every step, or back; nothing where a training never ends early."""
    if card.full_run:
        return [button(MAY_END_EARLY(), "fullrun", order_id, "no")]
    return [button(FULL_RUN(), "fullrun", order_id, "yes")] if card.plan and card.plan.early_stop else []


def _aside(order_id: str, choices: Sequence[tuple[str, str, str]]) -> discord.ui.Select[Any]:
    """The list under a card; several can be chosen at once."""
    options = [discord.SelectOption(label=label, value=value, description=about) for value, label, about in choices]
    return discord.ui.Select(
        custom_id=f"aside:{order_id}",
        placeholder=ASIDE_PLACEHOLDER(),
        options=options,
        min_values=1,
        max_values=len(options),
    )
