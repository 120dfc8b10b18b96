"""The demonstration's lines in a terminal: whole words under one margin, times that can be read, no marks."""

from __future__ import annotations

import io
import time

from rich.console import Console

from bot.loopback.demo_screen import MARGIN, Screen, plain


def shown(width: int) -> tuple[Screen, io.StringIO]:
    written = io.StringIO()
    return Screen(Console(file=written, width=width, highlight=False)), written


def test_long_lines_go_on_under_their_margin_and_paths_stay_whole() -> None:
    screen, written = shown(60)
    path = "/a/folder/whose/name/is/longer/than/any/line/of/this/terminal/and/is/copied/from/it"
    screen.say("demo", f"drew eight pictures of a robot that the base has never seen: {path}")
    screen.quote("one two three four five six seven eight nine ten eleven twelve")
    lines = written.getvalue().splitlines()
    assert [path] == [line.strip() for line in lines if "/" in line]
    assert all(line.startswith(" " * MARGIN) or "demo" in line or "│" in line for line in lines)
    assert sum("│" in line for line in lines) == 2


def test_a_time_of_another_day_names_the_day_and_marks_are_left_out() -> None:
    now = int(time.time())
    later = now + 3 * 86400
    text = plain(
        f"until <t:{later}:f> (<t:{later}:R>), from <t:{now}:f>\n-# small\nehwdhqde-plan\nwell-known\n**bold** 00\\.jpg"
    )
    day, clock = time.strftime("%A", time.localtime(later)), time.strftime("%H:%M", time.localtime(now))
    assert plain("<@12>, ready", "Ada") == "@Ada, ready"
    assert text == f"until {day} {clock}, from {clock}\nwell-known\nbold 00.jpg"
