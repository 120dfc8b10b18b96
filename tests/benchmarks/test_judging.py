"""The rules of the judging study, on made-up records: no training, no model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks import (
    judging_doses,
    judging_panels,
    judging_regrets,
    judging_scales,
    judging_stops,
    judging_voters,
)
from tests.benchmarks.examiner import COMPARED, DEVELOPMENT, NEW_OTHERS, NEW_PLACES, WAYS
from tests.benchmarks.judging import main
from tests.benchmarks.judging_cases import ONLY_JUDGED, Case, cases
from tests.benchmarks.judging_drawn import record_of
from tests.benchmarks.judging_exam import Reading, questions
from tests.benchmarks.judging_records import Record, from_json, to_json
from tests.benchmarks.judging_regrets import Unit, units
from tests.benchmarks.judging_report import MixedWeights, report
from tests.benchmarks.judging_sheet import Answer, agreements
from tests.benchmarks.judging_trajectories import Spent, added_up
from trainer.gpu.rates import learning_rate


@pytest.fixture(scope="module", autouse=True)
def few_draws() -> Iterator[None]:
    """Intervals and ballots of a hundredth of the draws: the same code in less time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judging_regrets, "RESAMPLES", 20)
        patch.setattr(judging_voters, "BALLOTS", 6)
        yield


@pytest.fixture(scope="module")
def forty() -> list[Case]:
    return cases(40)


@pytest.fixture(scope="module")
def few(forty: list[Case]) -> list[Case]:
    """Three long trainings and a short one, of both halves."""
    return [forty[n] for n in (0, 1, 4, 5)]


@pytest.fixture(scope="module")
def records(few: list[Case]) -> list[Record]:
    return [record_of(case) for case in few]


def test_forty_subjects_hold_every_type_regime_and_half_of_them_is_kept_out_of_fitting(forty: list[Case]) -> None:
    assert len({(case.subject.kind, case.subject.index) for case in forty}) == len({c.name for c in forty}) == 40
    assert set(Counter((case.kept_out, case.subject.kind) for case in forty).values()) == {5}
    assert set(Counter((case.kept_out, case.regime) for case in forty).values()) == {4}
    assert set(Counter(case.fault for case in forty if case.regime.bad).values()) <= {5, 6}
    known = {*range(COMPARED, WAYS), *range(DEVELOPMENT, DEVELOPMENT + WAYS)}
    assert {case.subject.index for case in forty} <= known


def test_bad_pictures_are_bad_and_the_others_are_not(forty: list[Case]) -> None:
    for fault in ("blurred", "strangers", "twins"):
        case = next(c for c in forty if c.fault == fault)
        clean = case.subject.pictures(case.regime.pictures, px=256)
        same = [a.tobytes() == b.tobytes() for a, b in zip(case.pictures, clean, strict=True)]
        assert 0 < same.count(False) <= len(same) // 2
        assert same.count(True) >= len(same) // 2


def test_the_beginning_of_a_long_training_is_the_short_training(forty: list[Case]) -> None:
    case = next(c for c in forty if c.regime.times == 4)
    short, long = case.plan, case.trained
    assert long.steps == 4 * short.steps
    assert set(short.checkpoint_steps) <= set(long.checkpoint_steps)
    changed = {f for f in vars(short) if getattr(short, f) != getattr(long, f)}
    assert {"steps", "checkpoint_steps"} <= changed <= {"steps", "checkpoint_steps", "prompts", *ONLY_JUDGED}
    assert {p.text: p.seeds for p in short.prompts}.items() <= {p.text: p.seeds for p in long.prompts}.items()
    assert all(learning_rate(short, (), n) == learning_rate(long, (), n) for n in range(1, short.steps + 1))
    for view in case.views:
        assert set(case.steps(view)) <= set(long.checkpoint_steps)
        assert case.planned(view).steps == max(case.steps(view))


def test_questions_of_the_examination_are_asked_nowhere_else(forty: list[Case]) -> None:
    for case in (forty[0], forty[7]):
        asked = questions(case.subject, case.plan)
        shown = [text for prompt in case.plan.prompts for text in (prompt.text, prompt.plain)]
        assert not [text for text in shown if any(new in text for new in (*NEW_PLACES, *NEW_OTHERS))]
        assert all(case.plan.trigger in prompt.text for prompt in asked if prompt.with_trigger)
        seeds = [seed for prompt in asked for seed in prompt.seeds]
        assert len({*seeds}) == len(seeds)
        assert not {*seeds} & {seed for prompt in case.plan.prompts for seed in prompt.seeds}


