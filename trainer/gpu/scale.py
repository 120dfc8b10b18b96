"""At which strength the chosen file works best: a sweep over scales, on prompts and seeds that no grid has shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from storage import faults
from storage.domain.measurement import ScaleChoice, ScalePoint
from storage.domain.plan import PreviewPrompt, Validation
from storage.domain.scale import choose_scale, divided, first_scales, next_scales
from storage.domain.scale_panel import once, scale_prompts, strip_prompts
from storage.domain.taste import utility
from trainer.gpu import judge, preview
from trainer.gpu.bench import Bench
from trainer.gpu.grid import Row, sheet
from trainer.gpu.judge import losses
from trainer.gpu.judge.sight import Seen, seen


def sweep(bench: Bench, file: Path) -> ScaleChoice:
    """Measures the file at a few scales, at more beside the best of them, and chooses."""
    points = _by_eye(bench, file) if bench.eye else _by_loss(bench, file)
    bench.base.wear(None)
    return choose_scale(points)


def _by_eye(bench: Bench, file: Path) -> list[ScalePoint]:
    plan, eye = bench.task.plan, bench.eye
    if eye is None:
        raise TypeError("there is no eye to see with")
    prompts = scale_prompts(plan)
    bench.base.wear(None)
    _tell(bench, 0)
    base = preview.panel(bench.base, plan, bench.words, prompts=prompts, tell=lambda: _tell(bench, 0))
    references = judge.references(eye, prompts, bench.pictures, base)

    def point(number: int, scale: float) -> ScalePoint:
        drawn = preview.panel(bench.base, plan, bench.words, prompts=once(prompts), tell=lambda: _tell(bench, number))
        return _point(scale, seen(plan, judge.looked_at(eye, drawn), references, prompts))

    return _at_every_scale(bench, file, point)


def _point(scale: float, look: Seen) -> ScalePoint:
    return ScalePoint(
        scale=scale,
        likeness=look.likeness,
        adherence=look.adherence,
        leakage=look.leakage,
        utility=sum(look.utilities) / len(look.utilities),
        utilities=look.utilities,
    )


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
    points: list[ScalePoint] = []
    wanted = list(first_scales(divided(bench.task.plan.scales)))
    while wanted:
        bench.base.weigh(wanted[0])
        points.append(point(len(points) + 1, wanted.pop(0)))
        faults.gap("sweep")
        if not wanted and len(points) < bench.task.plan.scales:
            wanted += next_scales(points, bench.task.plan.scales - len(points))
    return points


@dataclass(frozen=True, kw_only=True)
class Strip:
    """What of the scale is shown, and measured on it."""

    sheet: Image.Image
    best: Image.Image
    """The first prompt alone, at the recommended scale."""
    choice: ScaleChoice
    """With what the strip's pictures measure at the recommended scale, where there is an eye."""


def strip(bench: Bench, file: Path, choice: ScaleChoice) -> Strip:
    """Low, recommended and high side by side, on the plan's own prompts and seeds, which had no part in choosing."""
    prompts = strip_prompts(bench.task.plan)
    scales = (choice.low, choice.recommended, choice.high)
    base = _without(bench, prompts)
    bench.base.wear(file)
    columns = {scale: _column(bench, once(prompts), scale) for scale in dict.fromkeys(scales)}
    bench.base.wear(None)
    heads = [
        "without the LoRA",
        f"{choice.low:g}, low",
        f"{choice.recommended:g}, recommended",
        f"{choice.high:g}, high",
    ]
    shown = [base, *(columns[scale] for scale in scales)]
    rows = [
        Row(
            label=prompt.text,
            note="" if prompt.with_trigger else "without the trigger",
            cells=[column[row, prompt.seeds[0]] for column in shown],
        )
        for row, prompt in enumerate(prompts)
    ]
    best = columns[choice.recommended]
    return Strip(
        sheet=sheet(bench.task.job.name, "strength of the LoRA", heads, rows),
        best=best[0, prompts[0].seeds[0]],
        choice=replace(choice, reported=_reported(bench, prompts, base, best, choice.recommended)),
    )


def _without(bench: Bench, prompts: Sequence[PreviewPrompt]) -> preview.Panel:
    """The base's own pictures of these rows of the plan: the grids have them, unless they were drawn on another machine."""
    plan = bench.task.plan
    kept = preview.kept_base(bench.base, plan, bench.task.path("cache"))
    if kept is None:
        bench.base.wear(None)
        return preview.panel(bench.base, plan, bench.words, prompts=prompts, tell=lambda: _packing(bench))
    texts = [prompt.text for prompt in plan.prompts]
    return {
        (row, seed): kept[texts.index(prompt.text), seed] for row, prompt in enumerate(prompts) for seed in prompt.seeds
    }


def _column(bench: Bench, prompts: Sequence[PreviewPrompt], scale: float) -> preview.Panel:
    """The strip's pictures at one scale."""
    bench.base.weigh(scale)
    return preview.panel(bench.base, bench.task.plan, bench.words, prompts=prompts, tell=lambda: _packing(bench))


def _reported(
    bench: Bench, prompts: Sequence[PreviewPrompt], base: preview.Panel, drawn: preview.Panel, scale: float
) -> ScalePoint | None:
    """What the strip's pictures measure: told, and never chosen by. None without an eye."""
    if bench.eye is None:
        return None
    references = judge.references(bench.eye, prompts, bench.pictures, base)
    return _point(scale, seen(bench.task.plan, judge.looked_at(bench.eye, drawn), references, prompts))


def _packing(bench: Bench) -> None:
    bench.channel.progress("packing", bench.task.plan.steps, bench.task.plan.steps)


def _tell(bench: Bench, number: int) -> None:
    bench.channel.progress("sweeping", number, bench.task.plan.scales)
