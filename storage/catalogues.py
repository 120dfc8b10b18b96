"""The catalogues of `storage/texts`: one `.po` file a language, read as it is, so that a clone needs no build.

A `.po` file is compiled in memory (Babel) into what the standard library's gettext reads, which brings its plural rules along.
"""

from __future__ import annotations

import gettext
import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import get_decimal_symbol

FOLDER = Path(__file__).parent / "texts"


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """One language besides English."""

    texts: gettext.GNUTranslations
    """What it does not hold is said in English."""
    rtl: bool
    """Written from right to left."""
    decimal: str
    """The sign between whole and part."""
    name: str
    """What the language is called in itself."""


@cache
def catalogue(language: str) -> Catalogue:
    """The catalogue of a language that `storage.speech.LANGUAGES` names."""
    compiled = io.BytesIO()
    with (FOLDER / f"{language}.po").open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    locale = Locale.parse(language)
    return Catalogue(
        texts=gettext.GNUTranslations(compiled),
        rtl=locale.text_direction == "rtl",
        decimal=get_decimal_symbol(locale),
        name=locale.get_display_name(language) or language,
    )
