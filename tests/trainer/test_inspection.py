"""The worker's half of `lorasmith doctor`: weights, and what card, driver and torch say of each other."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from storage.up import UpSettings
from trainer.inspection import card, served, unserved, weights
from trainer.settings import POCKET, WorkerSettings

DRIVER = {"name": "RTX 3090", "driver": "470.10"}
CPU: dict[str, Any] = {"torch": "2.9.0", "cuda": None, "works": False, "mps": False, "why": ""}


def worker(**more: Any) -> WorkerSettings:
    return WorkerSettings(_env_file=None, **more)  # type: ignore[call-arg]  # pydantic-settings takes it


def verdict(torch_says: dict[str, Any], driver: dict[str, str], *bases: str) -> list[tuple[str, str]]:
    return [(r.level.value, f"{r.says} {r.mend}") for r in card(worker(bases=bases or ("sdxl",)), torch_says, driver)]


def test_weights_that_were_cut_off_are_found_with_what_to_do(tmp_path: Path) -> None:
    assert [r.level.value for r in weights(worker())] == ["ok"]
    cut = tmp_path / "pocket"
    shutil.copytree(POCKET, cut)
    largest = max(cut.rglob("*.safetensors"), key=lambda p: p.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:1000])
    (found,) = weights(worker(base_pocket=str(cut)))
    assert (found.level.value, found.about) == ("wrong", "weights of pocket")
    assert largest.name in found.mend
    (absent,) = weights(worker(bases="sdxl", base_sdxl="/no/such/folder"))
    assert "LORASMITH_BASE_SDXL" in absent.mend


def test_card_driver_and_torch_are_held_against_each_other() -> None:
    good = {**CPU, "cuda": "12.8", "works": True, "name": "RTX 3090", "memory_gib": 24.0}
    assert verdict(good, DRIVER)[0] == ("ok", "RTX 3090, 24 GiB, driver 470.10, torch 2.9.0: it computes ")
    assert verdict(CPU, {}, "pocket")[0][0] == "note"
    assert verdict(CPU, {})[0][1].startswith("none is seen, and sdxl would take days without Install the card's driver")
    assert "is a build for processors alone Install one for CUDA" in verdict(CPU, DRIVER)[0][1]
    old = {**CPU, "cuda": "12.8", "why": "The NVIDIA driver on your system is too old (found version 11040)."}
    level, says = verdict(old, DRIVER)[0]
    assert level == "wrong"
    assert "cannot compute on it: The NVIDIA driver on your system is too old" in says
    assert verdict({"error": "it cannot be used: ImportError"}, {})[0][1].startswith("it cannot be used")


def test_a_card_that_is_too_small_for_a_base_is_said() -> None:
    small = {**CPU, "cuda": "12.8", "works": True, "name": "GTX", "memory_gib": 4.0}
    (_, (level, says)) = verdict(small, DRIVER, "flux1-dev")
    assert level == "wrong"
    assert "this one has 4" in says


def test_what_up_would_serve_is_what_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LORASMITH_BASES", raising=False)
    plain = UpSettings(_env_file=None, base="sdxl")  # type: ignore[call-arg]  # as above
    assert served(worker(), plain).bases == ("sdxl", "pocket")
    said = UpSettings(_env_file=None, base="sdxl", bases="pocket")  # type: ignore[call-arg]  # as above
    assert served(worker(), said).bases == ("pocket",)
    assert unserved(worker(), "sdxl")[0].mend.endswith("add sdxl to LORASMITH_BASES.")
    assert unserved(worker(bases="sdxl"), "sdxl") == []
