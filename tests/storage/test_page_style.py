"""The style of every page: readable in light and dark, by the numbers of its colours, and calm where a reader asked for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import storage.page

STYLE = (Path(storage.page.__file__).parent / "page.css").read_text("utf-8")
TEXT = (
    ("ink", "paper"), ("ink", "card"), ("soft", "paper"), ("soft", "card"), ("accent", "paper"), ("accent", "card"),
    ("accent-ink", "accent"),
)  # fmt: skip
MARKS = (("curve", "card"), ("second", "card"), ("accent", "card"), ("curve", "paper"))


def theme(name: str) -> dict[str, tuple[int, int, int]]:
    """The colours of a theme; the dark one and paper change some of the light one's."""
    light, dark, printed = (
        re.search(pattern, STYLE, re.DOTALL)
        for pattern in (
            r"^:root \{(.+?)\}", r"prefers-color-scheme: dark\) \{\s*:root \{(.+?)\}", r"@media print \{\s*:root \{(.+?)\}",
        )
    )  # fmt: skip
    assert light is not None
    assert dark is not None
    assert printed is not None
    found = colours(light[1])
    return {"light": found, "dark": found | colours(dark[1]), "print": found | colours(printed[1])}[name]


def colours(block: str) -> dict[str, tuple[int, int, int]]:
    return {name: parsed(value) for name, value in re.findall(r"--([a-z-]+): #([0-9a-f]{3}(?:[0-9a-f]{3})?)\b", block)}


def parsed(value: str) -> tuple[int, int, int]:
    whole = value if len(value) == 6 else "".join(2 * digit for digit in value)
    red, green, blue = (int(whole[k : k + 2], 16) for k in (0, 2, 4))
    return red, green, blue


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """The ratio of WCAG 2.2: relative luminance of sRGB, 0.05 of flare."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: tuple[int, int, int]) -> float:
    linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("name", ["light", "dark", "print"])
def test_text_has_a_contrast_of_four_and_a_half_and_what_is_drawn_of_three(name: str) -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21.0)
    found = theme(name)
    assert {(a, b): round(contrast(found[a], found[b]), 2) for a, b in TEXT if contrast(found[a], found[b]) < 4.5} == {}
    assert {
        (a, b): round(contrast(found[a], found[b]), 2) for a, b in MARKS if contrast(found[a], found[b]) < 3.0
    } == {}


def test_every_colour_is_one_of_a_theme_and_nothing_moves_unasked() -> None:
    rules = re.sub(r"--[a-z-]+:[^;]+;", "", STYLE)
    assert re.findall(r"#[0-9a-f]{3,8}\b", rules) == []
    assert "transition" not in rules
    assert "animation" not in rules
    moving = [line for line in rules.splitlines() if "scroll-behavior" in line]
    assert moving
    assert all("prefers-reduced-motion: no-preference" in line for line in moving)


def test_sides_are_those_of_the_language() -> None:
    assert (
        re.findall(r"(?:margin|padding|border)-(?:left|right)|text-align: (?:left|right)|[^-](?:left|right):", STYLE)
        == []
    )
