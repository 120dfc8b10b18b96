"""The page of an order as the bot serves it, in a real browser: quick, readable, walked by keyboard, on a phone and at a desk."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web

from bot.links import Links
from bot.parts import Parts
from bot.settings import BotSettings
from bot.web import application
from storage import view
from storage.artifacts import Artifacts
from storage.database import Database, migrate
from storage.evaluation import Contestant, Evaluation, Scores, values_of
from storage.evaluation_page import evaluation_page
from tests.bot.delivered_order import ORDER, STEPS, drawn, put_order, put_pictures
from tests.bot.loopback.browser import Page, opened

PICTURES = "Promise.all([...document.images].map(i => i.decode()))"
TOO_WIDE = """[...document.querySelectorAll('html, body, main, section, table, figure, fieldset, dl, svg, pre')]
  .filter(e => e.checkVisibility() && !e.closest('[tabindex]') && (e.getBoundingClientRect().right > innerWidth + 1
    || e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX === 'hidden'))
  .map(e => `${e.tagName}.${e.className} ${e.scrollWidth} > ${e.clientWidth}`)
  .concat(document.documentElement.scrollWidth > innerWidth ? ['the page'] : [])"""
# Ratios by WCAG 2.2, "contrast (minimum)", of every piece of text to the first ground below it that is not clear.
TOO_PALE = """(() => {
  const parts = c => { const [r, g, b, a = 1] = c.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
  const line = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * line(r) + 0.7152 * line(g) + 0.0722 * line(b);
  const ground = e => { for (; e; e = e.parentElement) {
    const c = parts(getComputedStyle(e).backgroundColor); if (c[3] === 1) return c; } return [255, 255, 255, 1]; };
  const found = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n = walk.nextNode(); n; n = walk.nextNode()) {
    const e = n.parentElement;
    if (!n.data.trim() || !e.checkVisibility() || e.closest('.unseen, style')) continue;
    const style = getComputedStyle(e);
    const ink = light(parts(e.closest('svg') ? style.fill : style.color)), paper = light(ground(e));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    if (ratio < 4.5) found.add(`${n.data.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return [...found];
})()"""
TOO_SMALL = """[...document.querySelectorAll('button, label, summary, nav a')].filter(e => e.checkVisibility())
  .map(e => [e.textContent, e.getBoundingClientRect()]).filter(([, r]) => r.height < 24 || r.width < 24).map(([t]) => t)"""
OUTLINED = """(() => { const e = document.activeElement, shown = e.matches('input') ? e.labels[0] : e;
  const r = shown.getBoundingClientRect();
  return [e.id || e.className || e.textContent.slice(0, 30), getComputedStyle(shown).outlineStyle !== 'none' && r.right > 0
    && r.bottom > 0 && r.left < innerWidth && r.top < innerHeight]; })()"""
SHOWN = "[...document.querySelectorAll('.sheets figure')].filter(f => f.checkVisibility()).map(f => f.id)"
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowRight": 39}


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where the pages are, and what was asked for there."""

    order: str
    comparison: str
    asked: list[str]


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Site]:
    """A delivered order behind the bot's own routes, and beside it the page of a comparison."""
    settings = BotSettings(_env_file=None, token="t" * 30, data_dir=folder)  # type: ignore[call-arg]  # pydantic-settings takes it
    migrate(settings)
    database, artifacts = Database(settings), Artifacts(settings)
    await database.transact(put_order)
    await put_pictures(artifacts)
    unasked = cast("Any", None)  # a page needs neither the engine nor Discord
    parts = Parts(settings=settings, database=database, engine=unasked, artifacts=artifacts, discord=unasked)
    links, asked = Links(key=b"k" * 32, address=""), list[str]()
    app = application(parts, links)
    app.middlewares.append(noting(asked))
    app.router.add_get("/comparison", compared)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield Site(order=address + links.page(ORDER), comparison=f"{address}/comparison", asked=asked)
    finally:
        await runner.cleanup()
        database.close()


def noting(asked: list[str]) -> Any:
    """Keeps what was asked for."""

    @web.middleware
    async def note(request: web.Request, handler: Any) -> web.StreamResponse:
        asked.append(request.path)
        return cast("web.StreamResponse", await handler(request))

    return note


async def compared(_: web.Request) -> web.Response:
    """The page of a comparison of two LoRAs."""
    scores = Scores(
        text=[0.30, 0.28], picture=[0.5, 0.52], likeness=[0.1, 0.2], contrast=[0.05, 0.06], spread=[0.2, 0.3]
    )
    contestants = [
        Contestant(
            name=name, file=file, sha256="ab" * 32, scale=1.0, trigger="zorvex", class_word="cat", pictures=4, seconds=2.0,
            scores=scores, values=values_of(scores, scores),
        )
        for name, file in (("pocket", None), ("a-lora-with-a-long-name-" * 4, "one.safetensors"))
    ]  # fmt: skip
    found = Evaluation(
        base="pocket", labels=["a cat", "a cat at sea"], lines=["a cat", "a cat at sea"], seeds=[[1, 2]] * 2,
        training_pictures=8, eyed=True, contestants=contestants,
    )  # fmt: skip
    small = drawn(3, (96, 96))
    page = evaluation_page(found, {(row, column): small for row in range(2) for column in range(2)})
    return web.Response(text=page, content_type="text/html")


async def test_the_pages_in_a_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One browser for all of it: a browser takes longer to start than everything that is looked at here."""
    async with served(tmp_path / "data") as site, opened(tmp_path / "profile") as page:
        await is_there_within_two_seconds(page, site, monkeypatch)
        await can_be_walked_by_keyboard(page)
        for url in (site.order, site.comparison):
            await is_readable(page, url)
        assert page.complaints == []
        assert {path for path in site.asked if "." in path} == set(), "nothing but pages was asked for"


async def is_there_within_two_seconds(page: Page, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the click to the last decoded grid, with nothing made before.

    Seconds of a machine that has time for it: on a busy one they are longer, as those of any other work are.
    """
    took = []
    for _ in range(3):
        monkeypatch.setattr(view, "_SHRUNK", view.Shrunk())
        before = busyness()
        await page.show(site.order, width=1280, height=800)
        await page.until("document.readyState === 'complete' && document.images.length === 7")
        await page.run("document.querySelector('#pick-7').checked = true")
        seconds = await page.run(f"{PICTURES}.then(() => performance.now() / 1000)")
        took.append(seconds * 2 / (before + busyness()))
        assert await page.run("performance.getEntriesByType('resource').length") == 0
        if took[-1] <= 2.0:
            break
    assert min(took) <= 2.0, took
    sent, page_bytes = await page.run(
        "(n => [n.encodedBodySize, n.decodedBodySize])(performance.getEntriesByType('navigation')[0])"
    )
    assert sent < 0.8 * page_bytes


def busyness() -> float:
    """How much longer than its own time a piece of work takes here and now: 1.0 on a machine that does nothing else."""
    wall, own = time.perf_counter(), time.process_time()
    for _ in range(100):
        hashlib.sha256(bytes(1 << 20)).digest()
    return max(1.0, (time.perf_counter() - wall) / (time.process_time() - own))


async def can_be_walked_by_keyboard(page: Page) -> None:
    await page.do(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}]
    )  # nothing glides: what is focused is in sight at once
    await page.run("document.querySelector('#pick-3').checked = true")
    assert await page.run(SHOWN) == ["step-96"]
    stops = [await step_on(page) for _ in range(12)]
    assert all(seen for _, seen in stops), stops
    assert stops[0][0] == "skip"
    assert [name for name, _ in stops[-3:]] == ["pick-3", "zoom", "press"], "sections, then the grids"
    await page.run("document.querySelector('#pick-3').focus()")
    await press(page, "ArrowRight")
    assert await page.run(SHOWN) == ["step-128"]
    await press(page, "Tab")
    before = await page.run("scrollY")
    await press(page, "Enter")
    assert await page.run("document.querySelector('#grids').matches(':popover-open')")
    wide, high = await page.run("(r => [r.width, r.height])(document.querySelector('#grids').getBoundingClientRect())")
    assert (wide, high) == (1280, 800)
    assert await page.run(
        "document.activeElement.checkVisibility() && document.activeElement.innerText.startsWith('Close')"
    )
    for _ in range(5):
        await press(page, "Tab")
        behind = "document.activeElement !== document.body && !document.activeElement.closest('#grids')"
        assert not await page.run(behind), "nothing behind the large grids can be come to"
    await page.run("document.querySelector('#pick-4').focus()")
    await press(page, "ArrowRight")
    assert await page.run(SHOWN) == ["step-160"], "the large grids are flipped too"
    assert await page.run("document.querySelector('#step-160 img').getBoundingClientRect().width") > 900
    await press(page, "Escape")
    assert not await page.run("document.querySelector('#grids').matches(':popover-open')")
    assert await page.run("scrollY") == before, "one stands where one stood"
    assert await page.run("document.activeElement.closest('#grids') !== null"), "and goes on from there"


async def is_readable(page: Page, url: str) -> None:
    await page.show(url, width=1280)
    await page.until("document.readyState === 'complete' && document.images.length > 3")
    await page.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    for width, scheme in ((320, "light"), (390, "dark"), (1280, "light"), (1280, "dark")):
        await page.do(
            "Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=width < 700
        )
        await page.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        assert await page.run(TOO_WIDE) == [], (url, width)
        assert await page.run(TOO_PALE) == [], (url, width, scheme)
        assert await page.run(TOO_SMALL) == [], (url, width)
    await page.do("Emulation.setEmulatedMedia", media="print")
    assert len(await page.run(SHOWN)) in {0, len(STEPS)}, "paper shows every grid"
    await page.do("Emulation.setEmulatedMedia", media="")


async def step_on(page: Page) -> tuple[str, bool]:
    """What the next Tab comes to, and whether that can be seen."""
    await press(page, "Tab")
    name, seen = await page.run(OUTLINED)
    return str(name), bool(seen)


async def press(page: Page, key: str) -> None:
    known = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
    await page.do("Input.dispatchKeyEvent", type="keyDown", **known, **({"text": "\r"} if key == "Enter" else {}))
    await page.do("Input.dispatchKeyEvent", type="keyUp", **known)
