"""What the sections of an order's page say: votes, curves, scale, log, and how sure all of it is."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from storage.axes import LEFT, WIDTH
from storage.domain import stopping
from storage.domain.measurement import Flag
from storage.domain.plan import Departure
from storage.domain.scale import choose_scale
from storage.page import order_page
from storage.stopping import Stop
from storage.view import OrderView
from tests.storage.delivered import CHOSEN, LOG, PLAN, delivered, measured


@pytest.fixture
def view() -> OrderView:
    return delivered()


def section(page: str, name: str) -> str:
    """What stands below a heading."""
    return page.partition(f'<h2 id="{name}">')[2].partition("<h2")[0]


def test_what_was_not_measured_is_a_dash_and_never_zero(view: OrderView) -> None:
    page = order_page(view)
    assert re.search(rf'<th scope="row">{PLAN.checkpoint_steps[0]}</th>(<td>[^–]*</td>){{3}}<td>–</td>', page)


def test_the_band_of_the_scale_is_drawn_with_the_curve_that_it_was_read_from(view: OrderView) -> None:
    page = order_page(view)
    scale_part = section(page, "scale")
    path = re.search(r'class="curve" d="M([^"]+)"', scale_part)
    assert path is not None
    assert len(path[1].split("L")) == 41, "a curve, not straight lines from dot to dot"
    assert scale_part.count("<circle") == 6
    assert "within 5 %" in scale_part
    even = tuple(replace(p, utility=0.5) for p in view.scale.points) if view.scale else ()
    page = order_page(replace(view, scale=choose_scale(even)))
    assert "within 5 %" not in page
    assert 'class="band"' not in page
    assert "1.00 to begin with" in page


def test_the_log_is_a_curve_of_error_and_one_of_rate_without_a_dot_a_step(view: OrderView) -> None:
    page = order_page(view)
    part = section(page, "log")
    error, rate = re.findall(r'class="curve" d="M([^"]+)"', part)
    assert len(error.split("L")) == len(rate.split("L")) == len(LOG)
    heights = [float(point.split()[1]) for point in rate.split("L")]
    assert heights[0] > heights[1] > heights[3] == heights[-1], "warm-up rises, then it is level"
    assert part.count("<circle") == 0
    assert "2.5 steps a second; memory at most 740.0 MiB" in part
    spoken = re.search(r'aria-label="Learning rate\. ([^"]+)"', part)
    assert spoken is not None
    assert len(spoken[1].split("; ")) == 10
    assert "Step 128: what it learned gets into pictures without the trigger" in part
    assert "30 % as sharp as" in part
    assert "Warning signs" not in order_page(replace(view, signs=()))
    assert 'id="log"' not in order_page(replace(view, log=()))


def test_votes_of_people_and_what_was_measured_add_up_to_what_was_chosen_by(view: OrderView) -> None:
    counted = replace(view, choice=replace(view.choice, pseudo_votes=2.0, share=0.4)) if view.choice else view
    part = section(order_page(counted), "votes")
    assert "People gave 7 votes. All that was measured counts as 2 votes together" in part
    cell = r"<td>([\d.–]+)</td>"
    rows = re.findall(rf"{cell}{cell}<td>([\d.]+|cannot win)</td>", part)
    assert [int(people) for people, _, _ in rows] == [0, 1, 4, 2, 0]
    assert sum(float(measured) for _, measured, _ in rows) == pytest.approx(2.0, abs=0.03)
    assert all(float(together) == pytest.approx(int(p) + float(m)) for p, m, together in rows)
    assert "Nobody voted" in section(order_page(unvoted(view)), "votes")
    assert 'id="votes"' not in order_page(replace(unvoted(view), choice=None)), "not before there is something to count"


def unvoted(view: OrderView) -> OrderView:
    return replace(view, checkpoints=tuple(replace(c, votes=0) for c in view.checkpoints))


def test_a_broken_checkpoint_gets_nothing_of_what_was_measured_and_says_that_it_cannot_win(view: OrderView) -> None:
    first, *others = view.checkpoints
    broken = replace(first, measurement=replace(measured(0), flags=(Flag.NAN,)))
    part = section(order_page(replace(view, checkpoints=(broken, *others))), "votes")
    assert part.count("cannot win") == 1
    assert part.index("cannot win") < part.index(f'"row">{others[0].step}')


def test_how_sure_a_number_is_and_where_it_overfits_are_shown_where_they_were_measured(view: OrderView) -> None:
    sure = replace(
        measured(2), intervals={"likeness": (0.52, 0.66)}, validation_error=0.01, gaps=(-0.01, 0.02, 0.04),
        costs={"drawing": 60.0, "validation": 4.0, "statistics": 1.0}, second_likeness=0.41, likeness_by="dinov2", second_by="clip",
    )  # fmt: skip
    checkpoints = tuple(replace(c, measurement=sure) if c.step == CHOSEN else c for c in view.checkpoints)
    page = order_page(replace(view, checkpoints=checkpoints))
    assert f"step {CHOSEN}: 60\u00a0%, from 52\u00a0% to 66\u00a0%" in page
    assert f"step {CHOSEN}: 0.93, from 0.91 to 0.95, training 0.90" in page
    assert "<dd>60\u00a0% <small>52 to 66\u00a0%</small></dd>" in page
    assert "second opinion</th><td>–</td><td>–</td><td>41\u00a0%</td>" in page
    assert "Pictures were looked at by dinov2 and clip." in page
    assert f"Gaps at step {CHOSEN}, clean to noisy: -0.010, +0.020, +0.040" in page
    assert "<dt>Measuring them</dt><dd><bdi>5 s</bdi></dd>" in page
    plain = order_page(view)
    assert "Learned by heart, by noise" not in plain
    assert "Likeness, a second opinion" not in plain, "a row of dashes says nothing"
    assert "Whiskers" not in plain
    assert "Measuring them" not in plain


def test_where_the_training_left_its_plan_stands_on_every_curve_over_steps(view: OrderView) -> None:
    page = order_page(view)
    assert page.count(">rate halved</text>") == 7
    assert 'class="event"' not in section(page, "scale")


def test_how_sure_the_scale_is_and_what_it_gives_elsewhere_is_said_where_it_was_measured(view: OrderView) -> None:
    assert view.scale is not None
    sure = replace(view.scale, between=(0.8, 1.0), reported=view.scale.points[2])
    part = section(order_page(replace(view, scale=sure)), "scale")
    assert "would have been between 0.80 and 1.00" in part
    assert "had no part in choosing it: likeness 50" in part
    assert part.count('class="doubt"') == 1


def test_an_early_end_is_said_in_the_head_and_stands_on_the_curves_that_go_on_to_the_plans_end(view: OrderView) -> None:
    stopped = Stop(step=CHOSEN, steps=400, because=stopping.Because.SETTLED, saved_s=90.0)
    early = Departure(step=CHOSEN, kind="stopped_early", reason=stopped.because)
    page = order_page(replace(view, stopped=stopped, departures=(early,), plan=replace(PLAN, steps=400)))
    head = page.partition("<h2")[0]
    assert f"Training ended early, after step {CHOSEN}: by what was measured it has settled" in head
    assert "The plan had 400 steps; about 2 min of GPU time was given back." in head
    part = section(page, "measured")
    assert part.count(">ended early</text>") == 5
    at = float(re.search(r'class="chosen" d="M([\d.]+) ', part)[1])  # type: ignore[index]
    assert at < LEFT + (WIDTH - LEFT) / 2, "what was not trained has its room"
