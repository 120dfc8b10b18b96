"""The header of our LoRA files: the keys that A1111, Forge, sd-scripts and ModelSpec readers look for, and our own.

Pure: dates and ids come in with `About`, so the same order gives the same bytes. ModelSpec 1.0.1 is
https://github.com/Stability-AI/ModelSpec; the `ss_*` names are those of https://github.com/kohya-ss/sd-scripts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from storage.domain.orders import prompt_with
from storage.lora_file.architectures import Architecture, architecture_named
from storage.lora_file.writer import Tensors, data_sha256, legacy_hash


@dataclass(frozen=True, kw_only=True)
class Called:
    """One of several concepts in a LoRA."""

    trigger: str
    class_word: str
    pictures: int  # that were trained on
    repeats: int


@dataclass(frozen=True, kw_only=True)
class About:
    """What a LoRA's header tells; every value comes from the order's row and its plan, none from the clock."""

    title: str  # also `ss_output_name`, the alias that A1111 shows
    architecture: str  # a key of ARCHITECTURES
    base: str  # hub id or name of the base model
    trigger: str  # the new word
    class_word: str  # "dog"; of a style it is in no prompt
    subject: str  # subject type: person, character, object, style
    rank: int
    alpha: float
    conv: bool  # whether convolutions wider than 1x1 are trained: then the file is what kohya calls LoCon
    width: int  # px, of a training picture
    height: int
    pictures: int  # that were trained on; held-out ones are not
    step: int  # the checkpoint's step
    steps: int  # the plan's steps
    batch: int
    learning_rate: float
    seed: int
    precision: str  # of the training, as kohya's trainers say it: "no" for fp32, "fp16", "bf16"
    created_at: datetime  # when the order was made; must know its time zone
    order: str  # id of the order
    author: str = "lorasmith"
    licence: str = ""
    description: str = ""  # "" gives a sentence made of the values above
    recommended_scale: float | None = None  # known after the measurement only
    scale_band: tuple[float, float] | None = None
    concepts: tuple[Called, ...] = ()  # all of several, the first with the words above; () where there is one
    own: Mapping[str, str] = field(default_factory=dict)  # further entries, written as `lorasmith.<key>`


def metadata_for(about: About, tensors: Tensors) -> dict[str, str]:
    """The whole metadata of a file with these tensors, hashes included. Hashes the tensors twice."""
    architecture = architecture_named(about.architecture)
    digest = data_sha256(tensors)
    training = training_entries(about, architecture)
    return {
        "format": "pt",
        **training,
        "sshs_model_hash": digest,
        "sshs_legacy_hash": legacy_hash(tensors, training),
        **modelspec_entries(about, architecture, digest),
        **own_entries(about),
    }


def training_entries(about: About, architecture: Architecture) -> dict[str, str]:
    """The `ss_*` entries. `ss_tag_frequency` holds the triggers alone: A1111 proposes trigger words from it."""
    folders = {f"{c.repeats}_{_said(c, about)}": c for c in _concepts(about)}
    entries = {
        "ss_output_name": about.title,
        "ss_sd_model_name": about.base,
        "ss_base_model_version": architecture.base_version,
        "ss_v2": "False",
        "ss_network_module": architecture.network,
        "ss_network_dim": str(about.rank),
        "ss_network_alpha": _number(about.alpha),
        "ss_resolution": f"({about.width}, {about.height})",
        "ss_num_train_images": str(about.pictures),
        "ss_num_reg_images": "0",
        "ss_dataset_dirs": _json({n: {"n_repeats": c.repeats, "img_count": c.pictures} for n, c in folders.items()}),
        "ss_tag_frequency": _json({name: {_said(c, about): c.pictures} for name, c in folders.items()}),
        "ss_steps": str(about.step),
        "ss_max_train_steps": str(about.steps),
        "ss_total_batch_size": str(about.batch),
        "ss_learning_rate": _number(about.learning_rate),
        "ss_seed": str(about.seed),
        "ss_clip_skip": "None",
        "ss_mixed_precision": about.precision,
        "ss_training_started_at": _number(_utc(about.created_at).timestamp()),
        "ss_training_comment": f"lorasmith order {about.order}",
    }
    if about.conv:
        entries["ss_network_args"] = _json({"conv_dim": str(about.rank), "conv_alpha": _number(about.alpha)})
    return entries


def modelspec_entries(about: About, architecture: Architecture, digest: str) -> dict[str, str]:
    """ModelSpec 1.0.1: every MUST and SHOULD, and the CANs that a user's tool can show. Empty ones are left out."""
    entries = {
        "sai_model_spec": "1.0.1",
        "architecture": architecture.modelspec,
        "implementation": architecture.implementation,
        "title": about.title,
        "resolution": f"{about.width}x{about.height}",
        "description": about.description or description(about),
        "author": about.author,
        "date": _utc(about.created_at).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "hash_sha256": f"0x{digest}",
        "license": about.licence,
        "usage_hint": usage_hint(about),
        "trigger_phrase": prompt_words(about),
        "tags": about.subject,
    }
    return {f"modelspec.{key}": text for key, text in entries.items() if text}


def own_entries(about: About) -> dict[str, str]:
    """`lorasmith.*`: what no agreed key exists for."""
    entries = {
        "order": about.order,
        "architecture": about.architecture,
        "subject": about.subject,
        "trigger": about.trigger,
        "class_word": about.class_word,
        "step": str(about.step),
        "concepts": _json([[c.trigger, c.class_word] for c in about.concepts]) if about.concepts else "",
        **about.own,
    }
    if about.recommended_scale is not None:
        entries["recommended_scale"] = _number(about.recommended_scale)
    if about.scale_band is not None:
        entries["scale_band"] = _json([float(edge) for edge in about.scale_band])
    return {f"lorasmith.{key}": text for key, text in sorted(entries.items()) if text}


def prompt_words(about: About) -> str:
    """What to write in a prompt: the words that it was trained with; those of several concepts with commas between them."""
    return ", ".join(_said(concept, about) for concept in _concepts(about))


def _concepts(about: About) -> tuple[Called, ...]:
    one = Called(trigger=about.trigger, class_word=about.class_word, pictures=about.pictures, repeats=1)
    return about.concepts or (one,)


def _said(concept: Called, about: About) -> str:
    return prompt_with(trigger=concept.trigger, class_word=concept.class_word, subject_type=about.subject)


def description(about: About) -> str:
    """What this file is, in one sentence."""
    each = " and ".join(f'"{_said(concept, about)}"' for concept in _concepts(about))
    what = f"{about.subject} {each}" if len(_concepts(about)) == 1 else f"{each} ({about.subject})"
    return f"LoRA of the {what} for {about.base}, step {about.step} of {about.steps}, from {about.pictures} pictures."


def usage_hint(about: About) -> str:
    """One sentence for the person who opens the file in some months' time."""
    each = " or ".join(f'"{_said(concept, about)}"' for concept in _concepts(about))
    hint = f"Write {each} in the prompt"
    if about.recommended_scale is None:
        return f"{hint}."
    hint = f"{hint}, weight {about.recommended_scale:g}"
    if about.scale_band is None:
        return f"{hint}."
    return f"{hint} ({about.scale_band[0]:g} to {about.scale_band[1]:g} works)."


def _number(value: float) -> str:
    """A float as Python writes it, so that 16 and 16.0 give the same text."""
    return repr(float(value))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a date without a time zone would make the header depend on the machine")
    return moment.astimezone(UTC)
