"""A base that makes do with the memory there is: whatever runs out of it is done again one rung down, and written down.

Everything but the training step itself goes through here: previews, class pictures, sweeps, measurements, encodings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from PIL import Image
from torch import Tensor, nn

from storage.domain.rungs import Work
from trainer.gpu.families.family import Base, Drawing, Posteriors, Targets, Teachable, Words, Worn
from trainer.gpu.ledger import Ledger
from trainer.gpu.memory import free
from trainer.gpu.pictures import Framing, Shape
from trainer.gpu.placing import follow, stream, streams, tile, untile
from trainer.gpu.schedules import Schedule

T = TypeVar("T")


def spared(base: Base, ledger: Ledger) -> Sparing:
    """The base for one order, with what that order has to give up."""
    return SparingTeachable(base, ledger) if isinstance(base, Teachable) else Sparing(base, ledger)


class Retiled(Exception):
    """The autoencoder works in tiles from now on: what was encoded whole is to be encoded again."""


def alike(encode: Callable[[], T]) -> T:
    """All pictures encoded in one way: once more where the first ones were encoded whole before memory ran out."""
    try:
        return encode()
    except Retiled:
        return encode()


class Sparing:
    """A `Base` around another one. What it streams stays streamed for as long as the base is loaded: no number changes."""

    def __init__(self, base: Base, ledger: Ledger) -> None:
        self.base, self.ledger = base, ledger
        self.device, self.words_sha256 = base.device, base.words_sha256
        self._copies: list[nn.Module] = []
        self.vae_sha256 = base.vae_sha256
        self.settle()

    @property
    def schedule(self) -> Schedule:
        return self.base.schedule

    @property
    def denoiser(self) -> nn.Module:
        return self.base.denoiser

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        return self.base.parts

    def trainee(self) -> nn.Module:
        self.settle()
        return self._copy(self.base.trainee())

    def _copy(self, module: nn.Module) -> nn.Module:
        """Remembered: it is streamed with what it was copied from."""
        self._copies.append(module)
        return module

    def shapes(self, resolution: int) -> tuple[Shape, ...]:
        return self.base.shapes(resolution)

    def lora_targets(self, targets: Targets) -> tuple[str, ...]:
        return self.base.lora_targets(targets)

    def weigh(self, scale: float) -> None:
        self.base.weigh(scale)

    def wear(self, file: Path | None) -> dict[str, Worn]:
        worn = self.base.wear(file)
        for part in self.base.parts.values():
            follow(part)
        return worn

    def posteriors(self, pixels_B3HW: Tensor) -> Posteriors:
        """One picture at a time where memory is scarce. Raises `Retiled`."""
        each = [pixels_B3HW] if self.device.type == "cpu" else list(pixels_B3HW.split(1))
        found = [self._done("pictures", lambda one=one: self.base.posteriors(one)) for one in each]  # type: ignore[misc]
        return Posteriors(
            mean_BCHW=torch.cat([one.mean_BCHW for one in found]), std_BCHW=torch.cat([one.std_BCHW for one in found])
        )

    def encode_texts(self, texts: Sequence[str]) -> Words:
        return self._done("texts", lambda: self.base.encode_texts(texts))

    def predict(
        self, denoiser: nn.Module, noisy_BCHW: Tensor, t_B: Tensor, words: Words, framing: Sequence[Framing]
    ) -> Tensor:
        """In parts where nothing is learned; a training step is split by whoever takes it, over its backward pass too."""
        if torch.is_grad_enabled() or denoiser is not self.base.denoiser:
            return self.base.predict(denoiser, noisy_BCHW, t_B, words, framing)

        def some(at: slice) -> Tensor:
            return self.base.predict(denoiser, noisy_BCHW[at], t_B[at], words.of(at), framing[at])

        return torch.cat(self._in_parts(len(noisy_BCHW), some))

    def draw(
        self, drawings: Sequence[Drawing], negative: Words, *, shape: Shape, steps: int, guidance: float
    ) -> list[Image.Image]:
        def some(at: slice) -> list[Image.Image]:
            return self.base.draw(drawings[at], negative, shape=shape, steps=steps, guidance=guidance)

        return [picture for part in self._in_parts(len(drawings), some) for picture in part]

    def settle(self) -> None:
        """Puts every part where the ledger wants it at its step."""
        parts, tiled = self.base.parts, self.ledger.tiled
        (tile if tiled else untile)(parts["vae"])
        # tiles have edges: what was encoded in them is not what was encoded whole
        self.vae_sha256 = f"{self.base.vae_sha256}:tiles" if tiled else self.base.vae_sha256
        encoders = [part for name, part in parts.items() if name.startswith("text_encoder")]
        wanted = encoders if self.ledger.encoders_streamed else []
        wanted += [self.base.denoiser, *self._copies] if self.ledger.offloaded else []
        for part in wanted:
            if not streams(part):
                stream(part, self.device)

    def _in_parts(self, count: int, some: Callable[[slice], T]) -> list[T]:
        """All of `count`, as many at once as memory allows; what was done stays done."""
        done: list[T] = []
        at = 0
        while at < count:
            most = min(self.ledger.looks, count - at)
            try:
                self.settle()
                done.append(some(slice(at, at + most)))
            except (RuntimeError, MemoryError) as error:
                self.ledger.step_down(error, "look")
                while self.ledger.looks >= most > 1:
                    self.ledger.step_down(error, "look")
            else:
                at += most
                continue
            free()
        return done

    def _done(self, work: Work, attempt: Callable[[], T]) -> T:
        while True:
            whole = not self.ledger.tiled
            try:
                self.settle()
                return attempt()
            except (RuntimeError, MemoryError) as error:
                self.ledger.step_down(error, work)
            free()
            if whole and self.ledger.tiled:
                self.settle()  # the name of what is kept says so from now on
                raise Retiled


class SparingTeachable(Sparing):
    """The same of a base whose text encoders can learn."""

    base: Teachable

    @property
    def speaks_as_worn(self) -> bool:
        return self.base.speaks_as_worn

    def students(self) -> dict[str, nn.Module]:
        return self.base.students()

    def word_targets(self, targets: Targets) -> tuple[str, ...]:
        return self.base.word_targets(targets)

    def hear(self, encoders: Mapping[str, nn.Module], texts: Sequence[str]) -> Words:
        return self.base.hear(encoders, texts)
