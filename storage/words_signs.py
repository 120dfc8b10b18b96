"""Warning signs of a training in a newcomer's words, with what to do: in the thread, in the terminal and on the page."""

from __future__ import annotations

from storage.domain.signs import Sign, SignKind
from storage.speech import Sentence, _, later
from storage.words import percent

SIGN_WORDS: dict[SignKind, Sentence] = {
    SignKind.STUCK: later(
        "it is not learning: its error on the training pictures stays at {share} of the base model's. "
        "Pictures that show one subject clearly, or more steps, help."
    ),
    SignKind.JUMPING: later(
        "its error jumps up again, to {share} of the base model's. A lower learning rate helps; later "
        "checkpoints may be worse than earlier ones."
    ),
    SignKind.ALIKE: later(
        "its pictures of one prompt look alike whatever the seed (they differ {share} as much as the base model's). "
        "Take an earlier checkpoint, or add pictures in other poses and places."
    ),
    SignKind.BLUR: later(
        "its pictures are blurred: {share} as sharp as the base model's and the training pictures. Look whether "
        "training pictures are soft or enlarged, or take an earlier checkpoint."
    ),
    SignKind.EVERYWHERE: later(
        "what it learned gets into pictures without the trigger (they change {share} as much as by another seed), "
        "and more from checkpoint to checkpoint. Take an earlier checkpoint or a lower scale."
    ),
}


def sign_sentence(sign: Sign) -> str:
    """What was seen and when, and what to do."""
    share = percent(sign.value).replace("\u00a0", " ")
    return _("Step {step}: {what}", step=sign.step, what=SIGN_WORDS[sign.kind](share=share))
