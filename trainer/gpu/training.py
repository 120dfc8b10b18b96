"""The story of one training: steps, a checkpoint now and then, and what is done when numbers or memory run out."""

from __future__ import annotations

import time
from functools import partial
from itertools import chain
from pathlib import Path

from storage.domain.fit import Departure, Recomputed
from storage.domain.measurement import Measurement
from trainer.events import Trained
from trainer.gpu import pulse
from trainer.gpu import state as states
from trainer.gpu.adapter import Delivered, attach
from trainer.gpu.bench import Bench
from trainer.gpu.checkpoint import checkpoint
from trainer.gpu.continuing import start_of
from trainer.gpu.ema import Average
from trainer.gpu.families import teachable
from trainer.gpu.log import Log
from trainer.gpu.loop import NotFinite, StepLoss, train_step
from trainer.gpu.memory import free
from trainer.gpu.optimizers import groups, optimizer_for
from trainer.gpu.placing import follow
from trainer.gpu.prior import prior_batches
from trainer.gpu.rates import learning_rate
from trainer.gpu.recomputing import recompute
from trainer.gpu.views import batches, views

MOST_HALVINGS = 2
"""After two a lower rate is no cure: pictures, base or machine are."""


class Diverged(ArithmeticError):
    """The loss explodes or is no number, at half and at a quarter of the rate too."""


