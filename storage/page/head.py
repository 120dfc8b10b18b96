"""The head of an order's page: what was chosen and why, and the facts that a person needs to use it."""

from __future__ import annotations

from html import escape

from storage import words
from storage.domain.lifecycle import TABLE, Stage
from storage.domain.measurement import ScaleChoice
from storage.view import OrderView
from storage.words_concepts import trigger_words
from storage.words_stopping import ended_early, given_back


def head(view: OrderView) -> str:
    """Name, verdict, facts."""
    sight = escape(TABLE[Stage(view.stage)].sight)
    return (
        f'<header><p class="over">LoRA order {escape(view.id)} <span aria-hidden="true">·</span> {sight} '
        f'<span aria-hidden="true">·</span> {view.created_at:%Y-%m-%d}</p><h1><bdi>{escape(view.name)}</bdi></h1>'
        f"{_verdict(view)}{_ended(view)}</header>{_facts(view)}"
    )


def _verdict(view: OrderView) -> str:
    """Which checkpoint and why, first of all."""
    if view.choice is None:
        return ""
    of = f" of {view.plan.steps}" if view.plan else ""
    return (
        f'<p class="verdict"><strong>Step {view.choice.step}{of} was chosen.</strong> '
        f"{escape(words.because_sentence(view.choice))}</p>"
    )


def _ended(view: OrderView) -> str:
    """Where the training ended before its plan did, why, and what that gave back."""
    stop = view.stopped
    if stop is None:
        return ""
    said = f"{ended_early(stop.step, stop.because)} {given_back(stop.steps, words.duration(stop.saved_s))}"
    return f"<p>{escape(said)}</p>"


def _facts(view: OrderView) -> str:
    chosen = view.chosen
    facts = {
        "Trigger word": trigger_words(view.plan, view.trigger),
        "Scale": _scale(view.scale),
        **({"File": words.size(chosen.lora_bytes)} if chosen else {"Chosen": "not yet"}),
        "Subject": f"{view.class_word} ({view.subject_type})",
        "Base model": view.base,
        "Pictures": f"{view.kept} used" + (f", {view.refused} refused" if view.refused else ""),
    }
    return facts_list(facts)


def facts_list(facts: dict[str, str]) -> str:
    """Names with their values; the values are a person's text."""
    boxes = "".join(f"<div><dt>{name}</dt><dd><bdi>{escape(value)}</bdi></dd></div>" for name, value in facts.items())
    return f'<dl class="facts">{boxes}</dl>'


def _scale(scale: ScaleChoice | None) -> str:
    if scale is None:
        return "not yet"
    if not scale.measured:
        return f"{scale.recommended:.2f} to begin with"
    return f"{scale.recommended:.2f} ({scale.low:.2f} to {scale.high:.2f})"
