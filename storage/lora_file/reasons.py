"""Why a tool leaves keys of a file unused, in words for its owner, with what helps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from storage.lora_file.inventory import split_key
from storage.lora_file.keymaps import Tool
from storage.lora_file.layouts import LAYOUTS, Layout
from storage.lora_file.spelling import meanings, written


def reasons(tool: Tool, dropped: Iterable[str], family: str) -> Iterator[str]:
    """One sentence for every kind of cause among the dropped keys, with how many it concerns."""
    counts = {"strange": 0, "short": 0, "spelled": 0, "ending": 0, "unknown": 0}
    for key in dropped:
        counts[_cause(tool, key, family)] += 1
    words = {
        "strange": "{} belong to no LoRA module",
        "short": "{} are of a text encoder without `text_model` in their names: `lorasmith convert` adds it",
        "spelled": f"{{}} name modules in a way that {tool.name} does not read: `{_command(tool, family)}` renames them",
        "ending": f"{{}} are of a kind that {tool.name} has no use for",
        "unknown": f"{{}} name modules that {tool.name} does not know, in any spelling",
    }
    yield from (words[cause].format(count) for cause, count in counts.items() if count)


def _command(tool: Tool, family: str) -> str:
    """With the layout that this tool reads, where it is not the one that `convert` writes unasked."""
    first, *others = LAYOUTS[family]
    if _reads(tool, family, first):
        return "lorasmith convert"
    return next(
        (f"lorasmith convert --layout {each.name}" for each in others if _reads(tool, family, each)), "nothing here"
    )


def _reads(tool: Tool, family: str, layout: Layout) -> bool:
    """Whether it takes nearly all names of a layout; the first and last layers of a model may have none."""
    names = [name + layout.down for name in written(family, layout)]
    return len(tool.dropped(names)) * 5 <= len(names)


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
