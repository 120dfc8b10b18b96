"""Warning signs of a training in a newcomer's words, with what to do: in the thread, in the terminal and on the page."""

from __future__ import annotations

from storage.domain.signs import Sign, SignKind

SIGN_WORDS = {
    SignKind.STUCK: "it is not learning: its error on the training pictures stays at {0:.0%} of the base model's. "
    "Pictures that show one subject clearly, or more steps, help.",
    SignKind.JUMPING: "its error jumps up again, to {0:.0%} of the base model's. A lower learning rate helps; later "
    "checkpoints may be worse than earlier ones.",
    SignKind.ALIKE: "its pictures of one prompt look alike whatever the seed (they differ {0:.0%} as much as the base model's). "
    "Take an earlier checkpoint, or add pictures in other poses and places.",
    SignKind.BLUR: "its pictures are blurred: {0:.0%} as sharp as the base model's and the training pictures. Look whether "
    "training pictures are soft or enlarged, or take an earlier checkpoint.",
    SignKind.EVERYWHERE: "what it learned gets into pictures without the trigger (they change {0:.0%} as much as by another seed), "
    "and more from checkpoint to checkpoint. Take an earlier checkpoint or a lower scale.",
}


def sign_sentence(sign: Sign) -> str:
    """What was seen and when, and what to do."""
    return f"Step {sign.step}: {SIGN_WORDS[sign.kind].format(sign.value).replace('%', ' %')}"
