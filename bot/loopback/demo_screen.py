"""What the terminal shows of the demonstration: who does what, with the seconds since the start, and bars that move."""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

COLOURS = {"bot": "magenta", "worker": "green", "demo": "cyan"}
"""Everybody else is a member and yellow."""
MARK = re.compile(r"[a-z0-9]{8}-(plan|sheet|choice|card)")
"""The line by which the bot finds its own message again; it tells a reader nothing."""
MARGIN = 19
"""Characters before what is said: seconds and who."""
QUOTE = "[dim]                 │[/dim] "
NARROWEST = 24


def plain(text: str, reader: str = "you") -> str:
    """What a member reads, without Discord's marks: times as times, no bold, no small lines; `reader` is whom it mentions."""
    timed = re.sub(r"<t:(\d+):R>", "", re.sub(r"<t:(\d+):f>", lambda m: _time(int(m[1])), text)).replace(" ()", "")
    timed = re.sub(r"<@\d+>", f"@{reader}", timed)
    lines = (line for line in timed.splitlines() if line.strip() and not line.startswith("-# "))
    kept = [line for line in lines if not MARK.fullmatch(line)]
    return re.sub(r"\\(\W)\u200b?", r"\1", "\n".join(kept).replace("**", ""))


def _time(stamp: int) -> str:
    """The time of day, with the day where it is another one."""
    at = time.localtime(stamp)
    today = at[:3] == time.localtime()[:3]
    return time.strftime("%H:%M" if today else "%A %H:%M", at)


class Screen:
    """Lines that stay, and under them the bars of what goes on now."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.began = time.monotonic()
        self._bars = Progress(
            TextColumn("        {task.description:<22}"),
            BarColumn(bar_width=36),
            TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[note]}"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
        )
        self._bar: TaskID | None = None
        self._named = ""

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def say(self, who: str, what: str) -> None:
        """One line of the trip."""
        colour = COLOURS.get(who, "yellow")
        seconds = f"{time.monotonic() - self.began:6.1f}s"
        self._print(f"[dim]{seconds}[/dim] [{colour}]{who:>7}[/{colour}]  ", " " * MARGIN, what)

    def quote(self, text: str, reader: str = "you", lines: int = 40) -> None:
        """What was said on Discord, set apart."""
        for line in plain(text, reader).splitlines()[:lines]:
            self._print(QUOTE, QUOTE, line)

    def _print(self, first: str, later: str, text: str) -> None:
        """A text under its margin; words and paths stay whole."""
        room = max(NARROWEST, self.console.width - MARGIN)
        lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
        for start, line in zip([first, *[later] * (len(lines) - 1)], lines, strict=True):
            self._bars.console.print(f"{start}{escape(line)}", soft_wrap=True)

    def bar(self, name: str, done: float, total: float, note: str = "") -> None:
        """Move the bar of what goes on; another name begins another bar."""
        if name != self._named:
            self.no_bar()
            self._bar, self._named = self._bars.add_task(name, total=max(total, 1), note=""), name
        if self._bar is not None:
            self._bars.update(self._bar, completed=done, total=max(total, 1), note=escape(note))

    def no_bar(self) -> None:
        """Nothing goes on that has a length."""
        if self._bar is not None:
            self._bars.remove_task(self._bar)
        self._bar, self._named = None, ""

    def summary(self, title: str, rows: Iterable[tuple[str, str]]) -> None:
        """The short summary at the end."""
        table = Table(title=title, show_header=False, title_justify="left", title_style="bold", pad_edge=False)
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in rows:
            table.add_row(name, escape(value))
        self._bars.console.print()
        self._bars.console.print(table)
