"""The recipe in a plan card's words: how many steps and why so many, what is kept aside, what votes taught."""

from __future__ import annotations

from bot.wording import pictures
from bot.wording_stopping import on_plan_card
from storage.domain.orders import SubjectType
from storage.domain.plan import Plan, Validation
from storage.speech import Sentence, _, later, ngettext
from storage.words import taught_sentences


def recipe_text(plan: Plan, *, kind: SubjectType, kept: int, full_run: bool, draft: bool) -> str:
    """What will be learned from so many kept pictures."""
    lines = [
        _(
            "**Recipe:** {steps} small steps of learning, because {why}",
            steps=plan.steps,
            why=_WHY[kind](pictures=pictures(kept)),
        )
        + " "
        + _looks(len(plan.checkpoint_steps)),
        _validation(plan)
        + " "
        + _(
            "Rank {rank}, rate {rate} (`{recipe}`).", rank=plan.rank, rate=f"{plan.learning_rate:g}", recipe=plan.recipe
        ),
        *taught_sentences(plan),
        *on_plan_card(early_stop=plan.early_stop, full_run=full_run, draft=draft),
    ]
    return "\n".join(lines)


def _looks(count: int) -> str:
    return ngettext(
        "{count} time on the way you see what it can draw, and people vote for the best.",
        "{count} times on the way you see what it can draw, and people vote for the best.",
        count,
    )


_WHY: dict[SubjectType, Sentence] = {
    SubjectType.PERSON: later(
        "a face needs gentle learning and {pictures} bear about so many before they are learned by heart."
    ),
    SubjectType.STYLE: later(
        "a style shows in every picture and is learned in fewer steps and {pictures} bear about so many before they are "
        "learned by heart."
    ),
    SubjectType.OBJECT: later(
        "an object is learned a little faster than a face and {pictures} bear about so many before they are learned by heart."
    ),
    SubjectType.CHARACTER: later(
        "a character has more to it than an object and {pictures} bear about so many before they are learned by heart."
    ),
}


def _validation(plan: Plan) -> str:
    aside = len(plan.held_out)
    if plan.validation is Validation.NONE:
        return _("All pictures are learned from: with under 6 none can be kept aside as a check.")
    if plan.validation is Validation.VETO:
        return ngettext(
            "I keep {count} picture aside to notice learning by heart.",
            "I keep {count} pictures aside to notice learning by heart.",
            aside,
        )
    return ngettext(
        "I keep {count} picture aside to measure what was really learned.",
        "I keep {count} pictures aside to measure what was really learned.",
        aside,
    )
