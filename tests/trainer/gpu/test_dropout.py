"""Dropout leaves out the share that was asked for, and the same numbers whenever a step is done again."""

from __future__ import annotations

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from trainer.gpu.dropout import Draw, Dropout


def dropped(step: int, places: tuple[int, ...], path: str = "a", share: float = 0.25) -> torch.Tensor:
    draw = Draw(7)
    with draw.of(step, places):
        found: torch.Tensor = Dropout(draw, share=share, path=path)(torch.ones(len(places), 200, 50))
    return found


def test_the_share_is_left_out_and_the_rest_makes_up_for_it() -> None:
    """Kept with probability p and divided by it, so the expectation stays (Srivastava et al. 2014, section 10)."""
    found = dropped(1, (0, 1))
    assert float((found == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert found.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert float(found.mean()) == pytest.approx(1.0, abs=0.015)
    assert float(found.var()) == pytest.approx(0.25 / 0.75, rel=0.05)  # share / (1 - share)


def test_a_mask_belongs_to_step_view_and_module_and_not_to_the_batch() -> None:
    both = dropped(3, (0, 1))
    assert torch.equal(torch.cat([dropped(3, (0,)), dropped(3, (1,))]), both)
    assert torch.equal(dropped(3, (1, 0)), both.flip(0))
    assert not torch.equal(both[0], both[1])
    assert not torch.equal(dropped(4, (0, 1)), both)
    assert not torch.equal(dropped(3, (0, 1), path="b"), both)


def test_outside_of_a_step_nothing_is_left_out_and_no_global_generator_is_moved() -> None:
    before = torch.get_rng_state()
    ones = torch.ones(3, 4)
    assert Dropout(Draw(7), share=0.5, path="a")(ones) is ones
    dropped(1, (0,))
    assert torch.equal(torch.get_rng_state(), before)


def test_inputs_that_are_not_the_steps_views_are_an_error() -> None:
    draw = Draw(7)
    with draw.of(1, (0, 1)), pytest.raises(ValueError, match="3 inputs for 2 views"):
        Dropout(draw, share=0.5, path="a")(torch.ones(3, 4))


def test_gradient_checkpointing_sees_the_same_mask_again_and_micro_batches_add_up_to_the_batch() -> None:
    """Layers are computed twice under checkpointing; with another mask the gradients would be those of another step."""
    inputs = torch.randn(4, 8, 32, generator=torch.Generator().manual_seed(1))

    def gradient(groups: list[tuple[int, ...]], *, twice: bool) -> torch.Tensor:
        weight = torch.nn.Parameter(torch.ones(32))
        draw = Draw(7)
        module = Dropout(draw, share=0.3, path="a")

        def layer(x: torch.Tensor) -> torch.Tensor:
            return (module(x) * weight).square().mean(dim=(1, 2))

        for places in groups:
            with draw.of(2, places):
                x = inputs[list(places)]
                out = checkpoint(layer, x, use_reentrant=False) if twice else layer(x)
                torch.autograd.backward(out.sum())
        assert weight.grad is not None
        return weight.grad

    whole = gradient([(0, 1, 2, 3)], twice=False)
    assert torch.equal(gradient([(0, 1, 2, 3)], twice=True), whole)
    assert torch.allclose(gradient([(2, 0), (1, 3)], twice=True), whole, atol=1e-5)
