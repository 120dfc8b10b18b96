"""The numbers of a comparison as people read them, and the table in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from storage.evaluation import MEASURES, Contestant, Evaluation, Measure, Value


def number(value: float, measure: Measure) -> str:
    """A share in percent, a cosine with three digits."""
    return f"{100 * value:.0f}\u00a0%" if measure.percent else f"{value:.3f}"


def interval(value: Value, measure: Measure) -> str:
    """From low to high; empty with a single prompt, and where nothing can vary: the base against itself."""
    if value.low is None or value.high is None or value.low == value.high:
        return ""
    low, high = number(value.low, measure), number(value.high, measure)
    return f"{low.removesuffix(chr(0xA0) + '%')} to {high}"


def drawn_words(found: Evaluation) -> str:
    """What was drawn, in a sentence."""
    prompts, seeds = len(found.labels), len(found.seeds[0])
    pictures = f"{found.training_pictures} training pictures" if found.training_pictures else "no training pictures"
    return (
        f"{prompts} prompts with {seeds} {'seed' if seeds == 1 else 'seeds'} each, drawn by {found.base} without and with each "
        f"LoRA from the same noise; held against {pictures}."
    )


def notes(found: Evaluation) -> list[str]:
    """Why a column is empty."""
    if not found.eyed:
        return [
            "Nothing was measured: there is no encoder beside this base model. The pictures are drawn all the same."
        ]
    said = []
    if not found.training_pictures:
        said.append("Likeness was not measured: it needs the training pictures (--pictures DIR).")
    if len(found.seeds[0]) == 1:
        said.append("Variety was not measured: it needs two seeds or more.")
    if any(one.values["adherence"] is None for one in found.contestants):
        said.append(
            "Prompt followed was not measured where the base model itself does not surely follow these prompts, so that nothing "
            "can be held against it."
        )
    if len(found.labels) > 1:
        said.append("Intervals are 95 % bootstrap intervals over the prompts.")
    return said


def called(one: Contestant) -> str:
    """What was written in prompts, and the strength; of a base what its name does not say."""
    words = f"{one.trigger} {one.class_word}"
    if one.scale is not None:
        return f"{words}, scale {one.scale:g}"
    return "without a LoRA" if words in one.name else f"{words}, without a LoRA"


def table(found: Evaluation) -> str:
    """`table.md`: a row a contestant, what the columns mean, and the prompts."""
    heads = ["", *(measure.title for measure in MEASURES), "Pictures", "Seconds"]
    rows = [_row(one) for one in found.contestants]
    parts = [
        "# LoRAs compared",
        drawn_words(found),
        "\n".join((_line(heads), _line([":--", *["--:"] * (len(heads) - 1)]), *rows)),
        "\n".join(f"- **{measure.title}**: {measure.hint}" for measure in MEASURES),
        "\n".join(f"- {note}" for note in notes(found)),
        "## Prompts",
        "\n".join(f"{number_}. {_plain(line)}" for number_, line in enumerate(found.lines, 1)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _row(one: Contestant) -> str:
    cells = [f"{_plain(one.name)} ({_plain(called(one))})"]
    for measure in MEASURES:
        value = one.values[measure.name]
        around = interval(value, measure) if value else ""
        cells.append("–" if value is None else number(value.mean, measure) + (f" ({around})" if around else ""))
    return _line([*cells, str(one.pictures), f"{one.seconds:.1f}"])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Nothing of a person's text formats the table."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>#|!" else letter for letter in text)
