"""The page of an order: everything in one text, nothing of a person's words as markup, fit for a phone and a desk."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from storage.axes import LEFT, WIDTH
from storage.domain import stopping
from storage.domain.choice import Because, Choice
from storage.domain.measurement import Flag, Measurement, ScalePoint
from storage.domain.orders import SubjectType
from storage.domain.plan import Departure, Fit, Plan
from storage.domain.recipes import PictureOf, plan_for
from storage.domain.scale import choose_scale
from storage.domain.signs import Sign, SignKind
from storage.domain.training_log import Entry
from storage.page import order_page
from storage.plan_file import written
from storage.plan_reading import read
from storage.stopping import Stop
from storage.view import CheckpointView, OrderView, Shrunk

PLAN = plan_for(
    base="pocket",
    subject_type=SubjectType.CHARACTER,
    class_word="cat",
    trigger="zorvex",
    seed=5,
    pictures=[PictureOf(id=f"p{i}", dhash=i) for i in range(8)],
)
CHOSEN = PLAN.checkpoint_steps[2]
FIT = Fit(device="cpu", precision="fp32", micro_batch=8, gradient_checkpointing=False, threads=2, deterministic=True)


LOG = tuple(
    Entry(
        step=step, loss=0.2, loss_ratio=1.0 - step / 800 + 0.04 * (step % 30 == 0),
        learning_rate=PLAN.learning_rate * min(1, step / 40), steps_per_s=2.5, memory_mib=740,
    )
    for step in range(10, PLAN.steps + 1, 10)
)  # fmt: skip


def picture(k: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (420, 360), (40 * k % 256, 120, 90)).save(out, "PNG")
    return out.getvalue()


def measured(k: int) -> Measurement:
    return Measurement(
        validation_ratio=None if k == 0 else 0.97 - 0.02 * k,
        training_ratio=0.9,
        likeness=0.3 + 0.15 * k,
        adherence=1.02 - 0.03 * k,
        variety=0.9,
        leakage=0.05 + 0.04 * k,
        memorisation=0.4,
        utility=0.5,
        utilities=(0.5, 0.6),
        flags=(Flag.VALIDATION_VETO,) if k == 4 else (),
        seconds=3.0,
    )


@pytest.fixture
def view() -> OrderView:
    """A delivered order with everything that an order can have."""
    points = tuple(
        ScalePoint(scale=s, likeness=0.5, adherence=0.9, leakage=0.1, utility=0.8 - 0.5 * (s - 0.9) ** 2)
        for s in (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
    )
    checkpoints = tuple(
        CheckpointView(
            step=s, votes=(0, 1, 4, 2, 0)[k], measurement=measured(k), grid=f"g{s}", lora=f"l{s}", lora_bytes=2_300_000,
            lora_sha256="ab" * 32,
        )
        for k, s in enumerate(PLAN.checkpoint_steps)
    )  # fmt: skip
    return OrderView(
        id="4k7m2p9x",
        name="Blue <script>alert(1)</script> & cat",
        subject_type="character",
        class_word="cat",
        trigger="zorvex",
        base="pocket",
        stage="delivered",
        created_at=datetime(2025, 1, 2, tzinfo=UTC),
        kept=8,
        refused=1,
        plan=PLAN,
        fits=(FIT,),
        departures=(Departure(step=80, kind="learning_rate_halved", reason="the loss was <b>NaN</b>"),),
        checkpoints=checkpoints,
        choice=Choice(
            step=CHOSEN, because=Because.VOTES, measured_best=PLAN.checkpoint_steps[3], votes=4, runner_up_votes=2
        ),
        scale=choose_scale(points),
        log=LOG,
        signs=(Sign(kind=SignKind.EVERYWHERE, step=128, value=0.75), Sign(kind=SignKind.BLUR, step=160, value=0.3)),
        files={"strip": "strip"},
        way="attach",
        seconds={"queued": 1.2, "training": 110.0},
        pictures={**{f"g{s}": picture(s) for s in PLAN.checkpoint_steps}, "strip": picture(7)},
    )


class Outline(HTMLParser):
    """What a screen reader meets."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.headings: list[int] = []
        self.targets: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        if tag == "img":
            self.images.append(found)
        if re.fullmatch(r"h\d", tag):
            self.headings.append(int(tag[1]))
        self.targets += [href[1:] for href in [found.get("href") or ""] if href.startswith("#")]
        self.ids += [id_ for id_ in [found.get("id")] if id_]


def outline(page: str) -> Outline:
    made = Outline()
    made.feed(page)
    return made


def section(page: str, name: str) -> str:
    """What stands below a heading."""
    return page.partition(f'<h2 id="{name}">')[2].partition("<h2")[0]


def test_the_page_holds_everything_and_asks_nothing_of_any_server(view: OrderView) -> None:
    page = order_page(view)
    assert not re.search(r'(src|href)="(?!data:|#)|url\(', page), "no address but its own"
    assert "script" not in outline(page).tags
    for words in (
        "zorvex",
        f"Step {CHOSEN} of {PLAN.steps} was chosen.",
        f"Step {CHOSEN}, 4 votes",
        "Recommended scale 0.90",
        "4 people voted for it",
        "Learning rate",
        "ComfyUI",
    ):
        assert words in page
    assert page.count("data:image/png;base64,") == 6
    assert page.count("<svg") == 8


