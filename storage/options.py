"""What a verb of `lorasmith` takes, its help, and the answer to a wrong option."""

from __future__ import annotations

import argparse
import difflib
import sys
import textwrap
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings

WRONG_USE = 2
WIDTH = 100
NOT_TAKEN = "unrecognized arguments: "
"""How argparse begins the message whose rest are words that it has no use for."""


class Options(argparse.ArgumentParser):
    """The options of one verb. A wrong one is answered with the one that was probably meant, and with where the help is."""

    def __init__(self, verb: str, says: str, *, settings: type[BaseSettings] | None = None) -> None:
        super().__init__(
            prog=f"lorasmith {verb}",
            description=textwrap.fill(says, WIDTH),
            epilog=settings_help(settings) if settings else None,
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=WIDTH),
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """One or two lines and exit code 2, instead of the whole usage."""
        said = self._not_taken(message.removeprefix(NOT_TAKEN)) if message.startswith(NOT_TAKEN) else message
        sys.stderr.write(f"{self.prog}: {said}.\n`{self.prog} --help` shows what it takes.\n")
        sys.exit(WRONG_USE)

    def _not_taken(self, words: str) -> str:
        options = [name for action in self._actions for name in action.option_strings]
        word = next((w for w in words.split() if w.startswith("-")), words).partition("=")[0]
        near = difflib.get_close_matches(word, options, n=1, cutoff=0.6)
        return f"it does not take {words}" + (f"; {near[0]} is near to it" if near else "")


def settings_help(kind: type[BaseSettings]) -> str:
    """Every setting of a class with what it means and what holds without it; its own ones before those it shares."""
    shared = {name for parent in kind.__mro__[1:] for name in getattr(parent, "model_fields", {})}
    names = sorted(kind.model_fields, key=lambda name: name in shared)
    lines = [line for name in names for line in _setting(kind, name)]
    return "\n".join(("settings, as variables or as lines NAME=value of the file .env in the present folder:", *lines))


def _setting(kind: type[BaseSettings], name: str) -> list[str]:
    field = kind.model_fields[name]
    said = " ".join((field.description or "").split())
    if field.is_required():
        said = f"{said} Needed."
    elif field.default_factory is None and field.default not in (None, "", (), frozenset()):
        said = f"{said} [{field.default}]"
    text = textwrap.fill(said.strip(), WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return [f"  LORASMITH_{name.upper()}", *([text] if said.strip() else [])]
