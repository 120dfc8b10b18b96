"""What a member of the loopback world sees: messages, files, and how their acts were answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

JSON = dict[str, Any]
BUTTON = 2


@dataclass(frozen=True, kw_only=True)
class SeenFile:
    """A file as a member sees it."""

    id: int
    filename: str
    size: int
    url: str
    content_type: str


@dataclass(frozen=True, kw_only=True)
class SeenMessage:
    """A message as a member sees it. `raw` is the whole JSON."""

    id: int
    channel_id: int
    author_id: int
    content: str
    embeds: list[JSON]
    components: list[JSON]
    files: list[SeenFile]
    reactions: dict[str, list[int]]
    ephemeral: bool
    thinking: bool
    thread_id: int | None
    edited: bool
    raw: JSON

    @classmethod
    def of(cls, raw: JSON) -> SeenMessage:
        """From the control API's form."""
        files = [
            SeenFile(
                id=int(a["id"]), filename=a["filename"], size=a["size"], url=a["url"], content_type=a["content_type"]
            )
            for a in raw["files"]
        ]
        return cls(
            id=int(raw["id"]),
            channel_id=int(raw["channel_id"]),
            author_id=int(raw["author"]["id"]),
            content=raw["content"],
            embeds=raw["embeds"],
            components=raw["components"],
            files=files,
            reactions={k: [int(u) for u in v] for k, v in raw["reacted_by"].items()},
            ephemeral=raw["visible_to"] is not None,
            thinking=raw["thinking"],
            thread_id=int(raw["thread"]["id"]) if "thread" in raw else None,
            edited=raw["edited_timestamp"] is not None,
            raw=raw,
        )

    def parts(self) -> Iterator[JSON]:
        """Every component, in reading order."""
        yield from _walk(self.components)

    def text(self) -> str:
        """All that can be read: content, embeds, text displays."""
        pieces = [self.content]
        for embed in self.embeds:
            pieces += [embed.get("title", ""), embed.get("description", ""), embed.get("footer", {}).get("text", "")]
            pieces += [f"{f['name']}\n{f['value']}" for f in embed.get("fields", [])]
        pieces += [part["content"] for part in self.parts() if "content" in part]
        return "\n".join(p for p in pieces if p)

    def buttons(self) -> dict[str, JSON]:
        """Label (or emoji) to button."""
        found = [p for p in self.parts() if p["type"] == BUTTON]
        return {p.get("label") or p["emoji"]["name"]: p for p in found}

    def button(self, words: str) -> JSON:
        """The button whose label or custom_id contains these words.

        Raises:
            LookupError: there is none.
        """
        for label, part in self.buttons().items():
            if words.lower() in label.lower() or words in part.get("custom_id", ""):
                return part
        raise LookupError(f"no button {words!r} among {list(self.buttons())}")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How an interaction ended: `state` is answered, modal or failed; `after_ms` is the bot's acknowledgement time."""

    interaction_id: int
    state: str
    answer_kind: int | None
    after_ms: float | None
    message_id: int | None
    modal: JSON | None
    choices: list[JSON] | None
    channel_id: int


def _walk(components: list[JSON]) -> Iterator[JSON]:
    for component in components:
        yield component
        yield from _walk(component.get("components") or [])
        if component.get("accessory"):
            yield from _walk([component["accessory"]])
