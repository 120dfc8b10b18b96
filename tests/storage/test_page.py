"""The page of an order: everything in one text, nothing of a person's words as markup, fit for a phone and a desk."""

from __future__ import annotations

import asyncio
import io
import math
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from threading import Barrier

import numpy as np
import pytest
from PIL import Image

from storage.domain.plan import Plan
from storage.page import order_page
from storage.plan_file import written
from storage.plan_reading import read
from storage.speech import speaking
from storage.view import OrderView, Shrunk, _small
from tests.storage.delivered import CHOSEN, PLAN, delivered, picture


@pytest.fixture
def view() -> OrderView:
    return delivered()


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


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_checkpoint_whose_numbers_went_wrong_has_dashes_and_the_page_stays(view: OrderView, wrong: float) -> None:
    first, *others = view.checkpoints
    assert first.measurement is not None
    spoilt = replace(
        first.measurement, likeness=wrong, adherence=wrong, leakage=wrong, variety=wrong, gaps=(wrong, 0.1)
    )
    spoilt = replace(spoilt, validation_ratio=wrong, training_ratio=wrong, utility=wrong, utilities=(wrong, wrong))
    page = order_page(replace(view, checkpoints=(replace(first, measurement=spoilt), *others)))
    assert re.search(r"<dt>Likeness</dt><dd>–</dd>", page)
    assert not re.search(r"\b(nan|inf)\b", page)


def test_what_is_over_is_told_to_the_second(view: OrderView) -> None:
    page = order_page(replace(view, seconds={"training": 117.4, "start to delivery": 3700.0, "gpu": 59.6}))
    assert "<dt>Training</dt><dd><bdi>1 min 57 s</bdi></dd>" in page
    assert "<dt>From Start to delivery</dt><dd><bdi>1 h 1 min</bdi></dd>" in page
    assert "<dt>Computing</dt><dd><bdi>1 min 0 s</bdi></dd>" in page


def test_the_chosen_grid_is_shown_first_and_all_where_none_is_chosen_yet(view: OrderView) -> None:
    checked = re.findall(r'id="pick-(\d)"[^>]*checked', order_page(view))
    assert checked == [str(PLAN.checkpoint_steps.index(CHOSEN) + 1)]
    voting = order_page(replace(view, choice=None, scale=None, stage="voting"))
    assert re.findall(r'id="pick-(\d)"[^>]*checked', voting) == [str(len(PLAN.checkpoint_steps) + 1)]


def test_the_page_is_english_whoever_opens_it_and_names_find_their_own_direction(view: OrderView) -> None:
    with speaking("he"):
        page = order_page(replace(view, name="חתול כחול"))
    assert '<html lang="en" dir="ltr">' in page
    assert "<h1><bdi>חתול כחול</bdi></h1>" in page
    assert page == order_page(replace(view, name="חתול כחול"))


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


def test_a_picture_that_several_ask_for_at_once_is_decoded_once() -> None:
    shrunk, grid, together = Shrunk(), noisy(0), Barrier(4)

    def ask() -> bytes:
        together.wait(5)
        return shrunk.of(grid)

    with ThreadPoolExecutor(4) as pool:
        made = [asked.result() for asked in [pool.submit(ask) for _ in range(4)]]
    assert all(small is made[0] for small in made)


async def test_pictures_of_all_pages_are_opened_one_after_the_other() -> None:
    artifacts = Counted()
    keys = [str(n) for n in range(6)]
    found = await asyncio.gather(*(_small(artifacts, key) for key in keys))
    assert found == [picture(1)] * 6
    assert artifacts.most == 1


class Counted:
    """A store that counts how many read at once."""

    now = most = 0

    async def read(self, _key: str, _max_bytes: int) -> bytes:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        return picture(1)


def noisy(seed: int) -> bytes:
    """Soft colour fields with a little grain, as drawn pictures have."""
    rng = np.random.default_rng(seed)
    fields = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((420, 360))
    grainy = np.asarray(fields, np.int16) + rng.integers(-3, 4, (360, 420, 3))
    out = io.BytesIO()
    Image.fromarray(grainy.clip(0, 255).astype(np.uint8)).save(out, "PNG", compress_level=1)
    return out.getvalue()
