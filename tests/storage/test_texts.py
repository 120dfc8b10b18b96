"""The catalogues: every sentence of the code in every language, whole, with its values, and nothing that the code does not say."""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po

from storage.catalogues import FOLDER
from storage.domain.measurement import ScaleChoice, ScalePoint
from storage.gather import CALLS, Id, sentences
from storage.speech import (
    ENGLISH,
    LANGUAGES,
    Sentence,
    _,
    decimal,
    is_rtl,
    language_name,
    language_of,
    later,
    ngettext,
    speaking,
    spoken,
    translated,
)
from storage.words import duration, scale_sentence

OTHERS = [language for language in LANGUAGES if language != ENGLISH]
PLACE = re.compile(r"\{[^}]*\}")
MARKS = ("**", "`", "\n", "\\.")
ROOT = FOLDER.parent.parent
SAID = sorted((*ROOT.glob("bot/wording*.py"), *ROOT.glob("storage/words_[cdps]*.py"), ROOT / "storage" / "usage.py"))
TERMINAL = {"words_concepts.py"}
"""What the bot does not say."""


@cache
def catalogue(language: str) -> Catalog:
    with (FOLDER / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


@cache
def _sentences() -> dict[Id, list[str]]:
    return sentences()


def texts(message: Message) -> tuple[str, ...]:
    return message.string if isinstance(message.string, tuple) else (message.string or "",)


def english(message: Message) -> tuple[str, ...]:
    return tuple(message.id) if isinstance(message.id, list | tuple) else (message.id,)


def pairs(language: str) -> Iterator[tuple[str, str, bool]]:
    """(English, translation, whether it is the form for one) of every text."""
    for message in catalogue(language):
        if message.id:
            forms = texts(message)
            for number, text in enumerate(forms):
                yield english(message)[-1], text, len(forms) > 1 and number == 0


def test_the_languages_are_there_and_say_what_they_are_called() -> None:
    assert {"en", "fr", "he", "vi"} <= set(LANGUAGES)
    assert [language_name(language) for language in ("fr", "he", "vi")] == ["français", "עברית", "Tiếng Việt"]
    assert [is_rtl(language) for language in ("en", "fr", "he", "vi")] == [False, False, True, False]


@pytest.mark.parametrize("language", OTHERS)
def test_a_catalogue_has_every_sentence_of_the_code_and_no_other(language: str) -> None:
    held: set[Id] = {english(m)[0] if len(english(m)) == 1 else english(m) for m in catalogue(language) if m.id}
    said = set(_sentences())
    assert held == said, f"run python -m storage.gather: missing {said - held}, old {held - said}"
    assert [m.id for m in catalogue(language) if m.id and (m.fuzzy or not all(texts(m)))] == []


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_keeps_the_values_and_the_marks(language: str) -> None:
    for source, text, for_one in pairs(language):
        wanted, found = sorted(PLACE.findall(source)), sorted(PLACE.findall(text))
        assert found == wanted or (for_one and sorted([*found, "{count}"]) == wanted), text
        assert [text.count(mark) for mark in MARKS] == [source.count(mark) for mark in MARKS], text
        assert text == text.strip()


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_ends_as_its_sentence_does_and_names_the_same_commands(language: str) -> None:
    for source, text, _one in pairs(language):
        assert (source[-1] in ".:!?") == (text[-1] in ".:!?"), text
        assert re.findall(r"(?<!\w)/[a-z]+", source) == re.findall(r"(?<![\w])/[a-z]+", text), text


def test_french_signs_are_not_parted_from_their_words() -> None:
    """A narrow space that does not break stands before `; ! ? %`, a wide one before a colon and inside quotation marks."""
    said = [text for _source, text, _one in pairs("fr")]
    assert [t for t in said if re.search(r"(?<!\u202f)[;!?%]|(?<!\u00a0)[:»]|«(?!\u00a0)", t)] == []


LABELS = ("Start", "Retry", "Download", "Add pictures", "Captions", "Full run")


@pytest.mark.parametrize("language", OTHERS)
def test_a_sentence_names_a_button_as_the_button_is_called(language: str) -> None:
    with speaking(language):
        named = {label: translated(label) for label in LABELS}
    told = [
        (text, named[label])
        for label in LABELS
        for source, text, _one in pairs(language)
        if re.search(rf"(?:[Pp]ress |until you press |\*\*|“){re.escape(label)}\b", source)
    ]
    assert len(told) > len(LABELS)
    assert [(text, label) for text, label in told if label not in text] == []


@pytest.mark.parametrize("language", [language for language in OTHERS if is_rtl(language)])
def test_a_sentence_of_a_right_to_left_language_begins_as_one(language: str) -> None:
    """The first letter decides which way a line runs; values do not count, because they stand in isolates."""
    for _source, text, _one in pairs(language):
        letters = [unicodedata.bidirectional(c) for c in PLACE.sub("", text)]
        strong = [kind for kind in letters if kind in ("L", "R", "AL")]
        if "R" in strong:
            assert strong[0] == "R", text
        assert not set("\u2066\u2067\u2068\u2069\u202a\u202b\u202d\u202e") & set(text), text


def test_values_stand_in_isolates_outside_of_the_marks_around_them() -> None:
    with speaking("he"):
        said = _("**{name}** (`{id}`): {what}", name="blue cat", id="ord1", what="x")
    assert said == "\u200f\u2068**blue cat**\u2069 (\u2068`ord1`\u2069): \u2068x\u2069"
    with speaking("fr"):
        assert "\u2068" not in _("**{name}** (`{id}`): {what}", name="blue cat", id="ord1", what="x")


def test_the_language_in_force_decides_and_is_given_back() -> None:
    said: Sentence = later("Start")
    with speaking("fr-CA"):
        assert (said(), spoken()) == ("Lancer", "fr")
        with speaking("vi"):
            assert said() == "Bắt đầu"
            assert ngettext("{count} picture", "{count} pictures", 1) == "1 ảnh"
        assert ngettext("{count} picture", "{count} pictures", 1) == "1 image"
        assert ngettext("{count} picture", "{count} pictures", 7) == "7 images"
        assert duration(5400) == "1 h 30 min"
    assert (said(), spoken()) == ("Start", ENGLISH)


def test_locales_of_discord_find_their_language() -> None:
    assert [language_of(name) for name in ("en-GB", "fr", "vi", "he", "iw-IL", "pt-BR", "")] == [
        "en", "fr", "vi", "he", "he", "en", "en",
    ]  # fmt: skip
    assert language_of("", "de", "fr") == "fr", "who is not understood hears what is spoken around them"


def test_numbers_have_the_sign_of_their_language() -> None:
    scale = ScaleChoice(
        recommended=0.85,
        low=0.7,
        high=1.0,
        measured=True,
        points=[ScalePoint(scale=1.0, likeness=0.5, adherence=0.9, leakage=0.1, utility=0.5)],
    )
    with speaking("fr"):
        assert "0,85" in scale_sentence(scale)
        assert decimal(1.5, 1) == "1,5"
    assert "0.85" in scale_sentence(scale)


@pytest.mark.parametrize("path", [p for p in SAID if p.name not in TERMINAL], ids=lambda p: p.name)
def test_no_sentence_is_said_past_the_catalogues(path: Path) -> None:
    """Prose in a module of words stands in a call that translates it, or it is told what it is for."""
    tree = ast.parse(path.read_text())
    spared = {id(node) for parent in ast.walk(tree) for node in _spared(parent)}
    prose = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in spared
    ]
    assert [text for text in prose if re.search(r"[A-Za-z]{2,} [a-z]{2,}", text)] == []


def _spared(node: ast.AST) -> Sequence[ast.AST]:
    """Arguments of the calls that translate, docstrings, and what is raised at programmers."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
        return node.args
    if isinstance(node, ast.Raise):
        return list(ast.walk(node))
    if isinstance(node, ast.Expr):
        return [node.value]
    return []
