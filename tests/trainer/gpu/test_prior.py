"""What holds the class in its place: the base's own predictions, or pictures that it drew."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from storage.domain.contradictions import contradictions
from storage.domain.orders import SubjectType
from storage.domain.plan import Plan
from tests.builders import make_job, tiny_plan, without_validation
from trainer.gpu import captions
from trainer.gpu import class_pictures as drawing
from trainer.gpu import job as jobs
from trainer.gpu.bench import Bench, Loaded, load
from trainer.gpu.channel import Channel
from trainer.gpu.judge import losses
from trainer.gpu.judge.strata import middles
from trainer.gpu.prior import due, prior_batches
from trainer.gpu.training import Training

OTHERS = ("a red cat on grass", "a blue car in the snow", "a green house at sea")


@pytest.fixture(scope="module")
def loaded(random_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder = tmp_path_factory.mktemp("loaded")
    make_job(folder, random_base)
    return load(jobs.read(folder))


@pytest.fixture
def bench(tmp_path: Path, random_base: Path, loaded: Loaded) -> Callable[..., Bench]:
    log = os.open(tmp_path / "told.jsonl", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def made(plan: Plan) -> Bench:
        make_job(tmp_path / "job", random_base, plan=plan)
        return Bench(jobs.read(tmp_path / "job"), loaded, Channel(log))

    return made


def plan(**changes: Any) -> Plan:
    return replace(tiny_plan(6, 40), **changes)


def gradient(bench: Bench, step: int, *, after: int = 2) -> torch.Tensor:
    """What the optimiser is given at a step, unclipped, by an adapter that has learned a little without a prior."""
    training = Training(bench)
    training.plan = replace(training.plan, prior="none")
    while training.step < after:
        training._one_step()
    training.plan = replace(bench.task.plan, max_grad_norm=1e9)
    training._try(step)
    return torch.cat([p.grad.flatten().clone() for p in training.adapter.parameters.values() if p.grad is not None])


@pytest.mark.parametrize("way", ["base_prediction", "class_pictures"])
def test_the_priors_loss_is_added_lambda_times(way: str, bench: Callable[..., Bench]) -> None:
    """Equation 2 of arXiv 2208.12242: the gradient is the pictures' own plus lambda times the prior's."""
    given: dict[str, Any] = {"prior": way, "prior_pictures": 3} if way == "class_pictures" else {"prior": way}
    alone = gradient(bench(plan()), 3)
    once, thrice = (gradient(bench(plan(**given, prior_weight=weight)), 3) for weight in (1.0, 3.0))
    assert (once - alone).norm() > 1e-3 * alone.norm()
    torch.testing.assert_close(thrice - alone, 3.0 * (once - alone), rtol=2e-3, atol=1e-6)


def test_an_adapter_that_does_nothing_yet_has_nothing_to_take_back(bench: Callable[..., Bench]) -> None:
    """Before the first step it says what the base says, so that the distance to it and its gradient are zero."""
    alone = gradient(bench(plan()), 1, after=0)
    held = gradient(bench(plan(prior="base_prediction", prior_weight=100.0)), 1, after=0)
    torch.testing.assert_close(held, alone, rtol=1e-4, atol=1e-7)


def test_the_base_is_asked_with_the_adapter_off_and_it_learns_on(bench: Callable[..., Bench]) -> None:
    made = bench(plan(prior="base_prediction"))
    training = Training(made)
    for _ in range(2):
        training._one_step()
    (batch, *_) = prior_batches(made.base, made.prior, made.words, made.task.plan, step=3, most=2)
    assert (batch.kind, batch.weight) == ("base_prediction", 1.0)
    noisy = made.base.schedule.noisy(batch.latents_BCHW, batch.noise_BCHW, batch.t_B)
    from trainer.gpu.prior import base_says

    said = base_says(made.base, training.adapter.denoiser, batch, noisy)
    frozen = made.base.predict(made.base.denoiser, noisy, batch.t_B, batch.words, batch.framing)
    assert torch.equal(said, frozen)
    with torch.no_grad():
        own = made.base.predict(training.adapter.denoiser, noisy, batch.t_B, batch.words, batch.framing)
    assert not torch.equal(own, frozen)
    assert all(p.requires_grad for p in training.adapter.parameters.values())


def state_of(training: Training) -> tuple[float, float]:
    """(loss on the pictures over the base's, how far the base's answers to other prompts have moved) so far."""
    bench, denoiser = training.bench, training.adapter.denoiser
    base, words, named = bench.base, bench.words, bench.words[captions.judged(bench.task.plan)]
    moments = middles(bench.task.plan, bench.pictures[0].picture.shape, base.schedule.steps)
    draws = [losses._batches(base, picture, moments, named, 16)[0] for picture in bench.training[:3]]
    moved = 0.0
    with torch.no_grad():
        now, before = (sum(losses.losses(base, d, b).mean() for b in draws) for d in (denoiser, base.denoiser))
        for text in OTHERS:
            (batch,) = losses._batches(base, bench.pictures[0], moments, words[text], 16)
            noisy = base.schedule.noisy(batch.latents_BCHW, batch.noise_BCHW, batch.t_B)
            said = [base.predict(d, noisy, batch.t_B, batch.words, batch.framing) for d in (denoiser, base.denoiser)]
            moved += float((said[0] - said[1]).square().mean())
    return float(now / before), moved


def way_of(bench: Bench, every: int) -> list[tuple[float, float]]:
    """`state_of` once in so many steps."""
    training, found = Training(bench), []
    while training.step < bench.task.plan.steps:
        training._one_step()
        if training.step % every == 0:
            found.append(state_of(training))
    return found


def test_steps_look_at_the_prior_as_often_as_the_plan_says() -> None:
    wanted = plan(prior="base_prediction", prior_share=0.3)
    assert sum(due(wanted, step) for step in range(1, 2001)) / 2000 == pytest.approx(0.3, abs=0.03)
    assert all(due(plan(prior="base_prediction"), step) for step in range(1, 50))


def test_progress_tells_of_the_orders_own_pictures_alone(bench: Callable[..., Bench]) -> None:
    loss = Training(bench(plan(prior="base_prediction")))._try(1)
    assert len(loss.plain_B) == len(loss.t_B) == 2


def test_class_pictures_are_drawn_once_and_again_only_where_something_changed(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    panel = drawing.panel
    monkeypatch.setattr(drawing, "panel", lambda *a, **k: (drawn.append(len(k["prompts"])), panel(*a, **k))[1])
    wanted = plan(prior="class_pictures", prior_pictures=3)
    first = bench(wanted).prior
    assert [p.picture.caption for p in first] == list(captions.prior_texts(wanted))
    assert not any(wanted.trigger in p.picture.caption for p in first)
    again = bench(replace(wanted, seed=99, learning_rate=1e-5)).prior
    assert drawn == [3], "another run with the same base finds them"
    assert all(torch.equal(a.plain, b.plain) for a, b in zip(first, again, strict=True))
    for change in ({"class_word": "cat"}, {"guidance": 5.0}, {"preview_steps": 3}, {"resolution": 48}):
        bench(replace(wanted, **change)).prior  # noqa: B018 -- asked for, so drawn
        assert drawn.pop() == 3, change
    file = next(p for p in sorted((bench(wanted).task.path("cache")).glob("class-*.png")))
    file.write_bytes(file.read_bytes()[:100])
    bench(wanted).prior  # noqa: B018
    bench(replace(wanted, class_word="cat")).prior  # noqa: B018
    bench(replace(wanted, guidance=5.0)).prior  # noqa: B018
    bench(replace(wanted, preview_steps=3)).prior  # noqa: B018
    bench(replace(wanted, resolution=48)).prior  # noqa: B018
    assert drawn == [3, 1], "a damaged picture is drawn again, and it alone"


@pytest.mark.parametrize(
    ("subject", "text", "said"),
    [
        (SubjectType.OBJECT, "a zorvex toy on grass", "a toy on grass"),
        (SubjectType.OBJECT, "a drawing of a Zorvex", "a drawing of a toy"),
        (SubjectType.OBJECT, "a zorvexes toy", "a zorvexes toy"),
        (SubjectType.STYLE, "a cat, zorvex style", "a cat"),
        (SubjectType.STYLE, "a cat in zorvex style", "a cat"),
        (SubjectType.STYLE, "zorvex style", "toy"),
    ],
)
def test_a_caption_without_the_trigger_asks_for_the_class(subject: SubjectType, text: str, said: str) -> None:
    assert captions.plain(text, plan(subject_type=subject)) == said


def test_without_a_prior_its_fields_are_refused_and_a_prompt_with_the_trigger_always() -> None:
    def named(**changes: Any) -> set[str]:
        return {name for name, _ in contradictions(without_validation(plan(**changes)))}

    assert named(prior_share=0.5) == {"prior_share"}
    assert named(prior_weight=2.0) == {"prior_weight"}
    assert named(prior_prompts=("a cat",)) == {"prior_prompts"}
    assert named(prior="base_prediction", prior_pictures=5) == {"prior_pictures"}
    assert named(prior="base_prediction", prior_prompts=("a cat", "a {trigger} cat")) == {"prior_prompts"}
    assert named(prior="class_pictures", prior_prompts=("a Zorvex cat",), prior_pictures=5) == {"prior_prompts"}
    assert not named(prior="class_pictures", prior_prompts=("a {class_word} at sea",), prior_weight=2.0)


def test_other_prompts_move_less_at_equal_likeness(bench: Callable[..., Bench]) -> None:
    """Held, it takes more steps to learn the same; what it says to other prompts has moved less when it has."""
    wanted = without_validation(plan(steps=35, checkpoint_steps=(35,), learning_rate=5e-3, rank=8))
    prompts = tuple(replace(wanted.prompts[1], text=text, plain=text) for text in OTHERS)
    wanted = replace(wanted, targets="attention+ff+conv", prompts=(wanted.prompts[0], *prompts), caption_dropout=0.0)
    free = way_of(bench(wanted), 5)
    ((likeness, held),) = way_of(bench(replace(wanted, prior="base_prediction")), 35)
    assert likeness < 0.9
    assert held < 0.7 * min(moved for ratio, moved in free if ratio <= likeness)
