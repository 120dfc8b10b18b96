"""What the header of an example LoRA says."""

from __future__ import annotations

from datetime import UTC, datetime

from storage.lora_file import About

ABOUT = About(
    title="sks-dog",
    architecture="sdxl",
    base="stabilityai/stable-diffusion-xl-base-1.0",
    trigger="sks",
    class_word="dog",
    subject="character",
    rank=16,
    alpha=16,
    conv=False,
    width=1024,
    height=1024,
    pictures=8,
    step=150,
    steps=250,
    batch=1,
    learning_rate=5e-5,
    seed=7,
    precision="bf16",
    created_at=datetime(2026, 11, 21, 13, 0, tzinfo=UTC),
    order="0197",
)
