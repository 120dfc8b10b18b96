"""Why a tool leaves keys of a file unused, in words for its owner, with what helps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from storage.lora_file.inventory import split_key
from storage.lora_file.keymaps import Tool
from storage.lora_file.spelling import meanings


def reasons(tool: Tool, dropped: Iterable[str], family: str) -> Iterator[str]:
    """One sentence for every kind of cause among the dropped keys, with how many it concerns."""
    counts = {"strange": 0, "short": 0, "spelled": 0, "ending": 0, "unknown": 0}
    for key in dropped:
        counts[_cause(tool, key, family)] += 1
    words = {
        "strange": "{} belong to no LoRA module",
        "short": "{} are of a text encoder without `text_model` in their names: `lorasmith convert` adds it",
        "spelled": f"{{}} name modules in a way that {tool.name} does not read: `lorasmith convert` renames them",
        "ending": f"{{}} are of a kind that {tool.name} has no use for",
        "unknown": f"{{}} name modules that {tool.name} does not know, in any spelling",
    }
    yield from (words[cause].format(count) for cause, count in counts.items() if count)


def _cause(tool: Tool, key: str, family: str) -> str:
    found = split_key(key)
    if found is None:
        return "strange"
    base = found[0]
    if any(base in layout.modules for layout in tool.layouts):
        return "ending" if not tool.takes(key[len(base) :]) else "spelled"
    if base not in meanings(family):
        return "unknown"
    return "short" if base.startswith(("lora_te_encoder_", "lora_te1_encoder_", "lora_te2_encoder_")) else "spelled"
