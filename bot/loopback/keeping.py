"""Keeping a world over restarts: one JSON file beside the folder of files. Written whole, then renamed."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import types
import typing
from typing import TYPE_CHECKING, Any

from bot.loopback.world import World

if TYPE_CHECKING:
    from pathlib import Path

    from bot.loopback.snowflakes import Clock


def save(world: World, clock: Clock, path: Path) -> None:
    """Write a world; a kill in between leaves the old one. Only its owner may read it: the token is in it."""
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"offset_s": clock.offset_s, "world": dataclasses.asdict(world)}, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def load(path: Path, clock: Clock) -> World:
    """Read a world and set its clock.

    Raises:
        TypeError: the file has a key that this version does not know.
    """
    kept = json.loads(path.read_text())
    clock.offset_s = kept["offset_s"]
    world: World = _read(World, kept["world"])
    return world


def _read(kind: Any, value: Any) -> Any:  # noqa: ANN401  # a type of any shape
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        make: Any = kind
        hints = _hints(make)
        return make(**{k: _read(hints.get(k, Any), v) for k, v in value.items()})
    if origin is dict:
        to_key = inner[0] if inner[0] is int else str
        return {to_key(k): _read(inner[1], v) for k, v in value.items()}
    if origin is list:
        return [_read(inner[0], v) for v in value]
    if origin in (types.UnionType, typing.Union) and value is not None:
        made = [i for i in inner if dataclasses.is_dataclass(i)]
        return _read(made[0], value) if made else value
    return value


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:  # noqa: ANN401
    return typing.get_type_hints(kind)
