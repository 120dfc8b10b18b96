"""Brings the catalogues up to the sentences in the code: `python -m storage.gather`.

New sentences come without a translation, old ones go; a test then names what lacks. `python -m storage.gather de` begins a
language: its file is all that it needs.
"""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel import Locale
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

from storage.catalogues import FOLDER

ROOT = Path(__file__).parent.parent
SPEECH = "speech.py"
CALLS = {"_": 1, "later": 1, "phrase": 1, "ngettext": 2}
"""How many of the first arguments are sentences."""

TYPE = "Content-Type: text/plain; charset=utf-8"

Id = str | tuple[str, ...]


class NotASentence(Exception):
    """What is said is not written out where it is said, so that it could not be found."""


def sentences() -> dict[Id, list[str]]:
    """Every sentence of bot and storage, with the files that say it."""
    found: dict[Id, list[str]] = {}
    for path in sorted((*ROOT.glob("bot/*.py"), *ROOT.glob("storage/**/*.py"))):
        if path.name != SPEECH:
            for id_ in _sentences_in(path):
                found.setdefault(id_, []).append(path.relative_to(ROOT).as_posix())
    return found


def _sentences_in(path: Path) -> Iterator[Id]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
            said = [_text(argument, path) for argument in node.args[: CALLS[node.func.id]]]
            yield said[0] if len(said) == 1 else tuple(said)


def _text(argument: ast.expr, path: Path) -> str:
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return argument.value
    raise NotASentence(f"{path}, line {argument.lineno}")


def gathered(old: Catalog, language: str = "") -> Catalog:
    """The catalogue with exactly the sentences of the code, and the translations that it had."""
    new = Catalog(
        locale=old.locale,
        header_comment=old.header_comment if len(old) else f"# lorasmith: {language}.",
        project="lorasmith",
        fuzzy=False,
    )
    for id_, places in sentences().items():
        known = old.get(id_)
        new.add(
            id_,
            known.string if known else None,
            locations=[(place, 0) for place in dict.fromkeys(places)],
            user_comments=known.user_comments if known else (),
        )
    return new


def written(catalogue: Catalog) -> str:
    """A catalogue as its file: comments, a header of what is read from it, and nothing that changes by itself."""
    body = io.BytesIO()
    write_po(body, catalogue, width=120, omit_header=True)
    header = (f"Language: {catalogue.locale}", f"Plural-Forms: {catalogue.plural_forms}", TYPE)
    lines = [catalogue.header_comment, 'msgid ""', 'msgstr ""', *(f'"{line}\\n"' for line in header)]
    return "\n".join(lines) + "\n\n" + body.getvalue().decode().lstrip()


def main(begin: list[str]) -> None:
    """Rewrite every catalogue, and begin those that are named."""
    for language in begin:
        (FOLDER / f"{language}.po").touch()
    for path in sorted(FOLDER.glob("*.po")):
        with path.open("rb") as file:
            new = gathered(
                read_po(file, locale=Locale.parse(path.stem)), Locale.parse(path.stem).english_name or path.stem
            )
        path.write_text(written(new))
        missing = sum(not all(m.string if isinstance(m.string, tuple) else [m.string]) for m in new if m.id)
        sys.stdout.write(f"{path.name}: {len(new)} texts, {missing} without a translation\n")


if __name__ == "__main__":
    main(sys.argv[1:])
