"""Which names each tool accepts, per architecture: data under storage/keymaps that the tools' own code produced.

Every tool's entry says from which commit and how its list was made. A tool that could not be asked is in the data
without layouts, and is reported as "not checked".
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from storage.lora_file.layouts import Component


@dataclass(frozen=True, kw_only=True)
class Taken:
    """One way of naming that a tool takes: a module of the list followed by one of the suffixes."""

    suffixes: tuple[str, ...]
    modules: frozenset[str]

    def holds(self, key: str) -> bool:
        """Whether the tool uses a tensor of this name."""
        return any(key.endswith(suffix) and key[: -len(suffix)] in self.modules for suffix in self.suffixes)


@dataclass(frozen=True, kw_only=True)
class Tool:
    """One program that loads LoRAs. Without layouts it was not asked, and `how` says why."""

    id: str
    name: str
    repository: str
    commit: str
    date: str  # of the commit, "" for a release
    how: str  # how the list was made, in words
    refuses: str  # what makes it refuse the whole file, or "nothing"
    layouts: tuple[Taken, ...]

    @property
    def checked(self) -> bool:
        """Whether there is anything to compare with."""
        return bool(self.layouts)

    @property
    def draws(self) -> bool:
        """Whether people make pictures with it; sd-scripts reads a LoRA to train it further or to merge it."""
        return self.id != "sd-scripts"

    def takes(self, ending: str) -> bool:
        """Whether a tensor of this kind (".lokr_w1") was among those that it was asked about and took."""
        return any(ending in layout.suffixes for layout in self.layouts)

    def dropped(self, keys: Iterable[str]) -> list[str]:
        """The keys that it would not use. A file is read in one layout: the one that leaves the fewest."""
        every = list(keys)
        left = [[key for key in every if not layout.holds(key)] for layout in self.layouts]
        return min(left, key=len)


@dataclass(frozen=True, kw_only=True)
class Native:
    """What the original code calls a module of diffusers."""

    path: str
    start: int | None  # first row within a matrix that several modules share (q, k, v); None for a module of its own


@dataclass(frozen=True, kw_only=True)
class KeyMap:
    """An architecture's modules, with the shapes of their weights, and what each tool calls them."""

    architecture: str
    base: str
    made: str  # day on which the lists were made
    modules: Mapping[Component, Mapping[str, tuple[int, ...]]]
    native: Mapping[Component, Mapping[str, Native]]
    tools: tuple[Tool, ...]

    def names(self) -> frozenset[str]:
        """Every module name that some tool accepts, in any layout."""
        return frozenset().union(*(layout.modules for tool in self.tools for layout in tool.layouts))


@cache
def keymap(name: str) -> KeyMap:
    """The map stored as storage/keymaps/<name>.json or .json.gz."""
    folder = files("storage") / "keymaps"
    packed = folder / f"{name}.json.gz"
    raw = gzip.decompress(packed.read_bytes()) if packed.is_file() else (folder / f"{name}.json").read_bytes()
    return _keymap(json.loads(raw))


def unchecked(name: str) -> frozenset[str]:
    """The ids of the tools that were not asked about an architecture: nobody knows here whether they load its files."""
    return frozenset(tool.id for tool in keymap(name).tools if not tool.checked)


def _keymap(data: Mapping[str, Any]) -> KeyMap:
    return KeyMap(
        architecture=data["architecture"],
        base=data["base"],
        made=data["made"],
        modules={
            part: {path: tuple(shape) for path, shape in modules.items()} for part, modules in data["modules"].items()
        },
        native={
            part: {path: Native(path=to[0], start=to[1] if len(to) > 1 else None) for path, to in modules.items()}
            for part, modules in data.get("native", {}).items()
        },
        tools=tuple(_tool(entry) for entry in data["tools"]),
    )


def _tool(entry: Mapping[str, Any]) -> Tool:
    return Tool(
        id=entry["id"],
        name=entry["name"],
        repository=entry["repository"],
        commit=entry["commit"],
        date=entry["date"],
        how=entry["how"],
        refuses=entry["refuses"],
        layouts=tuple(
            Taken(suffixes=tuple(layout["suffixes"]), modules=frozenset(layout["modules"]))
            for layout in entry["layouts"]
        ),
    )