def test_seconds_of_several_processes_are_added_up() -> None:
    first = {"step": 1, "training": 3.0, "drawing": 2.0, "measuring": 1.0}
    second = {"step": 2, "training": 4.0, "drawing": 1.0, "measuring": 0.5}
    assert added_up([{}, first, {}, second]) == {
        1: Spent(training=3.0, drawing=2.0, measuring=1.0),
        2: Spent(training=7.0, drawing=3.0, measuring=1.5),
    }


def test_a_record_is_read_back_as_it_was_written(records: list[Record]) -> None:
    assert from_json(to_json(records[0])) == records[0]
    with pytest.raises(ValueError, match="another format"):
        from_json(to_json(records[0]).replace('"format": 1', '"format": 0'))


def _with_scores(record: Record, scores: list[float]) -> Unit:
    """The record's short view with these scores."""
    steps = list(record.views["x1"])
    exam = {
        step: {1.0: Reading(likeness=(score**3,) * 16, obeyed=(True,) * 16, others=(True,) * 8)}
        for step, score in zip(steps, scores, strict=True)
    }
    return Unit(record=replace(record, exam=exam, views={"x1": record.views["x1"]}), view="x1")


def test_regret_is_what_the_best_checkpoint_would_have_scored_more(records: list[Record]) -> None:
    unit = _with_scores(records[0], [0.2, 0.9, 0.5, 0.6, 0.7])
    steps = list(unit.measured)
    assert [judging_regrets.regret(unit, s) for s in steps] == pytest.approx([0.7, 0.0, 0.4, 0.3, 0.2])
    assert judging_regrets.crossed(unit, steps[4]) == pytest.approx(0.2)
    assert judging_regrets.noise(unit) == pytest.approx(0.0)


def test_each_rule_chooses_by_its_own_number(records: list[Record]) -> None:
    record = records[0]
    steps = list(record.views["x1"])
    ratios = (0.95, 0.90, 0.894, 0.899, 0.93)
    view = {
        step: replace(m, validation_ratio=v, training_ratio=v - 0.03 * n)
        for n, ((step, m), v) in enumerate(zip(record.views["x1"].items(), ratios, strict=True))
    }
    told = replace(record, views={"x1": view})
    assert judging_regrets.last(told, "x1") == steps[4]
    assert judging_regrets.lowest_validation(told, "x1") == steps[2]
    assert judging_regrets.lowest_training(told, "x1") == steps[4]
    assert judging_regrets.patient(told, "x1") == steps[1]
    assert judging_regrets.gapped(told, "x1") == steps[3]
    assert judging_regrets.paced(8)(told, "x1") == steps[1]
    assert judging_regrets.highest("likeness")(told, "x1") == max(steps, key=lambda s: view[s].likeness or 0.0)


def test_a_rival_counts_only_where_it_loses_more_than_twice_the_noise(records: list[Record]) -> None:
    quiet = _with_scores(records[0], [0.5, 0.8, 0.9, 0.8, 0.6])
    first, third = (lambda r, v: min(r.views[v])), (lambda r, v: sorted(r.views[v])[2])
    found = judging_regrets.against([quiet], lambda r, v: sorted(r.views[v])[1], first)
    assert found.value == pytest.approx(0.1 / 0.4)
    assert str(judging_regrets.against([quiet], first, third)) == "no number"  # a rival without regret is no measure


def test_a_judge_that_sees_the_truth_beats_all_rivals_and_one_that_sees_nothing_does_not(few: list[Case]) -> None:
    def own(told: float) -> float:
        these = units([record_of(case, told=told) for case in few])
        return judging_regrets.mean([judging_regrets.regret(u, judging_regrets.ours(u.record, u.view)) for u in these])

    these = units([record_of(case) for case in few])
    costs = {
        name: judging_regrets.mean([judging_regrets.regret(u, rule(u.record, u.view)) for u in these])
        for name, rule in judging_regrets.rivals(these).items()
    }
    assert own(1.0) < min(costs.values())
    assert own(0.0) > 2 * own(1.0)


def test_scores_between_examined_scales_lie_on_straight_lines() -> None:
    scores = {0.4: 0.2, 0.8: 0.6, 1.2: 0.4}
    found = [judging_scales.at(scores, scale) for scale in (0.2, 0.4, 0.6, 1.0, 1.3)]
    assert found == pytest.approx([0.2, 0.2, 0.4, 0.5, 0.4])


