"""What the dataset doctor says of a picture: the same on Discord and in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from storage.domain.doctor import Ailment, Finding
from storage.domain.orders import MOST_PIECES
from storage.speech import Sentence, _, decimal, later
from storage.words import percent

_SENTENCES: dict[Ailment, Sentence] = {
    Ailment.BLURRED: later("looks blurred; a LoRA learns the blur too"),
    Ailment.LETTERING: later("seems to have print on it (a caption, a watermark); a LoRA draws such letters again"),
    Ailment.FRAMED: later(
        "has a plain frame or bars around it ({percent} of it); crop them away, or frames will be drawn"
    ),
    Ailment.SMALL: later("is small and would be made {times} times as wide; a larger version teaches more detail"),
    Ailment.LONG: later("is very long: {percent} of it would be cut off; crop it to what matters"),
    Ailment.OUTLIER: later("looks unlike the others; does it show the same subject?"),
    Ailment.FACELESS: later("shows no face that I can find, and this LoRA is to learn a face; it would be used whole"),
    Ailment.MIXED: later(
        "The pictures fall into two groups, as if they showed two subjects. One order learns one subject"
    ),
    Ailment.ONE_BACKGROUND: later(
        "All backgrounds are much alike, so the background is learned as part of the subject. "
        "Pictures in two or three other places would help"
    ),
    Ailment.KNOWN_WORD: later(
        "The base knows the trigger {word} as a word. A made-up word such as zorvex works better"
    ),
}


def finding_words(finding: Finding) -> str:
    """One finding, without the picture's name."""
    share = percent(finding.measure).replace("\u00a0", " ")
    return _SENTENCES[finding.ailment](percent=share, times=decimal(finding.measure, 1), word=finding.word)


def examined_words(name: str, findings: Sequence[Finding]) -> str:
    """All findings of one picture in one line; `name` is shown as it is given."""
    said = [finding_words(f) for f in findings]
    all_of_it = reduce(lambda first, second: _("{first}, and {second}", first=first, second=second), said)
    return _("{name} {what}.", name=name, what=all_of_it)


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
            _(
                "The base knows the trigger {trigger}: it hears it as {like}. A made-up word such as zorvex works better.",
                trigger=trigger,
                like=like,
            )
        )
    elif pieces == 1:
        lines.append(
            _("The base knows {trigger} as a word. A made-up trigger such as zorvex works better.", trigger=trigger)
        )
    elif pieces > MOST_PIECES:
        lines.append(
            _(
                "The base reads the trigger {trigger} in {pieces} pieces, nearly letter by letter, and each means something "
                "already. A short made-up word such as zorvex works better.",
                trigger=trigger,
                pieces=pieces,
            )
        )
    return lines
