"""The generator: deterministic, varied, and never outside its split."""

from collections import Counter

from trainer.pocket.captions import prompt
from trainer.pocket.pools import UNTOLD, labels_of
from trainer.pocket.scenes import draw_scene, held_out, plan_scene
from trainer.pocket.vocabulary import BACKGROUNDS, CLASSES, COLOURS, PATTERNS, STYLES, words

SAMPLE = [plan_scene(seed, index, spread) for seed, spread in ((1, 0.0), (3, 0.5), (5, 1.0)) for index in range(4000)]


def test_the_same_seed_and_index_draw_the_same_picture() -> None:
    plans = [plan_scene(7, index, 1.0) for index in range(5)]
    assert [draw_scene(plan).tobytes() for plan in plans] == [draw_scene(plan).tobytes() for plan in plans]
    assert len({draw_scene(plan).tobytes() for plan in plans}) == 5


def test_about_15_percent_of_the_combinations_are_held_out_and_none_of_their_words_is() -> None:
    kept = [(c, k, b) for c in CLASSES for k in COLOURS for b in BACKGROUNDS if not held_out(c, k, b)]
    share = 1 - len(kept) / (len(CLASSES) * len(COLOURS) * len(BACKGROUNDS))
    assert 0.12 < share < 0.18
    assert {words[0] for words in kept} == set(CLASSES)
    assert {words[:2] for words in kept} == {(c, k) for c in CLASSES for k in COLOURS}


def test_no_pretraining_scene_holds_a_held_out_combination() -> None:
    used = {(thing.class_word, thing.colour, plan.background) for plan in SAMPLE for thing in plan.things}
    assert [words for words in used if held_out(*words)] == []
    assert len(used) > 1400


def test_no_pretraining_caption_is_a_held_out_prompt() -> None:
    captions = {plan.caption for plan in SAMPLE}
    unseen = [(c, k, b) for c in CLASSES for k in COLOURS for b in BACKGROUNDS if held_out(c, k, b)]
    assert not captions & {prompt(*words) for words in unseen}


def test_measuring_can_ask_for_the_held_out_combinations() -> None:
    plans = [plan_scene(1, index, 0.0, every_combination=True) for index in range(300)]
    assert any(held_out(p.things[0].class_word, p.things[0].colour, p.background) for p in plans)


def test_wide_scenes_hold_everything_centred_ones_do_not() -> None:
    centred, wide = SAMPLE[:4000], SAMPLE[8000:]
    assert all(len(p.things) == 1 and p.style is None and p.things[0].pattern == "plain" for p in centred)
    assert {p.style for p in wide} == {None, *STYLES}
    assert {thing.pattern for p in wide for thing in p.things} == {"plain", *PATTERNS}
    assert Counter(len(p.things) for p in wide)[2] > 200
    assert any("small" in p.caption.split() for p in wide)


def test_made_up_words_stand_in_four_to_twelve_percent_of_the_captions() -> None:
    known = set(words())
    strange = sum(any(word.strip(",") not in known for word in plan.caption.split()) for plan in SAMPLE)
    assert 0.04 < strange / len(SAMPLE) < 0.12


def test_a_scene_of_two_things_or_with_a_style_has_no_single_label() -> None:
    for plan in SAMPLE[8000:9000]:
        single = len(plan.things) == 1 and plan.style is None
        assert (labels_of(plan)[0] == UNTOLD) != single
