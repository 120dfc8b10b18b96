"""The status message of an order: the stage in words, and while the GPU works how far it is, or that it is silent."""

from __future__ import annotations

from sqlmodel import Session

from bot import wording, wording_order, wording_stopping
from bot.parts import Parts
from bot.prospects import prospect_of
from bot.shown import Shown
from bot.wording_order import STALL_S
from storage.domain.lifecycle import Stage
from storage.domain.plan import Plan
from storage.speech import _
from storage.tables import Order, now
from storage.words import stage_words

STALLED = "stalled"
"""What the worker writes as the stage when its child has been silent for long."""


async def status_text(parts: Parts, it: Shown) -> str:
    """What the status message should say now."""
    working = it.stage in (Stage.TRAINING, Stage.SCALING)
    if it.plan is not None and (it.stage is Stage.QUEUED or (working and not it.running)):
        return wording_order.waiting(it.order.name, await parts.database.transact(_place, it.order, it.plan))
    if working and it.progress is not None:
        return _working(it)
    if it.stage is Stage.VOTING and it.stopped is not None:
        return wording_stopping.status(it.order.name, it.stopped)
    if it.stage is Stage.VOTING:
        return wording_order.trained(it.order.name)
    return ended_text(it.order.name, it.stage)


def ended_text(name: str, stage: Stage) -> str:
    """The stage alone: all that the status message of an ended order says."""
    return _("**{name}**: {what}.", name=wording.escape(name), what=stage_words(stage))


def _place(session: Session, order: Order, plan: Plan) -> str:
    prospect = prospect_of(session, order, plan)
    if prospect.paused:
        return _(
            "{place}; training is paused by the people who run this bot", place=wording.in_line(prospect.place, None)
        )
    if not prospect.workers:
        return _("{place}; no machine is training at the moment", place=wording.in_line(prospect.place, None))
    return wording.in_line(prospect.place, prospect.wait_s)


def _working(it: Shown) -> str:
    progress = it.progress
    if progress is None:
        return ""
    return wording_order.progress(
        name=it.order.name,
        doing=progress.stage or it.stage.value,
        step=progress.step,
        steps=progress.steps,
        seconds_left=progress.seconds_left,
        loss_ratio=progress.loss_ratio,
        silent_s=(now() - progress.updated_at).total_seconds() + (STALL_S if progress.stage == STALLED else 0.0),
        signs=it.signs,
    )