def test_long_files_get_lower_scales_where_the_truth_says_so(records: list[Record]) -> None:
    lower, truly = judging_scales.lower_when_long(records), judging_scales.truly_lower_when_long(records)
    assert len(lower) == len(truly) == sum(record.longest == "x4" for record in records) > 0
    assert all(lower)


def test_stopping_saves_the_seconds_that_were_not_spent_and_counts_judging(records: list[Record]) -> None:
    unit = Unit(record=records[0], view="x1")
    steps = list(unit.measured)
    part = sum(len(prompt.seeds) for prompt in judging_regrets.plan_of(unit.record).prompts) / 12
    assert judging_stops.seconds(unit, steps[1]) == pytest.approx(5 + 0.3 * steps[1] + 3 * 5.0 * part + 2 * 1.0)
    full = judging_stops.outcome(unit, judging_stops.constant(9))
    assert (full.saved, full.lost) == (0.0, 0.0)
    assert 0 < judging_stops.outcome(unit, judging_stops.constant(2)).saved < 1


def test_the_constant_that_is_fitted_loses_at_most_a_hundredth(records: list[Record]) -> None:
    these = units(records)
    place = judging_stops.best_constant(these)
    lost = [judging_stops.outcome(unit, judging_stops.constant(place)).lost for unit in these]
    assert judging_regrets.mean(lost) <= judging_stops.MOST_LOST


def test_alone_votes_and_measurements_are_what_they_say(records: list[Record]) -> None:
    unit = units(records)[0]
    first, *others = unit.measured
    cast = {first: 2, **dict.fromkeys(others, 0)}
    assert judging_voters.chosen(unit, cast, judging_voters.VOTES) == first
    assert judging_voters.chosen(unit, cast, judging_voters.MEASUREMENTS) == judging_regrets.ours(
        unit.record, unit.view
    )
    best = judging_regrets.ours(unit.record, unit.view)
    assert best != first
    assert judging_voters.chosen(unit, cast, judging_voters.together(5.0)) == best


def test_more_members_choose_better_where_they_look_at_the_truth(records: list[Record]) -> None:
    found = judging_voters.table(units(records))
    costs = [by_way[judging_voters.VOTES].value for by_way in found.values()]
    assert costs[-1] < costs[0]
    assert judging_voters.fitted(found) in judging_voters.PSEUDO


def test_a_smaller_panel_is_read_from_its_own_utilities(records: list[Record]) -> None:
    rows = judging_panels.table(units(records))
    assert [row.pictures for row in rows] == sorted(row.pictures for row in rows)
    assert judging_panels.knee(rows).pictures == 3  # the made-up judge sees the same in every panel


def test_the_taste_that_costs_least_comes_first(records: list[Record]) -> None:
    found = judging_panels.tastes(units(records))
    assert "leakage 0," in f"{found[0][0]},"  # in made-up records leakage harms nobody
    assert [cost for _, cost in found] == sorted(cost for _, cost in found)
    assert found[-1][1] > found[0][1]


def test_a_recipe_that_learned_is_never_further_off_than_its_bound(records: list[Record]) -> None:
    found = judging_doses.table(records, records)
    assert set(found) == set(judging_doses.ORDERS)
    assert max(found.values()) <= found[0] + 1.0


def test_the_report_ends_with_the_three_figures_and_refuses_mixed_weights(
    tmp_path: Path, records: list[Record], capsys: pytest.CaptureFixture[str]
) -> None:
    for record in records[:2]:
        (tmp_path / record.name).mkdir()
        (tmp_path / record.name / "record.json").write_text(to_json(record))
    main(["--subjects", "6", "--only-report", "--out", str(tmp_path)])
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()[-3:]]
    assert names == ["choice_regret_ratio", "scale_regret_ratio", "early_stop_saving"]
    with pytest.raises(MixedWeights):
        list(report([records[0], replace(records[1], base="c" * 64)]))


def test_a_blind_look_is_counted_answer_by_answer_and_what_was_left_empty_is_not() -> None:
    said = [
        Answer(subject="A", second="room"),
        Answer(subject="-", second="sea"),
        Answer(subject="", second="red cat sea"),
    ]
    filled = [
        Answer(subject="a ", second="Room"),
        Answer(subject="B", second=""),
        Answer(subject="", second="red dog sea"),
    ]
    assert agreements(filled, said) == {
        "subject": [True, False],
        "place or thing": [True],
        "colour, class and place": [False],
    }
