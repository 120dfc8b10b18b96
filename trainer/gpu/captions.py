"""What training pictures are called: the plan's templates, one drawn a view, some left empty."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch

from storage.domain.concepts import voiced, voices
from storage.domain.orders import SubjectType
from storage.domain.plan import Plan
from storage.domain.scale_panel import scale_prompts
from trainer.gpu.noise import generator, shuffled, uniform


def filled(template: str, plan: Plan) -> str:
    """A template with the order's words in it."""
    return template.replace("{trigger}", plan.trigger).replace("{class_word}", plan.class_word)


def caption(plan: Plan, *, step: int, view: int, own: str = "") -> str:
    """The caption of one view of a step: the picture's own where it has one, else a template drawn; its tags in any order.

    Empty for the share that keeps guidance working (Ho and Salimans 2022).
    """
    if float(uniform((1,), plan.seed, step, f"dropout-{view}")) < plan.caption_dropout:
        return ""
    text = own
    if not own:
        choice = torch.randint(len(plan.captions), (1,), generator=generator(plan.seed, step, f"caption-{view}"))
        text = filled(plan.captions[int(choice)], plan)
    if not plan.caption_shuffle:
        return text
    known = orders(text, plan)
    return known[int(torch.randint(len(known), (1,), generator=generator(plan.seed, step, f"tags-{view}")))]


def orders(text: str, plan: Plan) -> tuple[str, ...]:
    """A caption in as many orders of its tags as the plan says; the first tags stay (kohya-ss/sd-scripts, shuffle_caption).

    Few orders and not a new one a view: each text is encoded once, before the first step.
    """
    tags = [tag.strip() for tag in text.split(",")]
    kept, loose = tags[: plan.keep_tokens], tags[plan.keep_tokens :]
    if not plan.caption_shuffle or len(loose) < 2:
        return (text,)
    turns = [shuffled(len(loose), plan.seed, number, f"tags-{text}") for number in range(plan.caption_shuffle)]
    return tuple(", ".join([*kept, *(loose[place] for place in turn)]) for turn in turns)


def plain(text: str, plan: Plan) -> str:
    """A caption without the trigger: the class word stands where both stood, and in the trigger's place where it stood alone.

    A style's name goes with the words that hang it on; what is left is the thing shown. Of several concepts no trigger stays.
    """
    for voice in voices(plan):
        text = _without(text, voice)
    return text or plan.class_word


def _without(text: str, plan: Plan) -> str:
    trigger = rf"(?<!\w){re.escape(plan.trigger)}(?!\w)"
    if plan.subject_type is SubjectType.STYLE:
        text = re.sub(rf",?\s*(?:\bin\s+)?{trigger}\s+style\b", "", text, flags=re.IGNORECASE).strip(" ,")
    class_word = plan.class_word
    text = re.sub(rf"{trigger}\s+(?={re.escape(class_word)}(?!\w))", "", text, flags=re.IGNORECASE)
    return re.sub(trigger, lambda _: class_word, text, flags=re.IGNORECASE)


def prior_texts(plan: Plan, own: str = "") -> tuple[str, ...]:
    """What a picture may be called when the class is asked for: its captions without the trigger, and the prior's prompts."""
    captions = [own] if own else [filled(template, plan) for template in plan.captions]
    others = [filled(prompt, plan) for prompt in plan.prior_prompts]
    return tuple(dict.fromkeys([*(plain(text, plan) for text in captions), *others]))


def prior_caption(plan: Plan, *, step: int, view: int, own: str = "") -> str:
    """What one view of the prior is called: one of its texts drawn, empty for the share that `caption` leaves empty."""
    if float(uniform((1,), plan.seed, step, f"dropout-{view}")) < plan.caption_dropout:
        return ""
    found = prior_texts(plan, own)
    return found[int(torch.randint(len(found), (1,), generator=generator(plan.seed, step, f"caption-{view}")))]


def class_texts(plan: Plan, own: Sequence[tuple[str, str]]) -> tuple[tuple[str, ...], ...]:
    """What class pictures are drawn from: the prior's texts for each class that is asked for; several concepts may share one.

    `own` are the ids and captions of the order's pictures.
    """
    found: dict[str, dict[str, None]] = {}
    for id_, text in own or [("", "")]:
        voice = voiced(plan, id_)
        found.setdefault(voice.class_word.casefold(), {}).update(dict.fromkeys(prior_texts(voice, text)))
    return tuple(tuple(texts_) for texts_ in found.values())


def judged(plan: Plan, picture_id: str = "") -> str:
    """The one caption that losses of a picture are measured with."""
    voice = voiced(plan, picture_id)
    return filled(voice.captions[0], voice)


def texts(plan: Plan, own: Sequence[str] = ()) -> tuple[str, ...]:
    """Every text that a run of this plan ever shows to the base model, each once; `own` are captions of single pictures."""
    drawn = (*plan.prompts, *scale_prompts(plan))
    prompts = [text for prompt in drawn for text in (prompt.text, prompt.plain)]
    captions = [filled(template, voice) for voice in voices(plan) for template in voice.captions]
    shown = ["", *captions, *prompts, *filter(None, own)]
    shown += [order for text in (*captions, *filter(None, own)) for order in orders(text, plan)]
    kept = [text for voice in voices(plan) for words in ("", *own) for text in prior_texts(voice, words)]
    kept = [] if plan.prior == "none" else kept
    return tuple(dict.fromkeys([*shown, *kept]))
