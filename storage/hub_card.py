"""A model card: what a hub shows of a shared LoRA. Pure: facts in, the text of README.md out.

Fields of the head: https://huggingface.co/docs/hub/model-cards and, for pictures and prompts of a LoRA,
https://huggingface.co/docs/hub/model-cards-components.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from storage import words
from storage.domain.bases import BASES, KnownBase
from storage.domain.measurement import ScaleChoice
from storage.domain.orders import prompt_with
from storage.domain.plan import Departure, Fit, Plan
from storage.usage import how_to_use

LICENCES = {
    "pocket": "mit",
    "sd15": "creativeml-openrail-m",
    "sdxl": "openrail++",
    "flux2-klein-4b": "apache-2.0",
    "z-image": "apache-2.0",
}
"""The hub's own names: https://huggingface.co/docs/hub/repositories-licenses. Any other base is `other`, with name and link."""
TAGS = {
    "sd15": "stable-diffusion",
    "sdxl": "stable-diffusion-xl",
    "flux1": "flux",
    "flux2": "flux2",
    "zimage": "z-image",
}
"""By family; lists of the hub are filtered by them."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A picture that was drawn with the LoRA."""

    prompt: str
    file: str
    """Path in the repository."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A checkpoint's numbers; None was not measured."""

    step: int
    votes: int
    likeness: float | None
    adherence: float | None
    leakage: float | None
    validation_ratio: float | None


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """All that a card tells."""

    name: str
    stem: str
    repository: str
    """`user/name`, where it will be."""
    base: str
    trigger: str
    class_word: str
    subject_type: str
    step: int
    scale: float | None
    """Recommended; None was never measured."""
    scale_choice: ScaleChoice | None
    samples: Sequence[Sample]
    grids: Sequence[tuple[int, str]]
    """(step, path in the repository)."""
    strip: str | None
    """Path in the repository of the same prompts at rising scales."""
    checkpoints: Sequence[Measured]
    plan: Plan | None
    pictures: int
    fits: Sequence[Fit]
    departures: Sequence[Departure]
    lora_sha256: str
    """Of its tensors."""
    others: Sequence[tuple[str, str]] = ()
    """(trigger, class word) of further concepts."""

    @property
    def prompts(self) -> list[str]:
        """What to write to call it, or each of its concepts."""
        called = [(self.trigger, self.class_word), *self.others]
        return [prompt_with(trigger=t, class_word=c, subject_type=self.subject_type) for t, c in called]


def card(facts: CardFacts) -> str:
    """README.md. Texts of people are quoted in the head and escaped below: they are shown, never obeyed."""
    parts = [_head(facts), f"# {plain(facts.name)}\n\n<Gallery />", _what(facts), _use(facts), _scale(facts)]
    parts += [_measured(facts), _grids(facts), _trained(facts)]
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(text: str) -> str:
    """A person's text without any power over Markdown or HTML."""
    one_line = "".join(c for c in " ".join(text.split()) if c.isprintable())
    marked = re.sub(r"([\\`*_{}\[\]()#+!|~:@-])", r"\\\1", one_line)
    return marked.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _head(facts: CardFacts) -> str:
    base = BASES.get(facts.base)
    family = [TAGS[base.family]] if base and base.hub else []
    entries: list[tuple[str, object]] = [
        *_licence(facts.base, base),
        *([("base_model", base.hub), ("base_model_relation", "adapter")] if base and base.hub else []),
        ("library_name", "diffusers"),
        ("pipeline_tag", "text-to-image"),
        ("instance_prompt", ", ".join(facts.prompts)),
        ("tags", ["text-to-image", "lora", "diffusers", "template:sd-lora", "lorasmith", *family, facts.subject_type]),
    ]
    if facts.samples:
        entries.append(("widget", [{"text": s.prompt, "output": {"url": s.file}} for s in facts.samples]))
    lines = "\n".join(f"{name}: {_yaml(value)}" for name, value in entries)
    return f"---\n{lines}\n---"


def _licence(name: str, base: KnownBase | None) -> list[tuple[str, object]]:
    """A LoRA goes along under its base's licence."""
    if name in LICENCES:
        return [("license", LICENCES[name])]
    if base is None:
        return [("license", "other")]
    slug = re.sub(r"[^a-z0-9.]+", "-", base.licence.name.lower()).strip("-")
    return [("license", "other"), ("license_name", slug), ("license_link", base.licence.url)]