def test_the_plan_is_on_the_page_as_a_file_to_train_by_again(view: OrderView) -> None:
    page = order_page(replace(view, plan_file=written(PLAN) + "# <script>"))
    inside = unescape(page.partition("<pre>")[2].partition("</pre>")[0])
    assert Plan(**read(inside.encode()).fields) == PLAN
    assert "<script>" not in page


def test_what_a_person_typed_is_text(view: OrderView) -> None:
    page = order_page(view)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; cat" in page
    assert "<b>NaN" not in page


def test_it_can_be_read_aloud_and_walked_by_keyboard(view: OrderView) -> None:
    seen = outline(order_page(view))
    assert all(image.get("alt") for image in seen.images)
    assert seen.headings[0] == 1
    assert all(b - a <= 1 for a, b in zip(seen.headings, seen.headings[1:], strict=False)), "no level is skipped"
    assert set(seen.targets) <= set(seen.ids), "every jump has a place to land"
    assert len(seen.ids) == len(set(seen.ids))


def test_an_order_that_has_hardly_begun_has_a_page_too(view: OrderView) -> None:
    nothing = {"plan": None, "choice": None, "scale": None, "files": {}, "pictures": {}, "seconds": {}}
    young = replace(view, fits=(), checkpoints=(), stage="queued", **nothing)
    page = order_page(young)
    assert "waiting for the GPU" in page
    assert "None" not in page
    assert "was chosen" not in page
    assert "<nav" not in page, "there is nothing to go to"


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


def test_what_is_over_is_told_to_the_second(view: OrderView) -> None:
    page = order_page(replace(view, seconds={"training": 117.4, "start to delivery": 3700.0, "gpu": 59.6}))
    assert '<dt>Training</dt><dd dir="auto">1 min 57 s</dd>' in page
    assert '<dt>From Start to delivery</dt><dd dir="auto">1 h 1 min</dd>' in page
    assert '<dt>Computing</dt><dd dir="auto">1 min 0 s</dd>' in page


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
    assert '<dt>Measuring them</dt><dd dir="auto">5 s</dd>' in page
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
    assert "sure to about 0.10" in part
    assert "had no part in choosing it: likeness 50" in part
    assert part.count('class="doubt"') == 1


def test_the_chosen_grid_is_shown_first_and_all_where_none_is_chosen_yet(view: OrderView) -> None:
    checked = re.findall(r'id="pick-(\d)"[^>]*checked', order_page(view))
    assert checked == [str(PLAN.checkpoint_steps.index(CHOSEN) + 1)]
    voting = order_page(replace(view, choice=None, scale=None, stage="voting"))
    assert re.findall(r'id="pick-(\d)"[^>]*checked', voting) == [str(len(PLAN.checkpoint_steps) + 1)]


def test_language_and_direction_are_said_and_names_find_their_own(view: OrderView) -> None:
    page = order_page(replace(view, name="חתול כחול"), language="he", direction="rtl")
    assert '<html lang="he" dir="rtl">' in page
    assert '<h1 dir="auto">חתול כחול</h1>' in page
    assert 'lang="en" dir="ltr"' in order_page(view)


def test_pictures_for_the_page_are_small_and_made_once() -> None:
    shrunk = Shrunk(most_bytes=15_000)
    grid = noisy(0)
    small = shrunk.of(grid)
    assert len(small) < len(grid) / 4
    assert Image.open(io.BytesIO(small)).size == (420, 360)
    assert shrunk.of(grid) is small
    for seed in range(1, 4):
        shrunk.of(noisy(seed))
    assert shrunk.of(grid) is not small, "what was not asked for lately makes room"
    tiny = picture(1)
    assert shrunk.of(tiny) is tiny, "a picture that is small already stays as it is"
    large = io.BytesIO()
    Image.new("RGB", (2400, 1200), "teal").save(large, "PNG")
    assert Image.open(io.BytesIO(shrunk.of(large.getvalue()))).size == (1600, 800)


def noisy(seed: int) -> bytes:
    """Soft colour fields with a little grain, as drawn pictures have."""
    rng = np.random.default_rng(seed)
    fields = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((420, 360))
    grainy = np.asarray(fields, np.int16) + rng.integers(-3, 4, (360, 420, 3))
    out = io.BytesIO()
    Image.fromarray(grainy.clip(0, 255).astype(np.uint8)).save(out, "PNG", compress_level=1)
    return out.getvalue()


def test_an_early_end_is_said_in_the_head_and_stands_on_the_curves_that_go_on_to_the_plans_end(view: OrderView) -> None:
    stopped = Stop(step=CHOSEN, steps=400, because=stopping.Because.SETTLED, saved_s=90.0)
    early = Departure(step=CHOSEN, kind="stopped_early", reason=stopped.because.value)
    page = order_page(replace(view, stopped=stopped, departures=(early,), plan=replace(PLAN, steps=400)))
    head = page.partition("<h2")[0]
    assert f"Training ended early, after step {CHOSEN}: by what was measured it has settled" in head
    assert "The plan had 400 steps; about 2 min of GPU time was given back." in head
    part = section(page, "measured")
    assert part.count(">ended early</text>") == 5
    at = float(re.search(r'class="chosen" d="M([\d.]+) ', part)[1])  # type: ignore[index]
    assert at < LEFT + (WIDTH - LEFT) / 2, "what was not trained has its room"
