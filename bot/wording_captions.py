"""What members read about captions: the form, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence

from bot.wording import escape, listed
from storage.domain.orders import SubjectType
from storage.speech import Sentence, _, later
from storage.words_captions import captioned, empty_words, long_words, spoilt_words

CAPTIONS_TITLE = later("What the pictures show")
CAPTIONS_LABEL = later("A line a picture")
CAPTIONS_LABEL_ABOUT = later("#1 name: what it shows. Nothing after the colon takes the standard captions.")
FILE_LABEL = later("Or a file with captions")
FILE_LABEL_ABOUT = later("captions.txt as I send it back, or metadata.jsonl")
NOTHING_SENT = later("The captions are as they were: all of them are in the attached file.")
THE_TEXT = later("the text")
CAPTIONS_FILE = "captions.txt"
MOST_LINES = 10
STILL_WAITING = later("Training still waits: **Go on** begins it with these captions.")

_ADVICE: dict[SubjectType, Sentence] = {
    SubjectType.PERSON: later(
        "Say pose, clothes, light and place; leave out the face, the hair and whatever never changes."
    ),
    SubjectType.CHARACTER: later(
        "Say pose, action, light and place; leave out its colours, fur, face and whatever never changes."
    ),
    SubjectType.OBJECT: later("Say where it is, the view and the light; leave out what it looks like itself."),
    SubjectType.STYLE: later("Say what is shown; leave out the style, the technique and the mood."),
}


def captions_label_cut(shown: int, count: int) -> str:
    """Over a field that cannot hold all captions; at most 100 characters, by Discord."""
    return _(
        "The first {shown} of {count} pictures. Empty the field and submit for a file with all of them.",
        shown=shown,
        count=count,
    )


def captions_saved(
    own: int,
    count: int,
    *,
    subject: SubjectType,
    empty: Sequence[str],
    spoilt: Sequence[tuple[str, Sequence[str]]],
    long: Sequence[str] = (),
    waiting: bool = False,
) -> str:
    """The answer to the form; the file with all captions is attached to it. `waiting`: training waits for its owner."""
    lines = [captioned(own, count), _ADVICE[subject]()]
    lines += listed([f"- {empty_words(escape(name, 60))}" for name in empty], MOST_LINES)
    lines += listed([f"- {long_words(escape(name, 60))}" for name in long], MOST_LINES // 2)
    lines += listed(
        [f"- {spoilt_words(escape(name, 60), [escape(w, 40) for w in words], subject)}" for name, words in spoilt],
        MOST_LINES,
    )
    lines.append(_("To change many at once, edit the attached file and send it with **Captions**."))
    lines += [STILL_WAITING()] if waiting else []
    return "\n".join(lines)


def captions_refused(reason: str) -> str:
    """Captions that cannot be used; nothing was changed. `reason` is a sentence of ours: what people typed in it is escaped."""
    return _("I could not use these captions, so nothing has changed: {reason}", reason=reason)


def not_fetched(name: str) -> str:
    """Discord did not give the file."""
    return _("{name} could not be fetched from Discord; attach it once more.", name=escape(name))
