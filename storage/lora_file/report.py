"""The answer of `lorasmith check`, as values, as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from storage.words import size

_SHOWN_KEYS = 5  # dropped keys that the text names; JSON names up to MAX_KEYS
MAX_KEYS = 200
_WIDTH = 14


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something wrong with the file. An error makes the check fail; a warning is only said."""

    level: Literal["error", "warning"]
    text: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one tool does with the file's keys."""

    tool: str
    version: str  # commit or release that was asked, and its date
    draws: bool  # False for a trainer: a file that it does not read is no broken file
    checked: bool
    used: int  # tensors
    dropped: int
    dropped_keys: tuple[str, ...]  # the first MAX_KEYS
    note: str = ""  # why it was not checked, or what it does to the whole file


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """Everything that the check found."""

    file: str
    file_bytes: int
    family: str | None  # "sdxl", "flux1-dev", ..., or None where the file is for something else
    base_version: str  # what the header says
    kind: str  # "LoRA", "DoRA", "LoKr", "LoHa", ...
    layout: str  # "kohya", "peft", "diffusers", "mixed", "none"
    modules: dict[str, int]  # component -> modules
    tensors: int
    dtypes: tuple[str, ...]
    ranks: tuple[int, ...]
    alphas: tuple[float, ...]
    trigger: str
    recommended_weight: float | None
    weight_source: str  # "sidecar", "header" or ""
    tools: tuple[Verdict, ...]
    problems: tuple[Problem, ...]

    @property
    def exit_code(self) -> int:
        """0: every tool asked that draws uses every key. 1: keys would be dropped or the file is broken. 3: nothing to compare."""
        dropped = any(tool.dropped for tool in self.tools if tool.draws)
        if dropped or any(problem.level == "error" for problem in self.problems):
            return 1
        return 0 if any(tool.checked for tool in self.tools) else 3


def as_json(report: CheckReport) -> str:
    """The report for programs, one JSON object."""
    return json.dumps(asdict(report) | {"ok": report.exit_code == 0}, indent=2)


def as_text(report: CheckReport) -> str:
    """The report for people."""
    weight = report.recommended_weight
    lines = [
        f"{plain(report.file)}: {_result(report)}",
        _line("family", report.family or "not recognised"),
        _line("base", report.base_version or "not said in the header"),
        *([_line("kind", report.kind)] if report.kind != "LoRA" else []),
        _line("naming", report.layout),
        _line("modules", ", ".join(f"{count} {part}" for part, count in report.modules.items()) or "none"),
        _line("tensors", f"{report.tensors} ({', '.join(report.dtypes)}), {size(report.file_bytes)}"),
        _line("rank", _numbers(report.ranks)),
        _line("alpha", _numbers(report.alphas)),
        _line("trigger", report.trigger or "not said"),
        _line("weight", "no recommendation" if weight is None else f"{weight:g} (from the {report.weight_source})"),
        *(line for verdict in report.tools for line in _verdict_lines(verdict)),
        *(f"{problem.level}: {problem.text}" for problem in report.problems),
    ]
    return "\n".join(lines) + "\n"


def plain(text: str, limit: int = 200) -> str:
    """Text of an untrusted file as a terminal may show it: one line, printable, short."""
    shown = "".join(char if char.isprintable() else "?" for char in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


def _result(report: CheckReport) -> str:
    words = {0: "loads completely", 1: "would not load completely", 3: "sound, but of no family that can be checked"}
    return words[report.exit_code]


def _line(name: str, value: str) -> str:
    return f"  {name:<{_WIDTH}}{plain(value)}"


def _numbers(values: tuple[int, ...] | tuple[float, ...]) -> str:
    if not values:
        return "none"
    if len(values) > 6:
        return f"{values[0]:g} to {values[-1]:g}, {len(values)} different"
    return ", ".join(f"{value:g}" for value in values)


def _verdict_lines(verdict: Verdict) -> list[str]:
    head = f"{verdict.tool} {verdict.version}".strip()
    if not verdict.checked:
        return [_line("not checked", f"{head}: {verdict.note}")]
    if not verdict.dropped:
        return [_line("loads in", f"{head}: {verdict.used} of {verdict.used} keys used")]
    label = "DROPS KEYS" if verdict.draws else "not for"
    lines = [_line(label, f"{head}: {verdict.dropped} of {verdict.used + verdict.dropped} keys dropped")]
    if verdict.note:
        lines.append(_line("", verdict.note))
    lines += [_line("", f"- {key}") for key in verdict.dropped_keys[:_SHOWN_KEYS]]
    if verdict.dropped > _SHOWN_KEYS:
        lines.append(_line("", f"- and {verdict.dropped - _SHOWN_KEYS} more"))
    return lines
