"""The questions of the gates are fair, and a figure that is missing never passes."""

from trainer.pocket.gates import Row, centred_questions, wide_questions
from trainer.pocket.scenes import held_out
from trainer.pocket.vocabulary import BACKGROUNDS, CLASSES, COLOURS

PLACES = tuple(BACKGROUNDS)


def _held_out_share(answers: list[tuple[int, int, int]]) -> float:
    return sum(held_out(CLASSES[a], COLOURS[b], PLACES[c]) for a, b, c in answers) / len(answers)


def test_half_of_the_questions_are_combinations_that_pretraining_never_held() -> None:
    assert _held_out_share([question.answers for question in centred_questions(300)]) == 0.5
    assert _held_out_share([question.answers for question in wide_questions(300)]) == 0.5


def test_every_question_says_its_own_answers() -> None:
    for question in (*centred_questions(100), *wide_questions(100)):
        class_word, colour, place = question.answers
        words = question.text.replace(",", "").split()
        assert CLASSES[class_word] in words
        assert COLOURS[colour] in words
        assert BACKGROUNDS[PLACES[place]] in question.text


def test_wide_questions_hold_sizes_patterns_and_free_phrasing() -> None:
    told = " | ".join(question.text for question in wide_questions(200))
    assert all(word in told for word in ("small", "big", "stripes", "dots", "a photo of"))


def test_a_missing_figure_fails_its_gate() -> None:
    assert not Row(what="x", figure=float("nan"), gate=28, cases=0, unit="dB").passed
    assert Row(what="x", figure=0.95, gate=0.95, cases=10).passed
    assert "MISSED" in Row(what="x", figure=0.9, gate=0.95, cases=10).line()
