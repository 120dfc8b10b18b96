"""What the card says of a tool is what was found out about it."""

from __future__ import annotations

import pytest

from storage.usage import how_to_use


def lines(base: str) -> dict[str, str]:
    uses = how_to_use(base=base, stem="rex", trigger="zorvex", class_word="dog", scale=0.9, subject_type="character")
    return {use.tool: f"{use.say} {use.code}" for use in uses}


@pytest.mark.parametrize("base", ["flux2-klein-4b", "flux2-klein-9b", "z-image"])
def test_tools_that_were_not_asked_are_said_to_be_not_checked(base: str) -> None:
    assert lines(base)["A1111 / Forge"].startswith("not checked with")


def test_of_the_pocket_only_diffusers_is_explained_and_its_name_is_a_sentence() -> None:
    said = lines("pocket")
    assert list(said) == ["ComfyUI, A1111 / Forge", "diffusers"]
    assert said["ComfyUI, A1111 / Forge"].startswith("not checked with")
    assert said["diffusers"].startswith("load lorasmith's pocket base as pipe")


def test_words_are_words_and_only_what_is_pasted_is_code() -> None:
    uses = how_to_use(base="sdxl", stem="rex", trigger="zor", class_word="dog", scale=0.9, subject_type="character")
    assert [bool(use.code) for use in uses] == [False, True, True]
    assert all("put" not in use.code and "load " not in use.code for use in uses)


def test_tools_that_take_every_key_are_explained() -> None:
    assert "<lora:rex:0.90>" in lines("sd15")["A1111 / Forge"]
    assert "<lora:rex:0.90>" in lines("sdxl")["A1111 / Forge"]
    assert "<lora:rex:0.90>" in lines("flux1-dev")["Forge"]
    assert "A1111 / Forge" not in lines("flux1-dev")