def _yaml(value: object) -> str:
    """JSON is YAML too, and quotes whatever a person typed; what YAML does not print is left out."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c for c in text if c.isprintable())


def _what(facts: CardFacts) -> str:
    base = BASES.get(facts.base)
    title = base.title if base else plain(facts.base)
    shown = " and a ".join(plain(word) for word in (facts.class_word, *(class_word for _, class_word in facts.others)))
    line = f"A LoRA of a {shown} ({facts.subject_type}) for **{title}**, made with lorasmith."
    if base is None:
        return line
    licence = f"Its base's licence goes along: [{base.licence.name}]({base.licence.url})."
    if base.licence.non_commercial:
        licence += " **Not for commercial use.**"
    return f"{line} {licence}"


def _use(facts: CardFacts) -> str:
    scale = 1.0 if facts.scale is None else facts.scale
    tools = how_to_use(
        base=facts.base, stem=facts.stem, trigger=facts.trigger, class_word=facts.class_word, scale=scale,
        subject_type=facts.subject_type, words=", ".join(facts.prompts),
    )  # fmt: skip
    listed = "\n".join(f"- {plain(u.tool)}: {plain(u.say)} {plain(u.code)}" for u in tools if u.tool != "diffusers")
    prompt = json.dumps(facts.samples[0].prompt if facts.samples else facts.prompts[0], ensure_ascii=False)
    file = json.dumps(f"{facts.stem}.safetensors", ensure_ascii=False)
    code = [f'pipe.load_lora_weights("{facts.repository}", weight_name={file}, adapter_name="a")']
    code += [f'pipe.set_adapters("a", {scale:.2f})', f"picture = pipe({prompt}).images[0]"]
    source = BASES[facts.base].hub if facts.base in BASES else None
    load = [f'pipe = DiffusionPipeline.from_pretrained("{source}")'] if source else []
    asked = " or ".join(f"**{plain(prompt_)}**" for prompt_ in facts.prompts)
    block = "\n".join(["from diffusers import DiffusionPipeline", "", *load, *code])
    return f"## How to use it\n\nWrite {asked} in the prompt.\n\n{listed}\n- diffusers:\n\n```python\n{block}\n```"


def _scale(facts: CardFacts) -> str:
    lines = [words.scale_sentence(facts.scale_choice)] if facts.scale_choice else []
    if not lines and facts.scale is not None:
        lines = [f"Recommended scale {facts.scale:.2f}."]
    if facts.strip:
        lines.append(f"![The same prompts at rising scales of the LoRA, from left to right]({facts.strip})")
    return "\n\n".join(["## How strong", *lines]) if lines else ""


def _measured(facts: CardFacts) -> str:
    if not facts.checkpoints:
        return ""
    rows = [_row(c, chosen=c.step == facts.step) for c in facts.checkpoints]
    table = "\n".join(["| Step | Votes | Likeness | Prompt | Spill | Unseen error |", "| --- " * 6 + "|", *rows])
    return f"## What was measured\n\n{table}\n\n{words.HOW_TO_READ}"


def _row(c: Measured, *, chosen: bool) -> str:
    shares = " | ".join(words.percent(share) for share in (c.likeness, c.adherence, c.leakage))
    step = f"**{c.step}** (this file)" if chosen else str(c.step)
    return f"| {step} | {c.votes} | {shares} | {words.ratio(c.validation_ratio)} |"


def _grids(facts: CardFacts) -> str:
    if not facts.grids:
        return ""
    prompts = [f"- {plain(p.text)}" for p in facts.plan.prompts] if facts.plan else []
    grids = [
        f"![Grid of pictures drawn at step {step}; the first column is the base]({file})" for step, file in facts.grids
    ]
    return "\n\n".join(["## Prompts and grids", *(["\n".join(prompts)] if prompts else []), *grids])


def _trained(facts: CardFacts) -> str:
    sentences = words.plan_sentences(facts.plan, facts.pictures) if facts.plan else [f"Step {facts.step}."]
    sentences += [words.fit_sentence(fit) for fit in facts.fits]
    sentences += [words.departure_sentence(departure) for departure in facts.departures]
    lines = "\n".join(f"- {plain(sentence)}" for sentence in sentences)
    return f"## How it was trained\n\n{lines}\n- File {facts.stem}.safetensors, sha256 of its tensors `{facts.lora_sha256}`"
