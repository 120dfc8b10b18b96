"""What `/queue` and `/status` answer."""

from __future__ import annotations

from collections.abc import Sequence

from bot.prospects import Line
from bot.wording import clip, in_line, order_line
from bot.wording_order import doing_words, how_far
from bot.wording_plan import Prospect
from storage.domain.lifecycle import Stage
from storage.speech import _, later
from storage.tables import Order, Progress
from storage.words import duration

NO_MACHINE = later("No machine is training at the moment; orders wait and keep their places until one is back.")
PAUSED = later("Training is paused by the people who run this bot; orders wait and keep their places.")


def queue_text(line: Line, community_id: str) -> str:
    """What runs and who is next; orders of other servers without their names."""
    lines = _hindrances(line)
    if not line.running and not line.waiting:
        return "\n".join([*lines, _("Nothing is training and nobody waits: an order that starts now is first.")])
    lines += [_("**Now:**")] if line.running else []
    lines += [f"- {_who(order, community_id)}{_how_far(progress)}" for order, progress in line.running]
    lines += [_("**Next:**")] if line.waiting else []
    lines += [_waiting(order, ahead, community_id) for order, ahead in line.waiting]
    return clip("\n".join(lines))


def _hindrances(line: Line) -> list[str]:
    """Why nothing moves, where nothing does."""
    if line.paused:
        return [PAUSED()]
    return [NO_MACHINE()] if any(not ahead.workers for _, ahead in line.waiting) else []


def _waiting(order: Order, ahead: Prospect, community_id: str) -> str:
    who, work = _who(order, community_id), duration(ahead.work_s)
    if order.stage == Stage.SCALING:
        who = _("{order} (scale measurement)", order=who)
    if ahead.wait_s < 1:
        return _("{place}\\. {order}: starts next, takes about {work}", place=ahead.place, order=who, work=work)
    return _(
        "{place}\\. {order}: starts in about {wait}, takes about {work}",
        place=ahead.place,
        order=who,
        wait=duration(ahead.wait_s),
        work=work,
    )


def _who(order: Order, community_id: str) -> str:
    if order.community_id != community_id:
        return _("an order of another server")
    return order_line(order.name, order.id, order.stage)


def _how_far(progress: Progress | None) -> str:
    """What the GPU is doing for an order, and how far it is with that."""
    if progress is None or not progress.stage:
        return ""
    doing = "" if progress.stage == Stage.TRAINING else f", {doing_words(progress.stage)}"
    far = f", {how_far(progress.stage, progress.step, progress.steps)}" if progress.steps else ""
    left = ""
    if progress.seconds_left is not None:
        left = ", " + _("about {time} left", time=duration(progress.seconds_left))
    return f"{doing}{far}{left}"


def status_text(rows: Sequence[tuple[Order, Progress | None]], line: Line) -> str:
    """A member's own orders, newest first."""
    if not rows:
        return _("You have no orders here yet. /train begins one.")
    ahead = {order.id: prospect for order, prospect in line.waiting}
    lines = _hindrances(line)
    for order, progress in rows:
        extra = _how_far(progress) if order.stage == Stage.TRAINING else ""
        if order.stage == Stage.QUEUED and order.id in ahead:
            extra = f", {in_line(ahead[order.id].place, ahead[order.id].wait_s)}"
        where = f" <#{int(order.thread_id)}>" if order.thread_id else ""
        lines.append(f"- {order_line(order.name, order.id, order.stage, extra)}{where}")
    return clip("\n".join(lines))
