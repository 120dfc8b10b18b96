"""Registered commands: the rules of their definitions, and filling them in as Discord's client lets a member do.

Rules: https://discord.com/developers/docs/interactions/application-commands
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from bot.loopback import objects
from bot.loopback.failures import Refusal, invalid
from bot.loopback.permissions import BITS
from bot.loopback.world import Command

if TYPE_CHECKING:
    from bot.loopback.service import Service
    from bot.loopback.world import JSON

SLASH, ON_USER, ON_MESSAGE = 1, 2, 3
SUB, GROUP, STRING, INTEGER, BOOLEAN, USER, CHANNEL, ROLE, MENTIONABLE, NUMBER, ATTACHMENT = range(1, 12)
NAME = re.compile(r"[-_'\w]{1,32}")
MOST = {SLASH: 100, ON_USER: 15, ON_MESSAGE: 15}
MAX_CREATES, MAX_CHARACTERS = 200, 8000


def replace_all(service: Service, guild_id: int | None, definitions: list[JSON]) -> list[JSON]:
    """Bulk overwrite: same names keep their ids, the rest is new or gone.

    Raises:
        Refusal: 50035 for a bad definition, 30034 after 200 creations in a day.
    """
    world = service.world
    for index, definition in enumerate(definitions):
        _check(definition, index)
    _check_counts(definitions)
    old = {(c.kind, c.definition["name"]): c for c in world.commands.values() if c.guild_id == guild_id}
    made: list[Command] = []
    for definition in definitions:
        known = old.get((definition.get("type") or SLASH, definition["name"]))
        if known is None:
            world.commands_created[guild_id or 0] = world.commands_created.get(guild_id or 0, 0) + 1
        if world.commands_created.get(guild_id or 0, 0) > MAX_CREATES:
            raise Refusal(30034)
        same = known is not None and known.definition == definition
        version = known.version if known is not None and same else service.ids.new()
        number = known.id if known is not None else service.ids.new()
        made.append(Command(id=number, guild_id=guild_id, version=version, definition=definition))
    for gone in old.values():
        del world.commands[gone.id]
    world.commands |= {c.id: c for c in made}
    service.tell_people("COMMANDS", {"guild_id": str(guild_id) if guild_id else None})
    return [objects.command(world, c) for c in made]


def _check(definition: JSON, index: int) -> None:
    kind, name = definition.get("type") or SLASH, definition["name"]
    if kind == SLASH:
        _check_name(name, f"{index}.name")
        if not definition.get("description"):
            raise invalid(f"{index}.description", "This field is required")
        if (
            len(json.dumps(definition, ensure_ascii=False)) > MAX_CHARACTERS * 2
            or _characters(definition) > MAX_CHARACTERS
        ):
            raise invalid(f"{index}", "Command exceeds maximum size (8000)")
    elif definition.get("description") or definition.get("options"):
        raise invalid(f"{index}", "Context menu commands cannot have description or options")
    _check_options(definition.get("options") or [], f"{index}.options")


def _check_options(options: list[JSON], path: str) -> None:
    names = [o["name"] for o in options]
    if len(names) != len(set(names)):
        raise invalid(path, "Application command option names must be unique")
    optional_seen = False
    for number, option in enumerate(options):
        here = f"{path}.{number}"
        _check_name(option["name"], f"{here}.name")
        if option["type"] in (SUB, GROUP):
            _check_options(option.get("options") or [], f"{here}.options")
            continue
        if option.get("required") and optional_seen:
            raise invalid(f"{here}.required", "Required options must be placed before non-required options")
        optional_seen = optional_seen or not option.get("required")


def _check_name(name: str, path: str) -> None:
    if not NAME.fullmatch(name) or name != name.lower():
        raise invalid(path, "Command name is invalid")


def _characters(part: JSON) -> int:
    own = len(part.get("name", "")) + len(str(part.get("description") or ""))
    choices = sum(len(c["name"]) + len(str(c["value"])) for c in part.get("choices") or [])
    return own + choices + sum(_characters(o) for o in part.get("options") or [])


def _check_counts(definitions: list[JSON]) -> None:
    seen = [(d.get("type") or SLASH, d["name"]) for d in definitions]
    if len(seen) != len(set(seen)):
        raise invalid("", "Application command names must be unique")
    for kind, most in MOST.items():
        if sum(k == kind for k, _ in seen) > most:
            raise invalid("", f"at most {most} commands of this type")


def find(service: Service, guild_id: int | None, kind: int, name: str) -> Command:
    """The command that a member in this place would run: the server's own before the global one.

    Raises:
        Refusal: 10063 where none is registered for the place.
    """
    wanted = [c for c in service.world.commands.values() if c.kind == kind and c.definition["name"] == name]
    in_guild = [c for c in wanted if c.guild_id is not None and c.guild_id == guild_id]
    everywhere = [c for c in wanted if c.guild_id is None and _fits_place(c, guild_id)]
    for command in (*in_guild, *everywhere):
        return command
    raise Refusal(10063)


def _fits_place(command: Command, guild_id: int | None) -> bool:
    contexts = command.definition.get("contexts")
    if contexts is None:
        return guild_id is not None or command.definition.get("dm_permission") is not False
    return (0 if guild_id is not None else 1) in contexts


def available(service: Service, guild_id: int | None) -> list[Command]:
    """The commands that can be run in a place."""
    return [
        c
        for c in service.world.commands.values()
        if (c.guild_id is None and _fits_place(c, guild_id)) or (c.guild_id is not None and c.guild_id == guild_id)
    ]


def allowed(command: Command, granted: int) -> bool:
    """Whether a member with these permissions is shown the command; a command for nobody is for administrators."""
    needed = command.definition.get("default_member_permissions")
    if needed is None or granted & BITS["ADMINISTRATOR"]:
        return True
    return int(needed) != 0 and granted & int(needed) == int(needed)


def fill_in(command: Command, words: list[str], values: JSON) -> tuple[list[JSON], list[JSON]]:
    """The options of a slash command as the client sends them: (nested, flat with types).

    Args:
        command: what is run.
        words: names of subcommand group and subcommand, if any.
        values: option name to value.

    Raises:
        Refusal: 50035 where the client would not have let it be sent.
    """
    options = command.definition.get("options") or []
    wraps: list[JSON] = []
    for word in words:
        inner = next((o for o in options if o["name"] == word and o["type"] in (SUB, GROUP)), None)
        if inner is None:
            raise invalid("options", f"there is no subcommand {word}")
        wraps.append({"type": inner["type"], "name": word})
        options = inner.get("options") or []
    if any(o["type"] in (SUB, GROUP) for o in options):
        raise invalid("options", "a subcommand is needed")
    flat = [_value(o, values[o["name"]]) for o in options if o["name"] in values]
    missing = [o["name"] for o in options if o.get("required") and o["name"] not in values]
    unknown = set(values) - {o["name"] for o in options}
    if missing or unknown:
        raise invalid("options", f"missing {missing}, unknown {sorted(unknown)}")
    nested = flat
    for wrap in reversed(wraps):
        nested = [wrap | {"options": nested}]
    return nested, flat


def _value(option: JSON, value: Any) -> JSON:  # noqa: ANN401  # any JSON
    kind, path = option["type"], f"options.{option['name']}"
    right: dict[int, tuple[type, ...]] = {STRING: (str,), INTEGER: (int,), BOOLEAN: (bool,), NUMBER: (int, float)}
    if kind in right and (not isinstance(value, right[kind]) or (kind == INTEGER and isinstance(value, bool))):
        raise invalid(path, "wrong type")
    if kind not in right:
        value = str(value)
    choices = option.get("choices")
    if choices and value not in [c["value"] for c in choices]:
        raise invalid(path, f"not one of the choices {[c['value'] for c in choices]}")
    if kind == STRING and not (option.get("min_length") or 0) <= len(value) <= (option.get("max_length") or 6000):
        raise invalid(path, "wrong length")
    low, high = option.get("min_value"), option.get("max_value")
    if (low is not None and value < low) or (high is not None and value > high):
        raise invalid(path, f"not between {low} and {high}")
    return {"type": kind, "name": option["name"], "value": value}