class Training:
    """One order's training in memory, after `step` steps."""

    def __init__(self, bench: Bench, logs: Path | None = None) -> None:
        """From the newest stored state of this plan, or from the start."""
        self.bench, self.plan, self.fit = bench, bench.task.plan, bench.task.fit
        self.ledger = bench.ledger
        denoiser, teacher = bench.base.trainee(), teachable(bench.base) if self.plan.text_encoder_rate else None
        students = teacher.students() if teacher else {}
        self.adapter = attach(denoiser, bench.modules, self.plan, students)
        self._hear = partial(teacher.hear, students) if teacher else None
        follow(denoiser)
        self._recomputed: Recomputed = "none"
        parameters = self.adapter.parameters
        self.learner = states.Learner(
            adapter=self.adapter,
            optimizer=optimizer_for(groups(parameters, self.plan), self.plan),
            average=Average(parameters, self.plan.ema_decay) if self.plan.ema_decay else None,
        )
        self.step = 0
        self.held_out_losses: dict[int, tuple[float, ...]] = {}
        self._ratio = pulse.START
        self._log = Log(bench.channel, self.fit.device, logs)
        self._began, self._began_at = time.monotonic(), 0

    @property
    def departures(self) -> tuple[Departure, ...]:
        """Where the run left its plan so far."""
        return self.ledger.all

    @property
    def _folder(self) -> Path:
        return self.bench.task.path("state")

    def rewind(self, upto: int) -> None:
        """Goes to the newest stored state with at most `upto` steps, else to the start."""
        state = states.newest(self._folder, self.bench.task.plan_sha256, upto)
        if state is None:
            adapter = {f"adapter/{k}": v for k, v in start_of(self.bench.task, self.adapter).items()}
            state = states.State(step=0, tensors=adapter)
        states.restore(state, self.learner)
        self.step, self.held_out_losses, self._ratio = state.step, dict(state.held_out_losses), state.loss_ratio
        self._began, self._began_at = time.monotonic(), self.step
        self._log.begin(self.step)

    def run(self, until: int) -> None:
        """Trains up to `until`, taking every checkpoint on the way; tells `Trained` at the end. Raises `Diverged`."""
        began = time.monotonic()
        _ = self.bench.stick  # the base is measured before anything is trained: progress is told against it
        _ = self.bench.prior  # and draws what it has to draw
        undone = self.step == until or self.step not in self.held_out_losses
        if undone and self.step in self.plan.checkpoint_steps:
            self._checkpoint()
        while self.step < until:
            if self._one_step() and self.step in self.plan.checkpoint_steps:
                self._checkpoint()
        if not self._stored(self.step):
            self._store()
        folder = self._folder / str(self.step)
        self.bench.channel.tell(
            Trained(step=self.step, state=self.bench.task.relative(folder), seconds=round(time.monotonic() - began, 3))
        )

    def _one_step(self) -> bool:
        """Whether the step was done; if not, the run has departed from its plan and goes on."""
        step, began = self.step + 1, time.monotonic()
        try:
            loss = self._try(step)
            now = pulse.ratio(loss, self.bench.stick.base_by_stratum, self.bench.stick.edges)
            self._ratio = pulse.beat(self._ratio, now, self.plan)
        except (NotFinite, pulse.Exploded) as error:
            self._depart_to_smaller_rate(str(error))
        except (RuntimeError, MemoryError) as error:
            self.ledger.step_down(error, "step")
            self._forget_gradients()
        else:
            self.step = step
            if self.learner.average:
                self.learner.average.update(step)
            rate = learning_rate(self.plan, self.departures, step)
            self._log.stepped(step, loss, ratio=self._ratio, rate=rate, seconds=time.monotonic() - began)
            self._progress()
            return True
        return False

    def _try(self, step: int) -> StepLoss:
        bench, plan = self.bench, self.plan
        self._place(step)
        seen = views(plan, bench.training, bench.base.schedule.steps, step)
        most = self.ledger.micro_batch
        return train_step(
            bench.base,
            self.adapter.denoiser,
            self.learner.optimizer,
            chain(
                batches(bench.base, seen, bench.words, plan, step=step, most=most, hear=self._hear),
                prior_batches(bench.base, bench.prior, bench.words, plan, step=step, most=most, hear=self._hear),
            ),
            plan,
            rate=learning_rate(plan, self.departures, step),
            draw=self.adapter.draw,
        )

    def _place(self, step: int) -> None:
        """Everything as the fit and its departures want it at a step."""
        self.ledger.step = step
        self.bench.base.settle()
        if self.ledger.recomputed != self._recomputed:
            self._recomputed = self.ledger.recomputed
            recompute(self.adapter.denoiser, self._recomputed)

    def _forget_gradients(self) -> None:
        self.learner.optimizer.zero_grad(set_to_none=True)
        free()

    def _depart_to_smaller_rate(self, reason: str) -> None:
        """Back to the last stored state, and on from there at half the rate."""
        if sum(d.kind == "learning_rate_halved" for d in self.departures) >= MOST_HALVINGS:
            raise Diverged(f"the training does not hold even at a quarter of its rate: {reason}")
        self.rewind(self.step)
        self.ledger.depart(self.step + 1, "learning_rate_halved", reason)

    def _checkpoint(self) -> None:
        """The state first: what comes after it can be done again from it."""
        self.ledger.step = self.step
        if not self._stored(self.step):
            self._store()
        event, losses = checkpoint(self.bench, self._delivered(), self.step, self._before(self.step))
        self.held_out_losses[self.step] = losses
        states.rewrite_losses(self._folder, self.step, self.held_out_losses)
        self._log.measured(self.step, Measurement.from_json(event.measurement))
        self.bench.channel.tell(event)

    def _delivered(self) -> Delivered:
        """The running mean where one is kept, else the weights of the last step."""
        average = self.learner.average
        return self.adapter.delivered(average.tensors if average else None)

    def _before(self, step: int) -> dict[int, tuple[float, ...]]:
        return {at: losses for at, losses in self.held_out_losses.items() if at < step}

    def _state(self) -> states.State:
        return states.taken(self.learner, self.step, loss_ratio=self._ratio, losses=self.held_out_losses)

    def _store(self) -> None:
        states.write(self._folder, self._state(), self.bench.task.plan_sha256)

    def _stored(self, step: int) -> bool:
        return (self._folder / str(step) / "state.json").is_file()

    def _progress(self) -> None:
        pace = (time.monotonic() - self._began) / max(1, self.step - self._began_at)
        self.bench.channel.progress(
            "training",
            self.step,
            self.plan.steps,
            loss_ratio=round(self._ratio, 4),
            seconds_left=round(pace * (self.plan.steps - self.step), 1),
        )
