"""Plan, fit and departures: what a resume replays."""

from __future__ import annotations

from storage.domain.plan import Departure, Fit, learning_rate_factor, micro_batch

FIT = Fit(device="cpu", precision="fp32", micro_batch=8, gradient_checkpointing=False, threads=2, deterministic=True)


def departure(step: int, kind: str) -> Departure:
    return Departure(step=step, kind=kind, reason="test")  # type: ignore[arg-type]


def test_a_fit_comes_back_from_json() -> None:
    assert Fit.from_json(FIT.to_json()) == FIT


def test_the_rate_halves_from_the_step_of_each_departure_on() -> None:
    left = (
        departure(10, "learning_rate_halved"),
        departure(20, "learning_rate_halved"),
        departure(15, "micro_batch_halved"),
    )
    assert [learning_rate_factor(left, step) for step in (1, 9, 10, 19, 20, 99)] == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_the_micro_batch_halves_and_never_reaches_nothing() -> None:
    left = tuple(departure(step, "micro_batch_halved") for step in (5, 6, 7, 8, 9))
    assert [micro_batch(FIT, left, step) for step in (4, 5, 6, 7, 8, 9)] == [8, 4, 2, 1, 1, 1]
