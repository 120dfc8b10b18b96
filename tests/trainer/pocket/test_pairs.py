"""Scenes with two things: fair questions, and an answer counts whichever thing stands left."""

import numpy as np

from trainer.pocket.gates import pair_questions
from trainer.pocket.pairs import PAIR_QUESTIONS, pair_labels, read_right
from trainer.pocket.scenes import held_out, plan_scene
from trainer.pocket.vocabulary import BACKGROUNDS, CLASSES, COLOURS

ASKED = np.array([[1, 2, 3, 4, 5]])


def test_every_pair_question_says_what_it_asks_and_half_are_unseen() -> None:
    questions = pair_questions(60)
    for question in questions:
        left, left_colour, right, right_colour, place = question.answers
        assert left != right
        said = [CLASSES[left], CLASSES[right], COLOURS[left_colour], COLOURS[right_colour]]
        assert all(word in question.text.replace(",", "").split() for word in said)
        assert list(BACKGROUNDS.values())[place] in question.text

    def unseen(answers: tuple[int, int, int, int, int]) -> bool:
        place = tuple(BACKGROUNDS)[answers[4]]
        return any(held_out(CLASSES[answers[at]], COLOURS[answers[at + 1]], place) for at in (0, 2))

    assert sum(unseen(question.answers) for question in questions) == 30


def test_the_share_of_pairs_changes_no_other_draw() -> None:
    usual = [plan_scene(5, index, 1.0) for index in range(200)]
    paired = [plan_scene(5, index, 1.0, pairs=1.0) for index in range(200)]
    assert all(len(plan.things) == 2 for plan in paired)
    assert all(a.background == b.background for a, b in zip(usual, paired, strict=True))
    assert len({len(pair_labels(plan)) for plan in paired} | {len(PAIR_QUESTIONS)}) == 1


def test_things_count_in_either_order_but_not_mixed_up() -> None:
    swapped = read_right(np.array([[3, 4, 1, 2, 5]]), ASKED)
    assert swapped.class_word[0]
    assert swapped.colour[0]
    colours_on_the_wrong_things = read_right(np.array([[1, 4, 3, 2, 5]]), ASKED)
    assert not (colours_on_the_wrong_things.class_word[0] and colours_on_the_wrong_things.colour[0])
    one_thing_twice = read_right(np.array([[1, 2, 1, 2, 0]]), ASKED)
    assert not one_thing_twice.class_word[0]
    assert not one_thing_twice.background[0]
