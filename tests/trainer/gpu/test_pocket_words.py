"""The pocket's panels and captions speak the words of its pretraining, and no others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from storage.domain.orders import SubjectType
from storage.domain.panels import captions_for, prompts_for
from storage.domain.scale_panel import scale_prompts
from tests.builders import tiny_plan
from trainer.pocket.vocabulary import BACKGROUNDS, words


@pytest.mark.parametrize("kind", list(SubjectType))
def test_every_word_but_the_trigger_is_known_to_the_pocket(kind: SubjectType) -> None:
    plan = replace(tiny_plan(), subject_type=kind, class_word="robot", prompts=())
    panel = prompts_for(kind, trigger="zorvex", class_word="robot", seed=1, pocket=True)
    prompts = [*panel, *scale_prompts(replace(plan, prompts=panel))]
    captions = captions_for(kind, pocket=True)
    texts = [*(p.text for p in prompts), *(p.plain for p in prompts)]
    texts += [c.format(trigger="zorvex", class_word="robot") for c in captions]
    spoken = {word.strip(",") for text in texts for word in text.split()} - {"zorvex", ""}
    assert spoken <= set(words())
    places = set(BACKGROUNDS.values())
    assert all(any(place in p.plain for place in places) for p in prompts)
    assert all(("zorvex" in p.text) is p.with_trigger and "zorvex" not in p.plain for p in prompts)
