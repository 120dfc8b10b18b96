"""What the dataset doctor says of a picture: the same on Discord and in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from storage.domain.doctor import Ailment, Finding
from storage.domain.orders import MOST_PIECES

_SENTENCES: dict[Ailment, str] = {
    Ailment.BLURRED: "looks blurred; a LoRA learns the blur too",
    Ailment.LETTERING: "seems to have print on it (a caption, a watermark); a LoRA draws such letters again",
    Ailment.FRAMED: "has a plain frame or bars around it ({percent} of it); crop them away, or frames will be drawn",
    Ailment.SMALL: "is small and would be made {times:.1f} times as wide; a larger version teaches more detail",
    Ailment.LONG: "is very long: {percent} of it would be cut off; crop it to what matters",
    Ailment.OUTLIER: "looks unlike the others; does it show the same subject?",
    Ailment.FACELESS: "shows no face that I can find, and this LoRA is to learn a face; it would be used whole",
    Ailment.MIXED: "The pictures fall into two groups, as if they showed two subjects. One order learns one subject",
    Ailment.ONE_BACKGROUND: "All backgrounds are much alike, so the background is learned as part of the subject. "
    "Pictures in two or three other places would help",
    Ailment.KNOWN_WORD: "The base knows the trigger {word} as a word. A made-up word such as zorvex works better",
}


def finding_words(finding: Finding) -> str:
    """One finding, without the picture's name."""
    percent = f"{100 * finding.measure:.0f} %"
    return _SENTENCES[finding.ailment].format(percent=percent, times=finding.measure, word=finding.word)


def examined_words(name: str, findings: Sequence[Finding]) -> str:
    """All findings of one picture in one line; `name` is shown as it is given."""
    return f"{name} {', and '.join(finding_words(f) for f in findings)}."


def checkup_lines(
    named: Sequence[tuple[str, Sequence[Finding]]],
    whole: Sequence[Finding],
    *,
    trigger: str,
    like: str | None,
    pieces: int,
) -> list[str]:
    """What the look at all pictures found, a line each; nothing where there is nothing to say. Names as they are given."""
    lines = [examined_words(name, found) for name, found in named]
    lines += [f"{finding_words(finding)}." for finding in whole]
    if like is not None:
        lines.append(
            f"The base knows the trigger {trigger}: it hears it as {like}. A made-up word such as zorvex works better."
        )
    elif pieces == 1:
        lines.append(f"The base knows {trigger} as a word. A made-up trigger such as zorvex works better.")
    elif pieces > MOST_PIECES:
        lines.append(
            f"The base reads the trigger {trigger} in {pieces} pieces, nearly letter by letter, and each means something "
            "already. A short made-up word such as zorvex works better."
        )
    return lines
