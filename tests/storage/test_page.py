"""The page of an order: everything in one text, nothing of a person's words as markup, fit for a phone and a desk."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from storage.charts import Line, chart, round_numbers
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
from storage.view import CheckpointView, OrderView

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


def test_the_page_holds_everything_and_asks_nothing_of_any_server(view: OrderView) -> None:
    page = order_page(view)
    assert not re.search(r'(src|href)="(?!data:|#)', page), "no address but its own"
    assert "script" not in outline(page).tags
    for words in (
        "zorvex",
        f"step {CHOSEN}, 4 votes",
        "Recommended scale 0.90",
        "4 people voted for it",
        "Learning rate",
        "ComfyUI",
    ):
        assert words in page
    assert page.count("data:image/png;base64,") == 6
    assert page.count("<svg") == 7


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


def test_what_was_not_measured_is_a_dash_and_never_zero(view: OrderView) -> None:
    page = order_page(view)
    assert re.search(rf'<th scope="row">{PLAN.checkpoint_steps[0]}</th>.*?<td>–</td></tr>', page)


def test_a_chart_marks_the_chosen_step_and_shades_the_band_inside_its_frame() -> None:
    drawn = chart(Line(title="t <x>", points=[(0, 0.1), (1, 0.4), (2, 0.2)], marked=1, band=(-5, 9)))
    assert drawn.count("<circle") == 3
    assert "t &lt;x&gt;" in drawn
    width = float(re.search(r'class="band"[^>]*width="([\d.]+)"', drawn)[1])  # type: ignore[index]
    assert 0 < width <= 340
    assert chart(Line(title="t", points=[])) == ""


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.3, 0.76, (0.2, 0.4, 0.6, 0.8)),
        (0.94, 0.97, (0.94, 0.95, 0.96, 0.97)),
        (1.0, 1.0, (1.0, 1.01)),
        (0.0, 1.29, (0.0, 0.5, 1.0, 1.5)),
    ],
)
def test_the_upright_axis_has_round_numbers_around_all_points(
    low: float, high: float, expected: tuple[float, ...]
) -> None:
    assert round_numbers(low, high) == pytest.approx(expected)


def test_the_band_of_the_scale_is_drawn_with_the_curve_that_it_was_read_from(view: OrderView) -> None:
    page = order_page(view)
    scale_part = page[page.index("How strong to use it") : page.index("How to use it")]
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
    part = page[page.index("How the training went") : page.index("How strong to use it")]
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
    assert "How the training went" not in order_page(replace(view, log=()))


def test_what_is_over_is_told_to_the_second(view: OrderView) -> None:
    page = order_page(replace(view, seconds={"training": 117.4, "start to delivery": 3700.0, "gpu": 59.6}))
    assert "<dt>Training</dt><dd>1 min 57 s</dd>" in page
    assert "<dt>From Start to delivery</dt><dd>1 h 1 min</dd>" in page
    assert "<dt>Computing</dt><dd>1 min 0 s</dd>" in page


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_hangs_over_the_side(view: OrderView, tmp_path: Path, width: int) -> None:
    chromium = shutil.which("chromium")
    assert chromium, "the tests of pages need Debian's chromium: apt-get install chromium"
    (tmp_path / "page.html").write_text(order_page(view), "utf-8")
    (tmp_path / "frame.html").write_text(
        f'<iframe id="f" src="page.html" style="width:{width}px;height:800px;border:0"></iframe><p id="out"></p>'
        "<script>f.onload=()=>{const d=f.contentDocument.documentElement;"
        "out.textContent=`W${d.scrollWidth}/${d.clientWidth}E`}</script>",
        "utf-8",
    )
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--allow-file-access-from-files",
        f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=3000", "--dump-dom", f"file://{tmp_path / 'frame.html'}",
    ]  # fmt: skip
    told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
    found = re.search(r"W(\d+)/(\d+)E", told)
    assert found, told[-500:]
    assert int(found[1]) <= int(found[2])
