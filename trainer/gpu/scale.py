"""At which strength the chosen file works best: a sweep over scales, on seeds that no grid has shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from storage import faults
from storage.domain.concepts import shown
from storage.domain.measurement import ScaleChoice, ScalePoint
from storage.domain.plan import Plan, PreviewPrompt, Validation
from storage.domain.scale import choose_scale
from storage.domain.taste import utility
from trainer.gpu import judge, preview
from trainer.gpu.bench import Bench
from trainer.gpu.grid import Row, sheet
from trainer.gpu.judge import losses
from trainer.gpu.judge.sight import seen

SCALES = (0.4, 0.6, 0.8, 1.0, 1.2)
"""Five points carry a parabola; below 0.4 a LoRA of ours shows nothing, above 1.2 users rarely go."""
_OTHER_SEEDS = 1_000_003
"""Added to the plan's seeds: a scale chosen on the reported pictures would flatter them."""


def sweep(bench: Bench, file: Path) -> ScaleChoice:
    """Measures the file at every scale and chooses."""
    points = _by_eye(bench, file) if bench.eye else _by_loss(bench, file)
    bench.base.wear(None)
    return choose_scale(points)


def _by_eye(bench: Bench, file: Path) -> list[ScalePoint]:
    plan, eye = bench.task.plan, bench.eye
    if eye is None:
        raise TypeError("there is no eye to see with")
    prompts = _other_seeds(plan.prompts)
    bench.base.wear(None)
    _tell(bench, 0)
    base = preview.panel(bench.base, plan, bench.words, prompts=prompts, tell=lambda: _tell(bench, 0))
    references = judge.references(eye, prompts, bench.pictures, base)

    def point(number: int, scale: float) -> ScalePoint:
        drawn = preview.panel(bench.base, plan, bench.words, prompts=prompts, tell=lambda: _tell(bench, number))
        look = seen(plan, judge.looked_at(eye, drawn), references, prompts)
        return ScalePoint(
            scale=scale,
            likeness=look.likeness,
            adherence=look.adherence,
            leakage=look.leakage,
            utility=sum(look.utilities) / len(look.utilities),
            utilities=look.utilities,
        )

    return _at_every_scale(bench, file, point)


def _by_loss(bench: Bench, file: Path) -> list[ScalePoint]:
    """Without an eye: what is gone of the base's loss for likeness, what predictions changed for other texts for the rest."""
    plan, stick = bench.task.plan, bench.stick
    full = plan.validation is Validation.FULL  # one or two held-out pictures only veto
    pictures = stick.held_out if full else stick.training
    base_loss = stick.base_held_out_N82 if full else stick.base_training_N82
    others = [p.text for p in plan.prompts if not p.with_trigger]
    plain = [p.plain for p in plan.prompts if p.with_trigger and p.plain]
    bench.base.wear(None)
    before = {text: losses.predictions(bench.base, pictures, bench.words[text]) for text in {*others, *plain}}

    def drift(texts: Sequence[str]) -> float:
        now = [losses.predictions(bench.base, pictures, bench.words[text]) - before[text] for text in texts]
        return sum(float(d.square().mean()) for d in now) / max(1, len(now)) / float(base_loss.mean())

    def point(number: int, scale: float) -> ScalePoint:
        _tell(bench, number)
        now = losses.draws(bench.base, pictures, plan, bench.words, most=bench.judged_at_once)
        likeness = max(0.0, 1.0 - (losses.ratio(now, base_loss) or 0.0))
        adherence, leakage = 1.0 / (1.0 + drift(plain)), drift(others)
        worth = utility(
            likeness=likeness,
            adherence=adherence,
            leakage=leakage,
            variety=1.0,
            subject_type=plan.subject_type,
            taste=plan.taste,
        )
        return ScalePoint(scale=scale, likeness=likeness, adherence=adherence, leakage=leakage, utility=worth)

    return _at_every_scale(bench, file, point)


def _at_every_scale(bench: Bench, file: Path, point: Callable[[int, float], ScalePoint]) -> list[ScalePoint]:
    bench.base.wear(file)
    points = []
    for number, scale in enumerate(SCALES, start=1):
        bench.base.weigh(scale)
        points.append(point(number, scale))
        faults.gap("sweep")
    return points


def strip(bench: Bench, file: Path, choice: ScaleChoice) -> tuple[Image.Image, Image.Image]:
    """Low, recommended and high side by side, and the first prompt alone at the recommended scale."""
    plan = bench.task.plan
    prompts = [replace(prompt, seeds=prompt.seeds[:1]) for prompt in _strip_rows(plan)]
    bench.base.wear(None)
    columns = [preview.panel(bench.base, plan, bench.words, prompts=prompts, tell=lambda: _packing(bench))]
    bench.base.wear(file)
    for scale in (choice.low, choice.recommended, choice.high):
        bench.base.weigh(scale)
        columns.append(preview.panel(bench.base, plan, bench.words, prompts=prompts, tell=lambda: _packing(bench)))
    bench.base.wear(None)
    rows = [
        Row(
            label=prompt.text,
            note="" if prompt.with_trigger else "without the trigger",
            cells=[column[row, prompt.seeds[0]] for column in columns],
        )
        for row, prompt in enumerate(prompts)
    ]
    heads = [
        "without the LoRA",
        f"{choice.low:g}, low",
        f"{choice.recommended:g}, recommended",
        f"{choice.high:g}, high",
    ]
    return sheet(bench.task.job.name, "strength of the LoRA", heads, rows), columns[2][0, prompts[0].seeds[0]]


def _strip_rows(plan: Plan) -> list[PreviewPrompt]:
    """Two prompts with the trigger and one without; of several concepts the first prompt of each."""
    triggered = [prompt for prompt in plan.prompts if prompt.with_trigger]
    firsts = [next(p for p in triggered if n in shown(plan, p.text)) for n in range(len(plan.concepts))]
    return [*(dict.fromkeys(firsts) if firsts else triggered[:2]), *[p for p in plan.prompts if not p.with_trigger][:1]]


def _other_seeds(prompts: Sequence[PreviewPrompt]) -> list[PreviewPrompt]:
    """One new seed for prompts with the trigger, all for the others: leakage needs the base's distance between seeds."""
    return [
        replace(p, seeds=tuple((seed + _OTHER_SEEDS) % 2**31 for seed in (p.seeds[:1] if p.with_trigger else p.seeds)))
        for p in prompts
    ]


def _packing(bench: Bench) -> None:
    bench.channel.progress("packing", bench.task.plan.steps, bench.task.plan.steps)


def _tell(bench: Bench, number: int) -> None:
    bench.channel.progress("sweeping", number, len(SCALES))
