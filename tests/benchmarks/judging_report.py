"""Every table of the judging study, as text, and its three figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from storage.domain.choice import PSEUDO_VOTES
from tests.benchmarks import judging_doses, judging_panels, judging_scales, judging_stops, judging_voters
from tests.benchmarks.judging_records import Record
from tests.benchmarks.judging_regrets import (
    Figure,
    Rule,
    Unit,
    against,
    by_subject,
    crossed,
    highest,
    mean,
    noise,
    ours,
    over_subjects,
    plan_of,
    regret,
    rivals,
    units,
)

VARIANTS = {"variant: highest utility": highest("utility"), "variant: highest likeness": highest("likeness")}
"""Of ours: what the rule of one standard error, and what the other numbers, are worth."""


class MixedWeights(ValueError):
    """Records of several base models cannot be compared."""


def report(records: Sequence[Record]) -> Iterator[str]:
    """Line by line. Raises `MixedWeights`."""
    if len({record.base for record in records}) != 1:
        raise MixedWeights("these records are not of one base model; keep each in a folder of its own")
    development = [r for r in records if not r.kept_out] or [*records]
    kept_out = [r for r in records if r.kept_out] or [*records]
    yield f"{len(records)} subjects ({len(kept_out)} kept out of all fitting), base {records[0].base[:12]}"
    yield from _choices(records, units(development), units(kept_out))
    yield from _voters(units(development), units(kept_out))
    yield from _panels(units(records))
    yield from _tastes(units(development), units(kept_out))
    yield from _doses(development, kept_out)
    yield from _costs(records)
    yield from _scales(records, development)
    yield from _stops(records, development)
    yield ""
    yield f"choice_regret_ratio {_choice_ratio(units(records), units(development))}"
    yield f"scale_regret_ratio {_scale_ratio(records, development)}"
    yield f"early_stop_saving {_saving(units(records), units(development))}"


def _choices(records: Sequence[Record], development: Sequence[Unit], kept_out: Sequence[Unit]) -> Iterator[str]:
    every, rules = units(records), {"ours, without votes": ours, **VARIANTS, **rivals(development)}
    views = sorted({unit.view for unit in every})
    yield f"\n## Choice regret: the best checkpoint's score minus the chosen one's; oracle noise {mean([*map(noise, every)]):.3f}"
    yield f"| rule | all ({len(every)} orders) | kept out | half against half | {' | '.join(views)} |"
    yield "| --- " * (4 + len(views)) + "|"
    for name, rule in rules.items():
        cells = [str(_regret(these, rule)) for these in (every, kept_out)] + [str(_regret(every, rule, half=True))]
        cells += [f"{mean([regret(u, rule(u.record, u.view)) for u in every if u.view == v]):.3f}" for v in views]
        yield f"| {name} | {' | '.join(cells)} |"
    for name, rule in rivals(development).items():
        asked, anyhow = against(every, ours, rule), against(every, ours, rule, all_units=True)
        yield f"ours over {name}: {asked} where theirs is over twice the noise; {anyhow} everywhere"


def _regret(these: Sequence[Unit], rule: Rule, *, half: bool = False) -> Figure:
    cost = crossed if half else regret
    return over_subjects(by_subject(these, lambda unit: cost(unit, rule(unit.record, unit.view))), mean)


def _choice_ratio(these: Sequence[Unit], development: Sequence[Unit]) -> str:
    """To the rival with the least mean regret."""
    known = rivals(development)
    best = min(known, key=lambda name: _regret(these, known[name]).value)
    return f"{against(these, ours, known[best])} (best rival: {best}; target at most 0.333)"


def _voters(development: Sequence[Unit], kept_out: Sequence[Unit]) -> Iterator[str]:
    m = judging_voters.fitted(judging_voters.table(development))
    found = judging_voters.table(kept_out)
    yield f"\n## With voters: mean regret on subjects kept out; m fitted on the others: {m:g}; the product's: {PSEUDO_VOTES:g}"
    ways = list(next(iter(found.values())))
    yield f"| voters | {' | '.join(ways)} | fitted m over the better alone |"
    yield "| --- " * (len(ways) + 2) + "|"
    for crowd, costs in found.items():
        cells = " | ".join(f"{costs[way].value:.3f}" for way in ways)
        yield f"| {crowd} | {cells} | {judging_voters.excess(costs, m):+.4f} |"


def _panels(these: Sequence[Unit]) -> Iterator[str]:
    rows = judging_panels.table(these)
    yield "\n## Regret against pictures drawn a checkpoint"
    yield "| pictures | panel | regret |\n| --- | --- | --- |"
    for row in rows:
        yield f"| {row.pictures} | {row.what} | {row.regret} |"
    if any(row.pictures for row in rows):
        knee = judging_panels.knee(rows)
        yield f"knee: {knee.pictures} pictures ({knee.what})"


def _tastes(development: Sequence[Unit], kept_out: Sequence[Unit]) -> Iterator[str]:
    known = judging_panels.tastes(development)
    yield "\n## Utility by other tastes, fitted on development subjects: mean regret there, and on subjects kept out"
    for name, cost in [*known[:5], *known[-1:]]:
        yield f"{name}: {cost:.3f}; kept out {_regret(kept_out, judging_panels.by_taste(name))}"


def _doses(development: Sequence[Record], kept_out: Sequence[Record]) -> Iterator[str]:
    yield "\n## Recipes that learn: doublings from the oracle's best steps, subjects kept out (tastes: make bench-learning)"
    yield "at most two doublings further off than the prior, by the bounds of steps and rate (dose.MOST)"
    yield " ".join(f"{count} orders: {off:.2f};" for count, off in judging_doses.table(development, kept_out).items())


def _costs(records: Sequence[Record]) -> Iterator[str]:
    shares = [judging_stops.totals(record.spent[plan_of(record).steps]) for record in records]
    drawing, measuring = mean([d for d, _ in shares]), mean([m for _, m in shares])
    yield "\n## Cost of an order of the recipe's length, before its scale is measured"
    yield f"drawing {drawing:.1%}, measuring without drawing {measuring:.1%}"


def _scales(records: Sequence[Record], development: Sequence[Record]) -> Iterator[str]:
    these, known = judging_scales.files(records), judging_scales.rivals(judging_scales.files(development))
    yield f"\n## Scale regret; oracle noise {mean([*map(judging_scales.noise, these)]):.3f}"
    yield f"| rule | all ({len(these)} files) | kept out | within the plan | long |\n| --- | --- | --- | --- | --- |"
    parts = [
        these,
        [f for f in these if f.record.kept_out],
        [f for f in these if not f.long],
        [f for f in these if f.long],
    ]
    for name, rule in {"ours": judging_scales.recommended, **known}.items():
        yield f"| {name} | {' | '.join(str(judging_scales.figure(part, rule)) if part else '-' for part in parts)} |"
    lower, truly = (f(records) for f in (judging_scales.lower_when_long, judging_scales.truly_lower_when_long))
    yield f"four times the plan: a lower scale in {sum(lower)} of {len(lower)}; by the oracle in {sum(truly)} of {len(truly)}"
    halves = [half for file in these if (half := file.choice.half_width) is not None]
    yield f"half-width of the recommended scale: {mean(halves):.3f} on average of {len(halves)} files"


def _scale_ratio(records: Sequence[Record], development: Sequence[Record]) -> str:
    these, known = judging_scales.files(records), judging_scales.rivals(judging_scales.files(development))
    best = min(known, key=lambda name: judging_scales.figure(these, known[name]).value)
    return f"{judging_scales.against(these, known[best])} (best rival: {best}; target at most 0.333)"


def _stops(records: Sequence[Record], development: Sequence[Record]) -> Iterator[str]:
    views: dict[str, list[Unit]] = {v: [u for u in units(records) if u.view == v] for v in ("x1", "x3", "x4")}
    views["x1, kept out"] = [unit for unit in views["x1"] if unit.record.kept_out]
    yield "\n## Early stop: seconds saved, judging counted, and oracle score lost (at most 0.010)"
    yield "| orders | ours: saved | lost | best constant: saved | lost |\n| --- | --- | --- | --- | --- |"
    for name, these in views.items():
        fitted = [u for u in units(development) if u.view == name.split(",")[0]]
        if not these or not fitted:
            continue
        place = judging_stops.best_constant(fitted)
        own = judging_stops.figures(these, judging_stops.ours)
        rival = judging_stops.figures(these, judging_stops.constant(place))
        yield f"| {name} ({len(these)}) | {own[0]} | {own[1]} | {rival[0]} (checkpoint {place + 1}) | {rival[1]} |"


def _saving(these: Sequence[Unit], development: Sequence[Unit]) -> str:
    """Of orders of the recipe's own length."""
    short, fitted = ([u for u in many if u.view == "x1"] for many in (these, development))
    saved, lost = judging_stops.figures(short, judging_stops.ours)
    place = judging_stops.best_constant(fitted)
    constant, _ = judging_stops.figures(short, judging_stops.constant(place))
    return f"{saved} (oracle score lost: {lost}; always checkpoint {place + 1} saves {constant}; target at least 0.200)"
