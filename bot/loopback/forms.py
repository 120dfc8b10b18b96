"""Filling in a modal: a member's values, held to the components' bounds and put into the form the bot receives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.loopback.components import (
    CHECKBOX,
    CHECKBOX_GROUP,
    FILE_UPLOAD,
    LABEL,
    RADIO_GROUP,
    ROW,
    SELECTS,
    STRING_SELECT,
    TEXT_DISPLAY,
    TEXT_INPUT,
    inputs,
    option_values,
)
from bot.loopback.failures import invalid

if TYPE_CHECKING:
    from bot.loopback.world import JSON


def submitted(modal: JSON, values: JSON) -> tuple[list[JSON], list[str]]:
    """The `components` of a modal submit and the ids of all uploads in it.

    Raises:
        Refusal: 50035 where the client would keep the Submit button grey.
    """
    known = {c["custom_id"] for c in inputs(modal)}
    if set(values) - known:
        raise invalid("values", f"the modal has {sorted(known)}, not {sorted(set(values) - known)}")
    uploads: list[str] = []
    return [_part(c, values, uploads) for c in modal["components"]], uploads


def _part(component: JSON, values: JSON, uploads: list[str]) -> JSON:
    made = {"type": component["type"], "id": component["id"]}
    if component["type"] == LABEL:
        return made | {"component": _input(component["component"], values, uploads)}
    if component["type"] == ROW:
        return made | {"components": [_input(c, values, uploads) for c in component["components"]]}
    if component["type"] == TEXT_DISPLAY:
        return made
    raise invalid("components", f"type {component['type']} cannot stand in a modal")


def _input(component: JSON, values: JSON, uploads: list[str]) -> JSON:
    kind, name = component["type"], component["custom_id"]
    made = {"type": kind, "id": component["id"], "custom_id": name}
    if kind == TEXT_INPUT:
        return made | {"value": _text(component, values.get(name, component.get("value", "")))}
    if kind == CHECKBOX:
        return made | {"value": bool(values.get(name, component.get("default", False)))}
    if kind == RADIO_GROUP:
        return made | {"value": _one(component, values.get(name))}
    if kind not in SELECTS | {FILE_UPLOAD, CHECKBOX_GROUP}:
        raise invalid(name, f"type {kind} takes no value")
    chosen = values.get(name)
    if chosen is None:
        chosen = [o["value"] for o in component.get("options", []) if o.get("default")]
    chosen = [str(v) for v in (chosen if isinstance(chosen, list) else [chosen])]
    _check_chosen(component, chosen)
    if kind == FILE_UPLOAD:
        uploads += chosen
    return made | {"values": chosen}


def _text(component: JSON, value: Any) -> str:  # noqa: ANN401  # any JSON
    text = str(value)
    if not text and component.get("required", True):
        raise invalid(component["custom_id"], "this field is required")
    low, high = component.get("min_length") or 0, component.get("max_length") or 4000
    if text and not low <= len(text) <= high:
        raise invalid(component["custom_id"], f"between {low} and {high} characters")
    return text


def _one(component: JSON, value: Any) -> str | None:  # noqa: ANN401  # any JSON
    if value is None:
        value = next((o["value"] for o in component.get("options", []) if o.get("default")), None)
    if value is None and component.get("required", True):
        raise invalid(component["custom_id"], "this field is required")
    if value is not None and value not in option_values(component):
        raise invalid(component["custom_id"], f"only {option_values(component)} can be chosen")
    return None if value is None else str(value)


def _check_chosen(component: JSON, chosen: list[str]) -> None:
    name, required = component["custom_id"], component.get("required", True)
    if component["type"] in (STRING_SELECT, CHECKBOX_GROUP) and set(chosen) - set(option_values(component)):
        raise invalid(name, f"only {option_values(component)} can be chosen")
    if not chosen and not required:
        return
    low, high = component.get("min_values", 1), component.get("max_values", 1)
    if not max(low, 1 if required else 0) <= len(chosen) <= high:
        raise invalid(name, f"between {low} and {high} can be chosen, not {len(chosen)}")
