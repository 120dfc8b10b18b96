"""What the card says of a tool is what was found out about it."""

from __future__ import annotations

import pytest

from storage.usage import how_to_use


def lines(base: str) -> dict[str, str]:
    return dict(
        how_to_use(base=base, stem="rex", trigger="zorvex", class_word="dog", scale=0.9, subject_type="character")
    )


@pytest.mark.parametrize("base", ["flux2-klein-4b", "flux2-klein-9b", "z-image"])
def test_tools_that_were_not_asked_are_said_to_be_not_checked(base: str) -> None:
    assert lines(base)["A1111 / Forge"].startswith("not checked with")


def test_tools_that_take_every_key_are_explained() -> None:
    assert "<lora:rex:0.90>" in lines("sd15")["A1111 / Forge"]
    assert "<lora:rex:0.90>" in lines("sdxl")["A1111 / Forge"]
    assert "<lora:rex:0.90>" in lines("flux1-dev")["Forge"]
    assert "A1111 / Forge" not in lines("flux1-dev")
