"""`lorasmith check FILE`: says whether a LoRA file loads, in which tools, and what its header holds."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from storage.domain.errors import FileRefused
from storage.lora_file import comfyui
from storage.lora_file.family import components_of, family_of
from storage.lora_file.format import Header
from storage.lora_file.header import read_header
from storage.lora_file.hints import recommended_weight, trigger_of
from storage.lora_file.inventory import Inventory, finite, inventory_of
from storage.lora_file.keymaps import Tool
from storage.lora_file.problems import problems_of
from storage.lora_file.reasons import reasons
from storage.lora_file.report import MAX_KEYS, CheckReport, Verdict, as_json, as_text, plain
from storage.lora_file.spelling import map_of
from storage.options import Options

SAYS = "Say whether a LoRA file loads, in which tools, and what its header holds. Exit code 0 where all that was asked load it."
_LYCORIS = {"LoKr": ".lokr_w1", "LoHa": ".hada_w1_a"}


def check_file(path: Path) -> CheckReport:
    """Everything about one file. Raises FileRefused where it is not a sound safetensors file."""
    header = read_header(path)
    inventory = inventory_of(path, header)
    family = family_of(header.metadata, inventory)
    weight, source = recommended_weight(path, header.metadata)
    return CheckReport(
        file=path.name,
        file_bytes=header.file_bytes,
        family=family,
        base_version=header.metadata.get("modelspec.architecture") or header.metadata.get("ss_base_model_version", ""),
        layout=_layout(inventory),
        kind=inventory.kind,
        modules=components_of(inventory.modules, family),
        tensors=len(header.tensors),
        dtypes=tuple(sorted({entry.dtype for entry in header.tensors.values()})),
        ranks=tuple(sorted({module.rank for module in inventory.modules.values() if module.rank is not None})),
        alphas=_alphas(inventory),
        trigger=trigger_of(path, header.metadata),
        recommended_weight=weight,
        weight_source=source,
        tools=_verdicts(path, header, inventory, family),
        problems=tuple(problems_of(path, header, inventory, family)),
    )


def run(argv: Sequence[str]) -> int:
    """The verb: prints the report and returns the exit code (see CheckReport.exit_code; 1 also for a broken file)."""
    parser = Options("check", SAYS)
    parser.add_argument("file", type=Path, help="a LoRA in safetensors")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    asked = parser.parse_args(argv)
    try:
        report = check_file(asked.file)
    except FileRefused as refusal:
        broken = {"file": asked.file.name, "ok": False, "refused": str(refusal)}
        sys.stdout.write(json.dumps(broken) + "\n" if asked.json else f"{plain(asked.file.name)}: {refusal}\n")
        return 1
    sys.stdout.write(as_json(report) + "\n" if asked.json else as_text(report))
    return report.exit_code


def _alphas(inventory: Inventory) -> tuple[float, ...]:
    """The different alphas that are numbers; the others are among the problems."""
    return tuple(sorted({m.alpha for m in inventory.modules.values() if m.alpha is not None and finite(m.alpha)}))


def _layout(inventory: Inventory) -> str:
    if not inventory.namings:
        return "none"
    return "mixed" if len(inventory.namings) > 1 else next(iter(inventory.namings))


def _verdicts(path: Path, header: Header, inventory: Inventory, family: str | None) -> tuple[Verdict, ...]:
    if family is None:
        return ()
    folder = comfyui.folder_from_environment() if family in comfyui.BASES else None
    keys = list(header.tensors)
    return tuple(
        _real_comfyui(tool, folder, path, keys, family)
        if folder is not None and tool.id == "comfyui"
        else _verdict(tool, keys, inventory, family)
        for tool in map_of(family).tools
    )


def _verdict(tool: Tool, keys: list[str], inventory: Inventory, family: str) -> Verdict:
    version = " ".join(filter(None, (tool.commit[:12], tool.date)))
    if not tool.checked:
        return _unchecked(tool, version, tool.how)
    if inventory.kind in ("LoKr", "LoHa") and not tool.takes(_LYCORIS[inventory.kind]):
        return _unchecked(tool, version, f"whether it reads a {inventory.kind} was not asked")
    dropped = tool.dropped(keys)
    notes = list(reasons(tool, dropped, family))
    if dropped and tool.refuses != "nothing":
        notes.append(f"it refuses a {tool.refuses}")
    return _asked(tool, version, keys, dropped, "; ".join(notes))


def _real_comfyui(tool: Tool, folder: Path, path: Path, keys: list[str], family: str) -> Verdict:
    answer = comfyui.ask(folder, path, family)
    if answer.dropped is None:
        return _unchecked(tool, "in your folder", answer.trouble)
    return _asked(tool, "in your folder, its own loader", keys, list(answer.dropped), "")


def _unchecked(tool: Tool, version: str, why: str) -> Verdict:
    return Verdict(
        tool=tool.name, draws=tool.draws, version=version, checked=False, used=0, dropped=0, dropped_keys=(), note=why
    )


def _asked(tool: Tool, version: str, keys: list[str], dropped: list[str], note: str) -> Verdict:
    return Verdict(
        tool=tool.name,
        draws=tool.draws,
        version=version,
        checked=True,
        used=len(keys) - len(dropped),
        dropped=len(dropped),
        dropped_keys=tuple(dropped[:MAX_KEYS]),
        note=note,
    )
