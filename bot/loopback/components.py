"""Buttons, selects, containers and modals: the rules that the OpenAPI description does not hold, and the numbering.

Rules: https://discord.com/developers/docs/components/reference
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.loopback.failures import invalid
from bot.loopback.world import COMPONENTS_V2, JSON

if TYPE_CHECKING:
    from collections.abc import Iterator

ROW, BUTTON, STRING_SELECT, TEXT_INPUT, SECTION, TEXT_DISPLAY = 1, 2, 3, 4, 9, 10
THUMBNAIL, GALLERY, FILE, SEPARATOR, CONTAINER, LABEL, FILE_UPLOAD = 11, 12, 13, 14, 17, 18, 19
RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX = 21, 22, 23
SELECTS = frozenset({3, 5, 6, 7, 8})
LINK_STYLE = 5
MAX_TEXT_V2 = 4000
MAX_COMPONENTS_V2 = 40
MAX_ROWS = 5

# What Discord fills in where a request says nothing.
DEFAULTS: dict[int, JSON] = {
    FILE: {"spoiler": False, "name": None, "size": None},
    SEPARATOR: {"spacing": 1, "divider": True},
    CONTAINER: {"accent_color": None, "spoiler": False},
    THUMBNAIL: {"description": None, "spoiler": False},
    TEXT_INPUT: {"min_length": None, "max_length": None, "label": None},
    **{kind: {"min_values": 1, "max_values": 1} for kind in SELECTS},
}


def walk(components: list[JSON]) -> Iterator[JSON]:
    """Every component, parents before children, in reading order."""
    for component in components:
        yield component
        yield from walk(component.get("components") or [])
        for key in ("accessory", "component"):
            if component.get(key):
                yield from walk([component[key]])


def completed(components: list[JSON], *, modal: bool = False) -> list[JSON]:
    """A copy with Discord's numbering (ids from 1, in reading order) and defaults, nulls left out.

    In a message a select's `required` is taken and dropped; it only has a meaning in a modal.
    """
    made = [_complete(c) for c in components]
    if not modal:
        for component in walk(made):
            component.pop("required", None)
    taken = {c["id"] for c in walk(made) if c.get("id")}
    free = (n for n in range(1, 1000) if n not in taken)
    for component in walk(made):
        component["id"] = component.get("id") or next(free)
    return made


def _complete(component: JSON) -> JSON:
    made = DEFAULTS.get(component["type"], {}) | {k: v for k, v in component.items() if v is not None}
    if "components" in made:
        made["components"] = [_complete(c) for c in made["components"]]
    for key in ("accessory", "component"):
        if key in made:
            made[key] = _complete(made[key])
    if "items" in made:
        made["items"] = [{"description": None, "spoiler": False} | _no_nulls(i) for i in made["items"]]
    return made


def _no_nulls(part: JSON) -> JSON:
    return {k: v for k, v in part.items() if v is not None}


def check_message(body: JSON, *, flags: int) -> None:
    """Refuse what the schema lets through: twice the same custom_id, v2 with content, too many rows.

    Raises:
        Refusal: 50035 naming the field.
    """
    components = body.get("components") or []
    _check_ids(components)
    version_2 = bool(flags & COMPONENTS_V2)
    if version_2 and (body.get("content") or body.get("embeds") or body.get("poll")):
        raise invalid("content", "The 'content', 'embeds' and 'poll' fields cannot be used with IS_COMPONENTS_V2")
    if not version_2:
        if len(components) > MAX_ROWS:
            raise invalid("components", "Must be 5 or fewer in length.")
        if any(c["type"] != ROW for c in components):
            raise invalid("components", 'Value of field "type" must be one of (1,).')
    parts = list(walk(components))
    if version_2 and len(parts) > MAX_COMPONENTS_V2:
        raise invalid("components", "The message has more than 40 components.")
    if sum(len(c.get("content", "")) for c in parts if c["type"] == TEXT_DISPLAY) > MAX_TEXT_V2:
        raise invalid("components", "The text of all components must be 4000 or fewer in length.")
    for part in parts:
        _check_button(part)


def _check_button(part: JSON) -> None:
    if part["type"] != BUTTON:
        return
    is_link = part.get("style") == LINK_STYLE
    if is_link != bool(part.get("url")) or is_link == bool(part.get("custom_id")):
        raise invalid("components", "A button has a custom_id, a link button has a url.")
    if not part.get("label") and not part.get("emoji"):
        raise invalid("components", "A button needs a label or an emoji.")


def _check_ids(components: list[JSON]) -> None:
    names = [c["custom_id"] for c in walk(components) if c.get("custom_id")]
    if len(names) != len(set(names)):
        raise invalid("components", "Component custom id cannot be duplicated")


def check_modal(data: JSON) -> None:
    """Refuse a modal with more than five rows, twice the same custom_id, or a file upload out of bounds.

    Raises:
        Refusal: 50035 naming the field.
    """
    components = data["components"]
    _check_ids(components)
    if not 1 <= len(components) <= MAX_ROWS:
        raise invalid("components", "Must be between 1 and 5 in length.")
    for part in walk(components):
        low, high = part.get("min_values"), part.get("max_values")
        if low is not None and high is not None and low > high:
            raise invalid("components", "min_values is above max_values.")


def find(components: list[JSON], custom_id: str) -> JSON | None:
    """The component with this custom_id."""
    return next((c for c in walk(components) if c.get("custom_id") == custom_id), None)


def inputs(modal: JSON) -> list[JSON]:
    """The components of a modal that a member fills in."""
    return [c for c in walk(modal["components"]) if c.get("custom_id")]


def option_values(component: JSON) -> list[Any]:
    """The values a select or a group offers."""
    return [o["value"] for o in component.get("options", [])]
