"""Buttons and modal submits, found by their custom_id alone, so that they work after a restart and hold no memory.

discord.py keeps views and modals in memory and drops what it does not know; here nothing is kept with it. A custom_id is
`verb:argument:argument`, and `on_interaction` asks this table. What nobody knows is answered too: no press "fails".
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import discord

Handler = Callable[[discord.Interaction[Any], tuple[str, ...]], Awaitable[None]]
"""Answers one press or submit; gets the custom_id's arguments."""

_SHAPE = re.compile(r"([a-z]+)((?::[^:]*)*)")


class Presses:
    """The table from verb to handler."""

    def __init__(self) -> None:
        self._buttons: dict[str, Handler] = {}
        self._modals: dict[str, Handler] = {}

    def on_button(self, verb: str, handler: Handler) -> None:
        """What a button (or select) named `verb:...` does."""
        self._buttons[verb] = handler

    def on_modal(self, verb: str, handler: Handler) -> None:
        """What submitting the modal named `verb:...` does."""
        self._modals[verb] = handler

    def find(self, interaction: discord.Interaction[Any]) -> tuple[Handler, tuple[str, ...]] | None:
        """The handler for a component press or modal submit with its arguments; None where nobody knows it."""
        table = self._modals if interaction.type is discord.InteractionType.modal_submit else self._buttons
        match = _SHAPE.fullmatch(custom_id_of(interaction))
        handler = table.get(match[1]) if match else None
        return None if match is None or handler is None else (handler, tuple(match[2].split(":")[1:]))


def custom_id_of(interaction: discord.Interaction[Any]) -> str:
    """The custom_id of a component press or modal submit; empty for anything else."""
    data: Any = interaction.data or {}
    return str(data.get("custom_id", ""))


def button(
    label: str, *where: str, style: discord.ButtonStyle = discord.ButtonStyle.secondary, emoji: str | None = None
) -> discord.ui.Button[Any]:
    """A button whose custom_id is `verb:argument:...`."""
    return discord.ui.Button(label=label, custom_id=":".join(where), style=style, emoji=emoji)


def row_of(buttons: Iterable[discord.ui.Item[Any]]) -> discord.ui.View:
    """A view to send. It is stopped beforehand, so that discord.py keeps nothing of it."""
    view = discord.ui.View(timeout=None)
    for item in buttons:
        view.add_item(item)
    view.stop()
    return view


def forgettable(modal: discord.ui.Modal) -> discord.ui.Modal:
    """A modal that discord.py does not remember: its submit comes to `on_interaction` like after a restart."""
    modal.stop()
    return modal
